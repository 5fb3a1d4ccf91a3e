"""Counting statements: what a request may cost the database is a promise."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from unittest.mock import patch

from app.auth.callers import WATCHER
from app.core.database.database import NO_PARAMETERS, Database, Parameters, Query
from app.core.database.retention import PURGER
from app.core.database.rows import Records
from app.core.database.statements import Statement
from app.core.ratelimit.sync import SHARER


@contextmanager
def observed_statements(database: Database, note: Callable[[str], object]) -> Generator[None]:
    """Meanwhile, call `note` with every statement of a database and its transactions before it is executed."""
    pools = (database.pool, database.by_value.pool)
    fetch_all = Database.fetch_all

    async def noting(self: Database, statement: Query, parameters: Parameters = NO_PARAMETERS) -> Records:
        if self.pool in pools:
            note((statement if isinstance(statement, Statement) else Statement(statement)).sql)
        return await fetch_all(self, statement, parameters)

    with patch.object(Database, "fetch_all", noting):
        yield


@contextmanager
def recorded_statements(database: Database) -> Generator[list[str]]:
    """Record every statement that runs meanwhile."""
    statements: list[str] = []

    def note(statement: str) -> None:
        # These run in the background; requests are what is counted.
        task = asyncio.current_task()
        if task is None or task.get_name() not in {WATCHER, PURGER, SHARER}:
            statements.append(statement)

    with observed_statements(database, note):
        yield statements


@contextmanager
def query_budget(database: Database, allowed: int) -> Generator[None]:
    """Exactly this many statements run meanwhile."""
    with recorded_statements(database) as statements:
        yield
    assert len(statements) == allowed, f"{len(statements)} statements instead of {allowed}:\n" + "\n".join(statements)
