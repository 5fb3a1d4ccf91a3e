"""The application: its features, middleware, services and background tasks."""

import asyncio
import ctypes
import gc
import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app import __version__
from app.auth.callers import CallerCache
from app.auth.manager import Authentication
from app.auth.scopes import KEY_SCOPES
from app.core.concurrency import CallerShares
from app.core.config import Settings, get_settings
from app.core.database.database import Database
from app.core.database.faults import explanation
from app.core.database.migrations import head_revision, schema_state
from app.core.database.replica import Replica
from app.core.database.retention import Purger
from app.core.database.statements import check_answers
from app.core.drain import STATE_KEY, Drain
from app.core.errors import UnavailableError
from app.core.guards import refuse_unguarded_routes
from app.core.http.application import Application
from app.core.http.middleware import RequestMiddleware
from app.core.http.positions import HEADER as POSITION
from app.core.http.trie import TrieRouter
from app.core.idempotency.keys import REPLAYED
from app.core.idempotency.store import IdempotencyStore
from app.core.idempotency.store import purge_rule as idempotency_purge_rule
from app.core.logging import configure_logging, flush_logs
from app.core.metrics import Number
from app.core.periodic import PeriodicTask
from app.core.ratelimit.limiter import RateLimits
from app.core.ratelimit.sync import PURGE_RULES as COUNTS_PURGE_RULES
from app.core.ratelimit.sync import RateLimitSync
from app.core.services import Services
from app.features import PORTS, PROBES, PURGE_RULES, ROUTERS, TAGS, security_schemes
from app.system.documentation import Documentation, documentation_of
from app.system.guides import guided
from app.system.openapi import openapi_document
from app.system.process import ProcessReport

if TYPE_CHECKING:
    from app.core.tracing import Tracing

logger = logging.getLogger(__name__)

_M_MMAP_THRESHOLD = -3
_MADV_COLLAPSE = 25
_LARGE_PAGE = 2 * 1024 * 1024

DESCRIPTION = """
**Try it here**: press *Authorize*, sign in (in development as `admin` with `1234`), then open an operation and press
*Execute*. The guides show each part of the API by curl.

Every operation also answers without `/api/v1` in front, and with or without the slash at the end. Errors are problem
documents (RFC 9457): their `code` is for programs, their `detail` for people. `PUT` and `PATCH` change the members that
the body names and leave all others unchanged. A `POST` or `PATCH` that is repeated with the same `Idempotency-Key` is
executed once. A client that sends `Taller-Position: latest`, and from then on the value that it last got in that
header, may be answered by a replica, where the service has one, and by no state older than what it has seen.
"""


REPORT_EVERY = 1.0
"""Seconds after which gauges are set again."""

_EXPOSED = ("ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", POSITION, "X-Request-ID")
"""Response headers that pages of other origins may read."""


class SchemaBehindError(RuntimeError):
    """The database lacks migrations that this version needs."""


def create_app(settings: Settings | None = None) -> Application:
    """Create the application. It connects to nothing before its lifespan begins."""
    settings = settings or get_settings()
    limits = RateLimits(settings.rate_limits) if settings.rate_limits else None
    tracing = None if settings.otlp_endpoint is None else _tracing(settings.otlp_endpoint)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        database = Database(settings, tracing=tracing)
        authentication = Authentication(settings, database)
        callers = CallerCache(authentication, database)
        shares = CallerShares(
            # One connection is left for others.
            min(settings.caller_concurrency, max(1, settings.database_pool_size - 1)),
            searches=settings.caller_searches,
            timeout=settings.database_pool_timeout,
        )
        purger = Purger(database, (*PURGE_RULES, *COUNTS_PURGE_RULES, idempotency_purge_rule(settings)))
        replicas = [] if settings.database_replica_url is None else [Replica(settings, database, tracing)]
        app.state.services = Services(
            *always,
            *replicas,
            database,
            authentication,
            authentication.ring,
            callers,
            IdempotencyStore(settings),
            shares,
            purger,
            drain := Drain(
                (0.0 if settings.is_development else 5.0) if settings.drain_delay is None else settings.drain_delay
            ),
        )
        tasks = [callers.watching, purger.task, *(replica.watching for replica in replicas)]
        process = ProcessReport(__version__)

        async def report() -> None:
            process.report()
            database.pool.report("default")
            database.by_value.pool.report("by_value")
            callers.report()

        process.report_start()
        tasks.append(PeriodicTask("metrics", report, every=REPORT_EVERY, failure="cannot report metrics"))
        if limits is not None:
            tasks.append(RateLimitSync(limits, database).task)
        try:
            await _warm_up(database, settings)
            for task in tasks:
                task.start()
            # Callers are cached only once the first poll has succeeded.
            await callers.watching.succeeded(within=1.0)
            with drain.delaying_sigterm():
                yield {STATE_KEY: drain}
        finally:
            for task in reversed(tasks):
                await task.stop()
            for replica in replicas:
                await replica.database.close()
            await database.close()
            if tracing is not None:
                await asyncio.to_thread(tracing.close)
            flush_logs()

    routes = [route for router in ROUTERS for route in router.routes]
    refuse_unguarded_routes(routes)
    check_answers()
    app = Application(
        RequestMiddleware(
            operations=TrieRouter(routes),
            limits=limits,
            prefix=settings.public_prefix,
            probes=PROBES,
            logs_client=settings.log_client,
            tracing=tracing,
            reads_positions=settings.database_replica_url is not None,
        ),
        title="Taller",
        summary="Projects and their tasks",
        description=DESCRIPTION,
        version=__version__,
        license_info={"name": "MIT", "identifier": "MIT"},
        # Without `servers`, clients use the address from which they got the document.
        servers=None if settings.public_url is None else [{"url": settings.public_url}],
        openapi_external_docs={"description": "Guides", "url": f"{settings.public_prefix}/docs/guides"},
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    KEY_SCOPES.freeze()
    prefix = settings.public_prefix
    # FastAPI's documented way to replace it. Not cached: the service sends bytes that are made from it once.
    app.openapi = partial(  # type: ignore[method-assign]
        openapi_document, app, routes, guided(TAGS, prefix), security_schemes(prefix)
    )
    address = settings.public_url or f"http://localhost:{settings.port}"
    always = (settings, PORTS, documentation_of(app, address, prefix))
    app.state.services = Services(*always)
    if settings.cors_origins:
        # Outermost, so that pages of other origins can read every error.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            # Any header, because tracing adds some. There are no cookies that a page could misuse.
            allow_headers=["*"],
            expose_headers=[*_EXPOSED, REPLAYED],
            max_age=600,
        )
    return app


def serve() -> FastAPI:
    """Return the application of a server process, with logging configured."""
    # `taller` starts with the garbage collector off: imports create many objects and hardly any garbage.
    gc.enable()
    settings = get_settings()
    configure_logging(settings)
    Number.share()
    app = create_app()
    if not settings.is_development:
        # What follows uses the memory again that making it needs. Made later, it would leave 5 MiB more for good.
        app.state.services[Documentation].document.prepare()
    # The objects created so far live as long as the process. If the garbage collector traversed them, each full
    # collection would stop all requests for 50 to 80 ms, several times a second under load.
    gc.collect()
    gc.freeze()
    _return_large_blocks()
    _use_large_pages()
    return app


def _tracing(endpoint: str) -> "Tracing":
    from app.core.tracing import Tracing  # noqa: PLC0415 - OpenTelemetry may not be installed, and takes 20 MiB

    return Tracing(endpoint, __version__)


def _return_large_blocks() -> None:
    """Make glibc return freed blocks of 128 KiB and more to the system at once.

    Otherwise it would keep them after the first password, whose hash takes 19 MiB: permanently, in each thread.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
        # What the start needed and nobody needs now: 4 MiB.
        libc.malloc_trim(0)


def _use_large_pages() -> None:
    """Have Linux put what Python has allocated so far on pages of 2 MiB, as glibc does if it is told. Looking up the
    addresses of small ones takes 2 to 5 % of the processor time of a request.
    """
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, access, _, _, file, *_ = line.split()
        if access == "rw-p" and file == "0":
            begin, end = (int(address, 16) for address in addresses.split("-"))
            begin = -(-begin // _LARGE_PAGE) * _LARGE_PAGE
            if (size := (end - begin) // _LARGE_PAGE * _LARGE_PAGE) > 0:
                # Before Linux 6.1 it does not know this, and refuses it.
                madvise(begin, size, _MADV_COLLAPSE)


async def _warm_up(database: Database, settings: Settings) -> None:
    try:
        await database.start()
        schema = await schema_state(database)
    except UnavailableError as error:
        # The service starts all the same: it answers 503, and recovers when the database does.
        logger.warning("not ready yet: %s", explanation(error, settings.database_url) or error)
        return
    if schema.state == "behind":
        raise SchemaBehindError(
            f"The database schema is not at revision {head_revision()}: run `taller migrate` first."
        )
