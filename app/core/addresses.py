"""The address of a database, as PostgreSQL's own programs read it, and connecting there.

asyncpg takes most of libpq's parameters, hands those that it does not know to the server as settings, and gives several
hosts one time limit together. So the address is read here: each parameter is understood, or refused by its name.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import asyncpg

from app.core.errors import UnavailableError

STAGGER = 0.25
"""Seconds after which the next host is tried as well, where one neither accepts nor refuses."""

_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "gsslib": ("gssapi", "sspi"),
    # The service writes.
    "target_session_attrs": ("any", "primary", "read-write"),
    # Of these, the driver can do nothing else.
    "channel_binding": ("disable", "prefer"),
    "client_encoding": ("auto", "UTF8", "utf8", "UTF-8", "utf-8"),
    "gssdelegation": ("0",),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "max_protocol_version": ("3.0", "3.2", "latest"),
    "min_protocol_version": ("3.0",),
    "requiressl": ("0",),
    "sslcertmode": ("allow",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
FILES = ("passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert")
NUMBERS = {
    "connect_timeout": (1, 60),
    "keepalives": (0, 1),
    "keepalives_count": (0, 127),
    "keepalives_idle": (0, 32767),
    "keepalives_interval": (0, 32767),
    "tcp_user_timeout": (0, 2**31 - 1),
}
TEXTS = ("application_name", "fallback_application_name", "krbsrvname", "options", "sslpassword")
NAMES = {"dbname": "database", "database": "database", "user": "user", "password": "password"}
"""Where the parts before the question mark may stand as well."""

UNSUPPORTED = (
    *("hostaddr", "oauth_client_id", "oauth_client_secret", "oauth_issuer", "oauth_scope", "replication"),
    *("require_auth", "requirepeer", "scram_client_key", "scram_server_key", "service", "servicefile"),
    *("sslcrldir", "sslkeylogfile"),
)
"""What libpq knows and the driver does not."""

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
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:]+))(?::([0-9]{1,5}))?")


class AddressError(ValueError):
    """An address cannot be used; the message names what is wrong, and repeats no value."""


@dataclass(frozen=True)
class Address:
    """Where a database is found, and how it is connected to."""

    hosts: tuple[tuple[str, int | None], ...]
    """In the order in which they are tried; empty for where the driver looks by itself."""

    names: Mapping[str, str] = field(repr=False)
    """User, password and database, as far as they are given."""

    parameters: Mapping[str, str] = field(repr=False)


def address_of(url: str) -> Address:
    """Read an address. Raises `AddressError`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # Not chained: the message may repeat what was written.
        raise AddressError(_EXPECTED) from None
    if re.fullmatch(r"postgres(ql)?(\+\w+)?", parts.scheme) is None or not url.startswith(f"{parts.scheme}://"):
        raise AddressError(_EXPECTED)
    if parts.fragment:
        raise AddressError(f"{_EXPECTED}, with any # written as %23")
    login, _, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    hosts = _hosts(place)
    parameters = _parameters(parts.query)
    if (given := parameters.pop("host", None)) is not None:
        hosts = _hosts(given)
    places = _with_ports(hosts, parameters.pop("port", None))
    names = {"user": unquote(user), "password": unquote(password), "database": unquote(parts.path[1:])}
    for name in [name for name in parameters if name in NAMES]:
        names[NAMES[name]] = parameters.pop(name)
    if parameters.get("sslnegotiation") == "direct" and not parameters.get("sslmode", "").startswith(("req", "ver")):
        raise AddressError("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full")
    if parameters.get("sslrootcert") == "system" and parameters.get("sslmode") != "verify-full":
        raise AddressError("sslrootcert=system needs sslmode=verify-full")
    return Address(places, {name: value for name, value in names.items() if value}, parameters)


async def connect(address: Address, *, timeout: float, **options: Any) -> "asyncpg.Connection":  # noqa: ASYNC109 - of each host, and asyncpg's own
    """Connect to the first host that accepts and is wanted. Raises `UnavailableError` from what the last one said."""
    parameters = dict(address.parameters)
    timeout = float(parameters.get("connect_timeout", timeout))
    target = parameters.get("target_session_attrs") or ("read-write" if len(address.hosts) > 1 else None)
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
        # Whatever it is, a wrong password as well: another attempt may find it mended.
        raise UnavailableError from error
    _set_socket_options(connection, parameters)
    return connection


_EXPECTED = "not a database address: expected postgresql://user:password@host:port/name"


def _hosts(written: str) -> list[tuple[str, int | None]]:
    hosts: list[tuple[str, int | None]] = []
    for part in written.split(",") if written else ():
        if part.startswith("/"):
            hosts.append((part, None))
            continue
        found = _HOST.fullmatch(part)
        if found is None or int(found[3] or 1) not in range(1, 65536):
            raise AddressError(_EXPECTED)
        hosts.append((unquote(found[1] or found[2]), int(found[3]) if found[3] else None))
    return hosts


def _with_ports(hosts: list[tuple[str, int | None]], ports: str | None) -> tuple[tuple[str, int | None], ...]:
    if ports is None:
        return tuple(hosts)
    numbers = [int(port) if re.fullmatch("[0-9]{1,5}", port) else 0 for port in ports.split(",")]
    if not all(number in range(1, 65536) for number in numbers):
        raise AddressError("port must be a number from 1 to 65535, or one for each host")
    hosts = hosts or [("", None)]
    if len(numbers) == 1:
        numbers *= len(hosts)
    if len(numbers) != len(hosts):
        raise AddressError("port must be one number, or one for each host")
    return tuple((host, port) for (host, _), port in zip(hosts, numbers, strict=True))


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, _, value = (unquote(part) for part in pair.partition("="))
        # SQLAlchemy's name for it.
        name = "sslmode" if name == "ssl" else name
        if name in found:
            raise AddressError(f"{name} is given twice")
        _refuse_parameter(name, value)
        found[name] = value
    return found


def _refuse_parameter(name: str, value: str) -> None:
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise AddressError(f"{name} must be {' or '.join(CHOICES[name])} here")
    elif name in NUMBERS:
        least, most = NUMBERS[name]
        if re.fullmatch("[0-9]{1,10}", value) is None or int(value) not in range(least, most + 1):
            raise AddressError(f"{name} must be a whole number from {least} to {most}")
    elif name in FILES:
        if not Path(value).is_file() and (name, value) != ("sslrootcert", "system"):
            raise AddressError(f"{name} names no file that is there")
    elif name in UNSUPPORTED:
        raise AddressError(f"{name} is not supported")
    elif name not in {*TEXTS, *NAMES, "host", "port"}:
        shown = name if re.fullmatch(r"\w{1,40}", name) else "what follows the question mark"
        raise AddressError(f"{shown} is no parameter of an address (settings of the server: options=-c%20name=value)")


def _place(host: str, port: int | None) -> dict[str, str]:
    place = {"host": f"[{host}]" if ":" in host and not host.startswith("/") else host, "port": str(port or "")}
    return {name: value for name, value in place.items() if value}


def _trusting_the_system(query: dict[str, str]) -> ssl.SSLContext:
    """What `sslrootcert=system` asks for, which the driver takes for a file."""
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
    # On by default, as libpq has it.
    for name, value in {"keepalives": "1", **parameters}.items():
        level, option = _SOCKET_OPTIONS.get(name, (0, ""))
        # 0 is the system's default; not every system has all of them.
        if hasattr(socket, option) and (int(value) or name == "keepalives"):
            link.setsockopt(level, getattr(socket, option), int(value))


async def _first_of(attempts: Sequence[Callable[[], Awaitable[Any]]]) -> "asyncpg.Connection":
    """The first attempt that succeeds. Each begins when the one before has failed, or has said nothing for a moment."""
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
                    # Should another have succeeded in the same moment, it is closed below.
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
