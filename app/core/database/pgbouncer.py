"""Options of connections, directly to PostgreSQL or through a PgBouncer in transaction mode.

PgBouncer gives each transaction any free server connection, which keeps no settings: each transaction sets them, and
every single statement is one (docs/decisions/0014-through-pgbouncer.md).
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


def opening_of(settings: Settings, parameters: Mapping[str, str]) -> str:
    """Return the SQL that begins a transaction with these parameters in one round trip."""
    if not settings.pgbouncer:
        return "BEGIN"
    return "; ".join(("BEGIN", *(f"SET LOCAL {name} = '{value}'" for name, value in parameters.items())))
