"""The exchange of request counts between processes.

About once a second, and only if it has new counts, a process adds them to `rate_counts` in one statement, which returns
the totals of all processes. No request waits for that. If it fails, each process goes on counting by itself.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, Executable, Integer, Text, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.database import Database
from app.core.database.models import Base
from app.core.database.retention import PurgeRule
from app.core.database.statements import compiled, param
from app.core.periodic import PeriodicTask
from app.core.ratelimit.limiter import RateLimits

SHARER = "rate-sharer"
"""The name of the background task."""

SHARE_EVERY = 1.0
"""Seconds between two exchanges."""

SHARE_PAUSE = 0.02
"""Seconds between two exchanges if a caller sends many requests. With 0.1, a flood got half as much more."""


class RateCount(Base):
    """The number of a caller's requests in a window. Unlogged, because it is not needed after a crash."""

    __tablename__ = "rate_counts"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    # First in the primary key, so that its index finds the windows that are over.
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    """The policy, and the caller's id or network address."""

    count: Mapped[int]


# A minute after the end, because the clocks of processes may differ.
PURGE_RULES = (PurgeRule(RateCount, RateCount.ends_at < func.now() - timedelta(minutes=1)),)
"""Counts of windows that are over."""


class RateLimitSync:
    """Exchanges the counts of one process with the others, through the database."""

    def __init__(self, limits: RateLimits, database: Database) -> None:
        self._limits, self._database = limits, database
        self.task = PeriodicTask(
            SHARER,
            self._exchange,
            every=SHARE_EVERY,
            failure="cannot share request counts, each worker counts for itself",
            wake=limits.sync_soon,
            last=self.share,
        )

    async def share(self) -> bool:
        """Add the pending counts to the table, and apply the totals. Return whether there were pending counts."""
        taken = [(counter, *counter.drain_pending()) for counter in self._limits.counters]
        known = {
            counter.storage_key(key): (counter, ends_at, key, number)
            for counter, ends_at, counted in taken
            for key, number in counted.items()
        }
        if not known:
            return False
        arrays = {
            "callers": list(known),
            "ends": [datetime.fromtimestamp(ends_at, UTC) for _, ends_at, _, _ in known.values()],
            "counts": [number for *_, number in known.values()],
        }
        try:
            rows = await self._database.fetch_all(_add_counts(), arrays)
        except BaseException:
            # If the statement was committed after all, these are counted twice, which is rare and lasts one window.
            for counter, ends_at, counted in taken:
                counter.restore_pending(ends_at, counted)
            raise
        for row in rows:
            counter, ends_at, key, _ = known[row["caller"]]
            counter.apply_total(ends_at, key, row["count"])
        return True

    async def _exchange(self) -> None:
        await self.share()
        await asyncio.sleep(SHARE_PAUSE)


@compiled
def _add_counts() -> Executable:
    """Add the counts of one process, and return the totals."""
    arrays = (
        param("callers", ARRAY(Text)),
        param("ends", ARRAY(DateTime(timezone=True))),
        param("counts", ARRAY(Integer)),
    )
    counted = func.unnest(*arrays).table_valued("caller", "ends_at", "count").render_derived(name="counted")
    # Rows are locked in one order: otherwise two processes could deadlock.
    added = insert(RateCount).from_select(
        ["ends_at", "caller", "count"],
        select(counted.c.ends_at, counted.c.caller, counted.c.count).order_by(counted.c.ends_at, counted.c.caller),
    )
    columns: Any = RateCount.__table__.c
    return added.on_conflict_do_update(
        index_elements=[columns.ends_at, columns.caller], set_={"count": columns["count"] + added.excluded["count"]}
    ).returning(columns.caller, columns["count"])
