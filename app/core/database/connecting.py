"""Connections to the first suitable host of an address."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg

from app.core.addresses import Address
from app.core.errors import UnavailableError

STAGGER = 0.25
"""Seconds after which the next host is tried as well, if a host neither accepts nor refuses the connection."""

_OF_DRIVER = (
    *("passfile", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "krbsrvname", "gsslib"),
)

_SOCKET_OPTIONS = {
    "keepalives": (socket.SOL_SOCKET, "SO_KEEPALIVE"),
    "keepalives_count": (socket.IPPROTO_TCP, "TCP_KEEPCNT"),
    "keepalives_idle": (socket.IPPROTO_TCP, "TCP_KEEPIDLE"),
    "keepalives_interval": (socket.IPPROTO_TCP, "TCP_KEEPINTVL"),
    "tcp_user_timeout": (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT"),
}


async def connect(address: Address, *, timeout: float, **options: Any) -> "asyncpg.Connection":  # noqa: ASYNC109 - of each host, and asyncpg's own
    """Connect to the first host that accepts and has the wanted attributes. Raises `UnavailableError` of the last."""
    parameters = dict(address.parameters)
    timeout = float(parameters.get("connect_timeout", timeout))
    target = wanted_attributes(address)
    named = {"application_name": parameters.get("application_name") or parameters.get("fallback_application_name")}
    named |= {"options": parameters.get("options")}
    server_settings = options.pop("server_settings", {}) | {name: value for name, value in named.items() if value}
    query = {name: value for name, value in parameters.items() if name in _OF_DRIVER and value}
    query |= {"dbname" if name == "database" else name: value for name, value in address.names.items()}
    if query.get("sslrootcert") == "system":
        options["ssl"] = _trusting_the_system(query)
    attempts = [
        partial(
            asyncpg.connect,
            f"postgresql://?{urlencode({**query, **place}, quote_via=quote)}",
            timeout=timeout,
            server_settings=server_settings,
            target_session_attrs=target,
            **options,
        )
        for place in (_place(host, port) for host, port in address.hosts or (("", None),))
    ]
    try:
        connection = await (attempts[0]() if len(attempts) == 1 else _first_of(attempts))
    except Exception as error:
        # Any error, also a wrong password, because a later attempt may succeed.
        raise UnavailableError from error
    _set_socket_options(connection, parameters)
    return connection


def wanted_attributes(address: Address) -> str | None:
    """Return the session attributes that a host must have, or None if the first that answers is taken."""
    wanted = dict(address.parameters).get("target_session_attrs")
    return wanted or ("read-write" if len(address.hosts) > 1 else None)


def _place(host: str, port: int | None) -> dict[str, str]:
    place = {"host": f"[{host}]" if ":" in host and not host.startswith("/") else host, "port": str(port or "")}
    return {name: value for name, value in place.items() if value}


def _trusting_the_system(query: dict[str, str]) -> ssl.SSLContext:
    """Return the TLS context for `sslrootcert=system`, which asyncpg would take for a file name."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    del query["sslrootcert"]
    if "sslcert" in query:
        context.load_cert_chain(query["sslcert"], query.get("sslkey"), lambda: query.get("sslpassword", ""))
    return context


def _set_socket_options(connection: "asyncpg.Connection", parameters: Mapping[str, str]) -> None:
    link = connection._transport.get_extra_info("socket")  # noqa: SLF001 - it has no public name
    if link is None or link.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    # On by default, as in libpq.
    for name, value in {"keepalives": "1", **parameters}.items():
        level, option = _SOCKET_OPTIONS.get(name, (0, ""))
        # 0 is the system's default; not every system has all of them.
        if hasattr(socket, option) and (int(value) or name == "keepalives"):
            link.setsockopt(level, getattr(socket, option), int(value))


async def _first_of(attempts: Sequence[Callable[[], Awaitable[Any]]]) -> "asyncpg.Connection":
    """Return the first connection. Each attempt begins when the one before has failed, or takes `STAGGER` seconds."""
    waiting = list(reversed(attempts))
    running: set[asyncio.Future[asyncpg.Connection]] = set()
    error: BaseException | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.ensure_future(waiting.pop()()))
            timeout = STAGGER if waiting else None
            done, running = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    # If another attempt succeeded at the same moment, it is closed below.
                    running |= done - {task}
                    return task.result()
        assert error is not None
        raise error
    finally:
        for task in running:
            task.cancel()
        for outcome in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(outcome, asyncpg.Connection):
                outcome.terminate()
