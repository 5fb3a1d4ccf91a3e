"""Options of connections, directly to PostgreSQL or through a PgBouncer in transaction mode.

PgBouncer gives each transaction any free server connection. So a connection keeps neither settings nor prepared
statements: each transaction sets its settings when it begins, and every single statement is a transaction of its own
(docs/decisions/0014-through-pgbouncer.md).
"""

from collections.abc import Mapping
from typing import Any

from app.core.config import Settings


def asyncpg_arguments(settings: Settings, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return asyncpg's arguments with which these parameters of PostgreSQL apply to every statement."""
    # PgBouncer tracks the application's name and passes it on, other than settings.
    named = {"application_name": "taller"}
    return {
        "timeout": settings.database_connect_timeout,
        "server_settings": named if settings.pgbouncer else {**named, **parameters},
        # `PreparedConnection` keeps prepared statements itself. PgBouncer in transaction mode keeps none.
        "statement_cache_size": 0 if settings.pgbouncer else 1,
    }


def opening_of(settings: Settings, parameters: Mapping[str, str]) -> str:
    """Return the SQL that begins a transaction with these parameters in one round trip."""
    if not settings.pgbouncer:
        return "BEGIN"
    return "; ".join(("BEGIN", *(f"SET LOCAL {name} = '{value}'" for name, value in parameters.items())))
