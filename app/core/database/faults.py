"""Messages for operators if the database cannot be used: what is wrong, at which address, and what to do."""

import socket
import ssl
from collections.abc import Iterator

import asyncpg

from app.core.addresses import without_password
from app.core.errors import UnavailableError

_CHECK_ADDRESS = "check the host and the port in TALLER_DATABASE_URL, and that PostgreSQL runs there"
_CHECK_LOGIN = "check the user and the password in TALLER_DATABASE_URL"
_CHECK_TLS = "check sslmode, sslrootcert, sslcert and sslkey in TALLER_DATABASE_URL, and the host's name"
_MIGRATE = "run `taller migrate`"

_BY_STATE = {
    "28P01": _CHECK_LOGIN,
    "28000": f"{_CHECK_LOGIN}, and pg_hba.conf of the server",
    "3D000": "create the database, or correct its name in TALLER_DATABASE_URL",
    "42501": "the role of TALLER_DATABASE_URL must own its database (ALTER DATABASE … OWNER TO …)",
    "42P01": _MIGRATE,
    "42703": _MIGRATE,
    "42883": _MIGRATE,
    "25006": "name the primary in TALLER_DATABASE_URL, which leads to what is read only",
    "53100": "make room on the disk of the database server, then try again",
    "53300": "lower TALLER_DATABASE_POOL_SIZE or TALLER_WORKERS, or raise max_connections of the server",
    "55P03": "try again when those have ended who use the table; nothing was changed",
    "57P03": "try again in a moment",
    "57014": "try again, or raise TALLER_STATEMENT_TIMEOUT",
}
"""What to do, by the SQLSTATE of PostgreSQL's error."""


def explanation(error: BaseException, url: str | None) -> str | None:
    """Return a message of one line for an error of the database, or None for any other error."""
    for cause in _causes(error):
        found = _found(cause)
        if found is not None:
            what, way = found
            place = without_password(url) if url else "the embedded database"
            return f"Cannot use {place}: {what}. {way[0].upper()}{way[1:]}."
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes of an error, the first one first."""
    chain = [error]
    # SQLAlchemy wraps what asyncpg raises, which is its cause's cause.
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return reversed(chain)


def _found(error: BaseException) -> tuple[str, str] | None:
    """Return what is wrong and what to do."""
    if isinstance(error, asyncpg.PostgresError):
        state = getattr(error, "sqlstate", None) or ""
        return f"{_first_line(error)} (SQLSTATE {state})", _BY_STATE.get(state, "the log of the server may say more")
    if isinstance(error, UnavailableError) and error.__cause__ is None:
        return _found(TimeoutError())
    for kind, what, way in _BY_CLASS:
        if isinstance(error, kind):
            return what.format(_first_line(error)), way
    return None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


_BY_CLASS: tuple[tuple[type[BaseException], str, str], ...] = (
    (socket.gaierror, "the name of the host is not known", _CHECK_ADDRESS),
    (UnicodeError, "the name of the host is not known", _CHECK_ADDRESS),
    (ssl.SSLError, "TLS failed: {}", _CHECK_TLS),
    (TimeoutError, "there was no answer in time", f"{_CHECK_ADDRESS}, or raise TALLER_DATABASE_CONNECT_TIMEOUT"),
    (ConnectionRefusedError, "the connection is refused", _CHECK_ADDRESS),
    (
        asyncpg.TargetServerAttributeNotMatched,
        "no host of it is a primary",
        "wait for a promotion, or name other hosts",
    ),
    (asyncpg.ClientConfigurationError, "{}", "correct TALLER_DATABASE_URL"),
    (asyncpg.InterfaceError, "{}", _CHECK_ADDRESS),
    (asyncpg.InternalClientError, "{}", _CHECK_ADDRESS),
    (OSError, "{}", _CHECK_ADDRESS),
)
"""What is wrong if PostgreSQL does not answer, with the text of the error, and what to do."""
