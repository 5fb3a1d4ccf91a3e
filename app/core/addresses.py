"""Parsing of database addresses, as PostgreSQL's own programs parse them.

asyncpg supports most of libpq's parameters, but sends unknown ones to the server as settings, and applies one timeout
to several hosts together. So the address is parsed here: each parameter is either supported or refused by its name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "gsslib": ("gssapi", "sspi"),
    # The service writes, so a standby cannot be a target.
    "target_session_attrs": ("any", "primary", "read-write"),
    # The driver supports only these values.
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
"""Parameters that may replace the parts before the question mark."""

# Several hosts are no authority of RFC 3986: urlsplit of Python 3.14 refuses some of them.
_PARTS = re.compile(
    r"postgres(?:ql)?(?:\+\w+)?://(?P<authority>[^/?#]*)(?:/(?P<path>[^?#]*))?(?:\?(?P<query>[^#]*))?(?P<fragment>#.*)?",
    re.DOTALL,
)
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:]+))(?::([0-9]{1,5}))?")


class AddressError(ValueError):
    """An address is invalid; the message names the reason and repeats no value."""


@dataclass(frozen=True)
class Address:
    """The parsed address of a database."""

    hosts: tuple[tuple[str, int | None], ...]
    """In the order in which they are tried; empty for the driver's default."""

    names: Mapping[str, str] = field(repr=False)
    """User, password and database; names that the address leaves out are missing."""

    parameters: Mapping[str, str] = field(repr=False)


def address_of(url: str) -> Address:
    """Parse an address. Raises `AddressError`."""
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise AddressError(_EXPECTED)
    if parts["fragment"]:
        raise AddressError(f"{_EXPECTED}, with any # written as %23")
    login, _, place = parts["authority"].rpartition("@")
    user, _, password = login.partition(":")
    hosts = _hosts(place)
    parameters = _parameters(parts["query"] or "")
    if (given := parameters.pop("host", None)) is not None:
        hosts = _hosts(given)
    places = _with_ports(hosts, parameters.pop("port", None))
    names = {"user": unquote(user), "password": unquote(password), "database": unquote(parts["path"] or "")}
    for name in [name for name in parameters if name in NAMES]:
        names[NAMES[name]] = parameters.pop(name)
    if parameters.get("sslnegotiation") == "direct" and not parameters.get("sslmode", "").startswith(("req", "ver")):
        raise AddressError("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full")
    if parameters.get("sslrootcert") == "system" and parameters.get("sslmode") != "verify-full":
        raise AddressError("sslrootcert=system needs sslmode=verify-full")
    return Address(places, {name: value for name, value in names.items() if value}, parameters)


def without_password(url: str) -> str:
    """Return a valid address for people to read: without the password and the parameters."""
    address = address_of(url)
    user, database = (address.names.get(name, "") for name in ("user", "database"))
    sockets = [host for host, _ in address.hosts if host.startswith("/")]
    named = ("" if host.startswith("/") else f"[{host}]" if ":" in host else host for host, _ in address.hosts)
    hosts = ",".join(
        name + (f":{port}" if port is not None and name else "")
        for name, (_, port) in zip(named, address.hosts, strict=True)
    )
    place = f"?host={','.join(sockets)}" if sockets else ""
    return f"postgresql://{f'{user}@' if user else ''}{hosts}/{database}{place}"


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
        # SQLAlchemy calls it `ssl`.
        name = "sslmode" if name == "ssl" else name
        if name in found:
            raise AddressError(f"{name} is given more than once")
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
            raise AddressError(f"{name} must name an existing file")
    elif name not in {*TEXTS, *NAMES, "host", "port"}:
        shown = name if re.fullmatch(r"\w{1,40}", name) else "a name after the question mark"
        raise AddressError(f"{shown} is not supported here (for server settings, use options=-c%20name=value)")
