"""`taller run`."""

import asyncio
import errno
import gc
import logging
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

import uvicorn

from app import __version__
from app.cli.errors import CommandError
from app.core.addresses import without_password
from app.core.config import Settings
from app.core.database.faults import explanation
from app.core.database.migrations import SchemaState, head_revision, schema_state_at
from app.core.errors import UnavailableError
from app.core.http.protocol import BoundedHttp
from app.core.logging import configure_logging
from app.core.settings_report import unknown_variables

logger = logging.getLogger("taller")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish running requests."""
    if settings.database_url is None:
        raise CommandError("TALLER_DATABASE_URL is not set (`taller dev` starts a database of its own).")
    refuse_taken_port(settings)
    configure_logging(settings)
    introduce(settings)
    gc.enable()
    # uvicorn stops gracefully and then raises the signal once more.
    with terminated_as_exit():
        uvicorn.run(
            "app.main:serve",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=settings.shutdown_timeout,
            timeout_keep_alive=settings.keep_alive_timeout,
            loop="uvloop",
            # uvicorn calls it as it would call the class.
            http=partial(  # type: ignore[arg-type] # ty: ignore[invalid-argument-type]
                BoundedHttp,
                head_timeout=settings.head_timeout,
                body_timeout=settings.body_timeout,
                prefix=settings.public_prefix,
            ),
            ws="none",
        )


def refuse_taken_port(settings: Settings) -> None:
    """Raise `CommandError` if the address of the service is not free."""
    place = f"{settings.host}:{settings.port}"
    try:
        family, kind, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except socket.gaierror as error:
        raise CommandError(f"Cannot listen on {place}: the host is not known. Correct TALLER_HOST.") from error
    except OSError as error:
        way = {
            errno.EADDRINUSE: "Stop what uses it, or choose another TALLER_PORT.",
            errno.EADDRNOTAVAIL: "This machine does not have the address: correct TALLER_HOST.",
            errno.EACCES: "Only root may listen there: choose a TALLER_PORT from 1024 on.",
        }.get(error.errno or 0, "Correct TALLER_HOST and TALLER_PORT.")
        said = (error.strerror or str(error)).lower()
        raise CommandError(f"Cannot listen on {place}: {said}. {way}") from error


def introduce(settings: Settings) -> None:
    """Write the first line of the log. Raises `CommandError` if the schema is too old to serve on."""
    assert settings.database_url is not None
    found: SchemaState | None = None
    try:
        found = asyncio.run(schema_state_at(settings.database_url, timeout=settings.database_connect_timeout))
    except UnavailableError as error:
        # The service starts all the same: it answers 503, and recovers with the database.
        problem = explanation(error, settings.database_url)
    else:
        problem = None
    logger.info(
        "Taller %s",
        __version__,
        extra={
            "schema": "unknown" if found is None else found.revision or "none",
            "workers": settings.workers,
            "database": without_password(settings.database_url),
        },
    )
    for said in unknown_variables().values():
        logger.warning(said)
    if found is not None and found.state == "behind":
        raise CommandError(
            f"The schema ({found.revision or 'none'}) is older than this release needs ({head_revision()}): "
            "run `taller migrate` first."
        )
    if problem is not None:
        logger.warning(problem)


@contextmanager
def terminated_as_exit() -> Generator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that the database is stopped after the API."""

    def leave(_signal: int, _frame: object) -> NoReturn:
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(0)
