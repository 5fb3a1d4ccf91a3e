"""How connections are made: straight to PostgreSQL, or through a PgBouncer in transaction mode.

Such a bouncer gives each transaction whichever server connection is free. So nothing may be kept on a connection, no
settings and no prepared statements: each transaction sets what it needs as it begins, and every single statement is a
transaction of its own (docs/decisions/0014-through-pgbouncer.md). This module is all of the difference.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import asyncpg

from app.core.config import Settings


def asyncpg_arguments(settings: Settings, parameters: Mapping[str, str]) -> dict[str, Any]:
    """What asyncpg is to be given so that these parameters of PostgreSQL hold for every statement."""
    common = {
        "timeout": settings.database_connect_timeout,
        # The server ends long statements; this is for a server that has gone without a word.
        "command_timeout": settings.statement_timeout + 2,
    }
    # A name is no setting: PgBouncer knows it, and passes it on.
    named = {"application_name": "taller"}
    if settings.pgbouncer:
        return {
            **common,
            "server_settings": named,
            "statement_cache_size": 0,
            "connection_class": type(
                "Bounced",
                (BouncedConnection,),
                {"opening": _opening(parameters), "patience": settings.database_pool_timeout},
            ),
        }
    return {**common, "server_settings": {**named, **parameters}, "statement_cache_size": 500}


def engine_arguments(settings: Settings, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The same for SQLAlchemy's engine, which keeps prepared statements of its own."""
    kept = {"prepared_statement_cache_size": 0} if settings.pgbouncer else {}
    return {**asyncpg_arguments(settings, parameters), **kept}


def opening_of(settings: Settings, parameters: Mapping[str, str]) -> str:
    """What begins a transaction in which these parameters hold, in one round trip."""
    return _opening(parameters) if settings.pgbouncer else "BEGIN"


def _opening(parameters: Mapping[str, str]) -> str:
    return "; ".join(("BEGIN", *(f"SET LOCAL {name} = '{value}'" for name, value in parameters.items())))


class BouncedConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg is not typed
    """A connection to PgBouncer, on which everything is a transaction."""

    opening: ClassVar[str]
    """Begins a transaction and gives it its settings, in one round trip."""
    patience: ClassVar[float]
    """Seconds to wait for it: that is when PgBouncer looks for a free connection to the server."""

    def transaction(self, **options: Any) -> "BouncedTransaction":
        """A transaction with our settings, also for SQLAlchemy. Isolation and the like are the server's defaults."""
        if any(options.values()):
            raise NotImplementedError(f"a transaction through PgBouncer with {options}")
        return BouncedTransaction(self)

    async def fetch(self, query: str, *args: Any, **options: Any) -> list[Any]:
        """Run one statement, as its own transaction unless one is open, committed when this returns."""
        if self.is_in_transaction():
            inside: list[Any] = await super().fetch(query, *args, **options)
            return inside
        transaction = self.transaction()
        await transaction.start()
        try:
            records: list[Any] = await super().fetch(query, *args, **options)
        except asyncpg.PostgresError:
            await transaction.rollback()
            raise
        await transaction.commit()
        return records


class BouncedTransaction:
    """As much of asyncpg's transactions as SQLAlchemy uses."""

    def __init__(self, connection: BouncedConnection) -> None:
        self._connection = connection

    async def start(self) -> None:
        """Begin."""
        await self._run(self._connection.opening, self._connection.patience)

    async def commit(self) -> None:
        """End, and keep what was done."""
        await self._run("COMMIT")

    async def rollback(self) -> None:
        """End, and undo what was done."""
        await self._run("ROLLBACK")

    async def _run(self, command: str, patience: float | None = None) -> None:
        try:
            await self._connection.execute(command, timeout=patience)
        except BaseException as error:
            # A COMMIT that is refused leaves nothing open. Anything else may have, and nobody else may get that.
            if not isinstance(error, asyncpg.PostgresError) or self._connection.is_in_transaction():
                self._connection.terminate()
            raise
