"""How connections are made: straight to PostgreSQL, or through a PgBouncer in transaction mode.

Such a bouncer gives each transaction whichever server connection is free. So nothing may be kept on a connection, no
settings and no prepared statements: each transaction sets what it needs as it begins, and every single statement is a
transaction of its own (docs/decisions/0014-through-pgbouncer.md).
"""

from collections.abc import Mapping
from typing import Any

from app.core.config import Settings


def asyncpg_arguments(settings: Settings, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return what asyncpg is to be given so that these parameters of PostgreSQL hold for every statement."""
    # A name is no setting: PgBouncer knows it, and passes it on.
    named = {"application_name": "taller"}
    return {
        "timeout": settings.database_connect_timeout,
        # The server ends long statements; this is for a server that has gone without a word.
        "command_timeout": settings.statement_timeout + 2,
        "server_settings": named if settings.pgbouncer else {**named, **parameters},
        # Each takes 0.1 to 0.3 MB of a server process. Common ones are some dozens.
        "statement_cache_size": 0 if settings.pgbouncer else 200,
    }


def opening_of(settings: Settings, parameters: Mapping[str, str]) -> str:
    """Return what begins a transaction in which these parameters hold, in one round trip."""
    if not settings.pgbouncer:
        return "BEGIN"
    return "; ".join(("BEGIN", *(f"SET LOCAL {name} = '{value}'" for name, value in parameters.items())))
