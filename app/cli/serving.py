"""`taller run`."""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from multiprocessing import active_children
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import uvicorn

from app import __version__
from app.cli.database import schema_state_at
from app.cli.errors import CommandError
from app.cli.metrics import WorkersCollector, serving
from app.cli.settings_report import unknown_variables
from app.core.addresses import without_password
from app.core.config import Settings, get_settings
from app.core.database.faults import explanation
from app.core.database.migrations import SchemaState, head_revision
from app.core.errors import UnavailableError
from app.core.http.protocol import BoundedHttp
from app.core.logging import configure_logging
from app.core.metrics import DIRECTORY_VARIABLE

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger("taller")


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish running requests."""
    if settings.database_url is None:
        raise CommandError("TALLER_DATABASE_URL is not set (`taller dev` starts a database of its own).")
    refuse_taken_port(settings)
    configure_logging(settings)
    introduce(settings)
    if settings.workers > 1:
        # The parent of the workers. Whoever serves enables it after the imports (`app.main.serve`).
        gc.enable()
    # uvicorn stops gracefully and then raises the signal once more.
    with terminated_as_exit(), serving_metrics(settings):
        uvicorn.run(
            "app.cli.serving:application",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=with_other_family(settings.trusted_proxies),
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


def with_other_family(addresses: str) -> str:
    """Return the addresses of proxies, each IPv4 address also in the form that it has on a socket of both families.

    With several workers, `::` listens for both, and 10.0.0.5 appears there as ::ffff:10.0.0.5.
    """
    if addresses.strip() == "*":
        return addresses
    parts = (part.strip() for part in addresses.split(","))
    networks: list[IPv4Network | IPv6Network] = [ip_network(part) for part in parts if part]
    for network in networks[:]:
        first = network.network_address
        if isinstance(first, IPv4Address):
            networks.append(ip_network(f"::ffff:{first}/{96 + network.prefixlen}"))
        elif first.ipv4_mapped is not None and network.prefixlen >= 96:
            networks.append(ip_network(f"{first.ipv4_mapped}/{network.prefixlen - 96}"))
    return ",".join(map(str, networks))


def application() -> "FastAPI":
    """Return the application of a server process."""
    # Settings first: what is imported next takes the place of what judging the secret has needed.
    get_settings()
    from app.main import serve  # noqa: PLC0415 - see above

    return serve()


@contextmanager
def serving_metrics(settings: Settings) -> Generator[None]:
    """Serve the metrics of all workers meanwhile, from a thread of this process, which outlives each of them."""
    if settings.metrics_port is None:
        yield
        return
    # Memory, where there is a file system of memory: what is mapped from a disk would be written to it again and again.
    memory = Path("/dev/shm")  # noqa: S108 - the directory made in it has a random name
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="taller-metrics-", dir=place) as directory:
        collector = WorkersCollector(
            Path(directory), lambda: (os.getpid(), *(child.pid or 0 for child in active_children()))
        )
        os.environ[DIRECTORY_VARIABLE] = directory
        try:
            with serving(settings.metrics_host, settings.metrics_port, collector):
                yield
        finally:
            del os.environ[DIRECTORY_VARIABLE]


def refuse_taken_port(settings: Settings) -> None:
    """Raise `CommandError` if an address on which is served is not free."""
    _refuse_taken(settings.host, settings.port, "")
    if settings.metrics_port is not None:
        _refuse_taken(settings.metrics_host, settings.metrics_port, "METRICS_")


def _refuse_taken(host: str, port: int, kind_of: str) -> None:
    place = f"{host}:{port}"
    names = (f"TALLER_{kind_of}HOST", f"TALLER_{kind_of}PORT")
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except socket.gaierror as error:
        raise CommandError(f"Cannot listen on {place}: the host is not known. Correct {names[0]}.") from error
    except OSError as error:
        way = {
            errno.EADDRINUSE: f"Stop what uses it, or choose another {names[1]}.",
            errno.EADDRNOTAVAIL: f"This machine does not have the address: correct {names[0]}.",
            errno.EACCES: f"Only root may listen there: choose a {names[1]} from 1024 on.",
        }.get(error.errno or 0, f"Correct {names[0]} and {names[1]}.")
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
