"""Retention: expired rows are deleted in the background, a bounded number of rows at a time."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Executable, delete, inspect, literal, select

from app.core.database.database import NO_PARAMETERS, Database, Parameters, Query
from app.core.database.models import Base
from app.core.periodic import PeriodicTask

PURGER = "purger"
"""The name of the background task."""

EVERY = 600.0
"""Seconds between two purges."""

RETRY = 10.0
"""Seconds after which a failed purge is retried."""

STEP = 1_000
"""Rows that one statement deletes at most."""


@dataclass(frozen=True)
class PurgeRule:
    """A condition for rows that are no longer needed."""

    model: type[Base]
    condition: ColumnElement[bool]


class Purger:
    """Deletes expired rows as long as the application runs; one instance for each process."""

    def __init__(self, database: Database, expired: Iterable[PurgeRule], *, every: float = EVERY) -> None:
        self._database = database
        self._steps = [deletion(rows) for rows in expired]
        self.task = PeriodicTask(
            PURGER,
            self.purge,
            every=every,
            begins=every,
            retry=min(every, RETRY),
            failure="cannot delete expired rows",
        )

    async def purge(self) -> None:
        """Delete all rows that have expired by now."""
        for step in self._steps:
            await delete_all(self._database, step)


def deletion(expired: PurgeRule) -> Executable:
    """Return a statement that deletes at most `STEP` rows, and skips rows that others have locked."""
    # By primary key: places of rows (`ctid`) mean nothing to Citus, which may execute this (docs/scaling.md).
    keys = inspect(expired.model).primary_key
    found = select(*keys).where(expired.condition).limit(STEP).with_for_update(skip_locked=True).cte("expired")
    return delete(expired.model).where(*(key == found.c[key.name] for key in keys)).returning(literal(1))


async def delete_all(database: Database, step: Query, parameters: Parameters = NO_PARAMETERS) -> None:
    """Repeat a `deletion` until it finds no more rows."""
    deleted = STEP
    while deleted == STEP:
        deleted = len(await database.fetch_all(step, parameters))
