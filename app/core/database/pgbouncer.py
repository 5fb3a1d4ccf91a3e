"""Options of connections, directly to PostgreSQL or through a PgBouncer in transaction mode.

PgBouncer gives each transaction any free server connection, which keeps no settings: each transaction sets them, and so
does every single statement (docs/decisions/0014-through-pgbouncer.md).
"""

from collections.abc import Mapping
from typing import Any

from app.core.addresses import Address
from app.core.config import Settings
from app.core.database.connecting import wanted_attributes


def asyncpg_arguments(settings: Settings, address: Address, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return asyncpg's arguments with which these parameters of PostgreSQL apply to every statement."""
    # PgBouncer tracks the application's name and passes it on, other than settings.
    named = {"application_name": "taller"}
    return {
        "timeout": settings.database_connect_timeout,
        "server_settings": named if settings.pgbouncer else {**named, **parameters},
        # `PreparedConnection` keeps prepared statements, and no statement is short enough for the driver to keep. Yet
        # with a cache of size 0 the driver would send each twice, in case that it is executed in another transaction:
        # that happens only to its own, by which it chooses among several hosts.
        "max_cacheable_statement_size": 1,
        "statement_cache_size": 0 if settings.pgbouncer and wanted_attributes(address) is not None else 1,
    }


class Limits:
    """The parameters of a single statement, which are sent in front of it: they end with its transaction, and that with
    the statement. So it takes as many round trips as without them.
    """

    def __init__(self, parameters: Mapping[str, str], *, timeout: float, keeps: bool) -> None:
        """`timeout`: the seconds that PgBouncer may take to find a server connection. `keeps`: whether it prepares."""
        set_each = (f"set_config('{name}', '{value}', true) IS NULL" for name, value in parameters.items())
        self.timeout = timeout
        self.name = "limits" if keeps else ""
        # No row satisfies it: the driver would take rows for those of the statement that follows.
        self.sql = f"SELECT WHERE {' OR '.join(set_each)}"
        parse = b"" if keeps else _message(b"P", f"\0{self.sql}\0\0\0")
        bind, execute = _message(b"B", f"\0{self.name}\0" + "\0" * 6), _message(b"E", "\0" * 5)
        self.messages = parse + bind + execute


def _message(kind: bytes, body: str) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body.encode()


def opening_of(settings: Settings, parameters: Mapping[str, str]) -> str:
    """Return the SQL that begins a transaction with these parameters in one round trip."""
    if not settings.pgbouncer:
        return "BEGIN"
    return "; ".join(("BEGIN", *(f"SET LOCAL {name} = '{value}'" for name, value in parameters.items())))
