"""Connections that keep their statements prepared, and enforce their time limit.

Timestamps and dates are exchanged as PostgreSQL's own numbers: the driver takes ten times as long for a `datetime` as
for a number, and it reads the first and the last date that Python knows as infinity.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from app.core.bounded import BoundedDict
from app.core.database.rows import Columns, Records
from app.core.database.statements import Statement
from app.core.waiting import Deadlines

if TYPE_CHECKING:
    from app.core.tracing import Tracing

MAX_KEPT = 200
"""Statements that a connection keeps prepared, those used last: each takes 0.1 to 0.3 MB of a server process."""

OUTDATED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
"""What executing a prepared statement raises after a migration has changed what it returns."""

_NUMBERS = {"timestamptz": "int8", "date": "int4"}


class PreparedConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg is not typed
    """A connection that runs `Statement`s."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._kept: BoundedDict[str, tuple[PreparedStatement, Columns]] = BoundedDict(MAX_KEPT)
        self._deadlines: Deadlines[PreparedConnection] | None = None
        self._keeps = True
        self._tracing: Tracing | None = None

    async def set_up(
        self, deadlines: "Deadlines[PreparedConnection]", *, keeps: bool, tracing: "Tracing | None"
    ) -> None:
        """Make the connection ready: each statement gets a deadline, and without `keeps` none stays prepared."""
        self._deadlines, self._keeps, self._tracing = deadlines, keeps, tracing
        for type_, number in _NUMBERS.items():
            await self.set_builtin_type_codec(type_, schema="pg_catalog", codec_name=number)

    @contextmanager
    def limited(self) -> Generator[None]:
        """Close the connection if the body of the `with` statement takes too long."""
        assert self._deadlines is not None, "it is set up"
        self._deadlines.add(self)
        try:
            yield
        finally:
            self._deadlines.pop(self, None)

    async def run(self, statement: Statement, arguments: Sequence[Any], *, prepares_anew: bool = False) -> Records:
        """Return the rows of a statement, which stays prepared unless it is rare.

        `prepares_anew`: neither use what is prepared, nor keep it.
        """
        deadlines = self._deadlines
        assert deadlines is not None, "it is set up"
        span = None if self._tracing is None else self._tracing.begin_statement(statement.sql)
        deadlines.add(self)
        try:
            kept = None if prepares_anew else self._kept.get(statement.sql)
            if kept is None:
                prepared, columns = await self._prepare_statement(statement, keeps=not prepares_anew)
            else:
                prepared, columns = kept
                self._kept.move_to_end(statement.sql)
            try:
                return Records(columns, await prepared.fetch(*arguments))
            except OUTDATED:
                # A migration has changed what it returns.
                self._kept.clear()
                if kept is None or self.is_in_transaction():
                    raise
            prepared, columns = await self._prepare_statement(statement, keeps=True)
            return Records(columns, await prepared.fetch(*arguments))
        finally:
            deadlines.pop(self, None)
            if span is not None:
                span.end()

    async def _prepare_statement(self, statement: Statement, *, keeps: bool) -> "tuple[PreparedStatement, Columns]":
        keeps = keeps and self._keeps and not statement.is_rare
        prepared = await self.prepare(statement.sql, name=None if keeps else "")
        columns = Columns(prepared.get_attributes(), statement.model)
        if keeps:
            self._kept.put(statement.sql, (prepared, columns))
        return prepared, columns
