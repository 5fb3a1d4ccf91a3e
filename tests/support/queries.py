"""Counting statements: what a request may cost the database is a promise."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from app.auth.callers import WATCHER
from app.core.database.database import Database
from app.core.database.retention import PURGER
from app.core.ratelimit.sync import SHARER


@contextmanager
def recorded_statements(database: Database) -> Generator[list[str]]:
    """Record every statement that runs meanwhile."""
    statements: list[str] = []

    def note(statement: str, _: list[Any]) -> None:
        # These run in the background; requests are what is counted.
        task = asyncio.current_task()
        if task is None or task.get_name() not in {WATCHER, PURGER, SHARER}:
            statements.append(statement)

    database.observers.append(note)
    try:
        yield statements
    finally:
        database.observers.remove(note)


@contextmanager
def query_budget(database: Database, allowed: int) -> Generator[None]:
    """Exactly this many statements run meanwhile."""
    with recorded_statements(database) as statements:
        yield
    assert len(statements) == allowed, f"{len(statements)} statements instead of {allowed}:\n" + "\n".join(statements)
