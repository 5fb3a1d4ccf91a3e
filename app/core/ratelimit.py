"""How many requests a caller may send in a while (the IETF's draft-ietf-httpapi-ratelimit-headers-10).

Each process counts by itself, in windows that all processes begin at the same moment. About once a second it adds what
it has counted to `rate_counts`, in one statement that also tells what the others have counted: no request waits for it,
and nothing is refused because it fails. docs/decisions/0018-rate-limits.md says how exact that is, and what it costs.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Executable, Integer, Text, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, mapped_column
from starlette.types import Scope

from app.core import clock
from app.core.database import Database
from app.core.errors import TooManyRequestsError
from app.core.housekeeping import Expired
from app.core.models import Base
from app.core.network import network_of
from app.core.statements import given, prepared

logger = logging.getLogger(__name__)

DEFAULT, LOGIN = "default", "login"
"""The policies: for callers, and for what can be guessed."""

FREE = "free"
"""No policy: what is never counted."""

ALLOWANCE = "taller.allowance"
"""Where a request's `Allowance` is in its ASGI scope; not there where no limit is set."""

SHARER = "rate-sharer"
"""The name of the background task."""

SHARE_EVERY = 1.0
"""Seconds between two exchanges with the other processes, as long as there is anything to exchange."""

SHARE_PAUSE = 0.1
"""Seconds between two exchanges at least: there is one at once when a caller has used a tenth of the quota since the
last."""

MAX_CALLERS = 20_000
"""Callers that a process counts under one policy at a time; beyond, the one that asked longest ago is forgotten. About
5 MB when full."""

Moment = DateTime(timezone=True)
Key = UUID | str
"""A person or an API key by their id, or a network address."""


class RateCount(Base):
    """How many requests a caller has sent in a window. Unlogged: worth nothing after a crash."""

    __tablename__ = "rate_counts"
    __table_args__ = {"prefixes": ["UNLOGGED"]}  # noqa: RUF012 - as SQLAlchemy wants it

    # First, so that what is over is found by the same index.
    ends_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    """The policy, and the caller's id or network address."""

    count: Mapped[int]


# A minute later, for processes whose clocks differ.
EXPIRED = (Expired(RateCount, RateCount.ends_at < func.now() - timedelta(minutes=1)),)
"""Counts of windows that are over."""


class _Counter:
    """What callers have used of one policy's quota in the current window, as far as this process knows."""

    def __init__(self, name: str, requests: int, seconds: int, hurry: asyncio.Event) -> None:
        self._name, self._requests, self._seconds = name, requests, seconds
        self._policy = (b"ratelimit-policy", f'"{name}";q={requests};w={seconds}'.encode())
        self._remaining = f'"{name}";r=%d;t=%d'
        self._label = f"{name}/{seconds}:"
        self._hurry, self._hurry_at = hurry, max(1, requests // 10)
        self._window = 0
        self._used: OrderedDict[Key, int] = OrderedDict()
        self._unshared: dict[Key, int] = {}

    def take(self, key: Key) -> int:
        """Count one request; the window in which it was counted. Raises `TooManyRequestsError` where none is left."""
        if self.is_spent(key):
            left = self._left()
            raise TooManyRequestsError(
                left,
                f"The policy {self._name} allows {self._requests} requests in {self._seconds} seconds: "
                f"try again in {left} seconds.",
            )
        self._count(key, 1)
        return self._window

    def is_spent(self, key: Key) -> bool:
        """Whether this caller has no request left."""
        self._left()
        return self._used.get(key, 0) >= self._requests

    def add(self, key: Key) -> None:
        """Count one request, whether or not there is one left."""
        self._left()
        self._count(key, 1)

    def give_back(self, key: Key, window: int) -> None:
        """Take back one that was counted in a window, unless that is over."""
        self._left()
        if window == self._window:
            self._count(key, -1)

    def headers(self, key: Key) -> list[tuple[bytes, bytes]]:
        """The policy, and what is left of it for how long."""
        left = self._left()
        remaining = max(0, self._requests - self._used.get(key, 0))
        return [self._policy, (b"ratelimit", (self._remaining % (remaining, left)).encode())]

    def unshared(self) -> tuple[int, dict[Key, int]]:
        """What the other processes do not know of yet, and its window; from here on they are taken to know."""
        self._left()
        counted, self._unshared = self._unshared, {}
        return self._window, counted

    def keep(self, window: int, counted: Mapping[Key, int]) -> None:
        """The others could not be told."""
        if window == self._window:
            for key, number in counted.items():
                self._unshared[key] = self._unshared.get(key, 0) + number

    def learn(self, window: int, key: Key, total: int) -> None:
        """What all processes together had counted when the others were told."""
        if window == self._window:
            self._set(key, total + self._unshared.get(key, 0))

    def rows(self, window: int, counted: Mapping[Key, int]) -> Iterable[tuple[str, datetime, int]]:
        """The same as rows of the table."""
        ends_at = datetime.fromtimestamp((window + 1) * self._seconds, UTC)
        return [(f"{self._label}{key}", ends_at, number) for key, number in counted.items()]

    def _left(self) -> int:
        """Seconds until the window ends, having begun the next one if it has."""
        now = clock.seconds()
        window = int(now // self._seconds)
        if window != self._window:
            self._window = window
            self._used.clear()
            self._unshared.clear()
        return ceil((window + 1) * self._seconds - now)

    def _count(self, key: Key, number: int) -> None:
        self._set(key, self._used.get(key, 0) + number)
        unshared = self._unshared
        if key in unshared or len(unshared) < MAX_CALLERS:
            unshared[key] = waiting = unshared.get(key, 0) + number
            if waiting == self._hurry_at:
                self._hurry.set()

    def _set(self, key: Key, number: int) -> None:
        self._used[key] = number
        self._used.move_to_end(key)
        if len(self._used) > MAX_CALLERS:
            self._used.popitem(last=False)


class Allowance:
    """What one request takes, once, from what its caller may still ask for."""

    __slots__ = ("_counter", "_key", "_limits", "_scope", "_settled", "_window")

    def __init__(self, limits: "RateLimits", scope: Scope) -> None:
        self._limits, self._scope = limits, scope
        self._settled = False
        self._counter: _Counter | None = None
        self._key: Key = ""
        self._window: int | None = None

    def take(self, caller: UUID) -> None:
        """Count it for whoever is signed in. Raises `TooManyRequestsError` where none is left."""
        self._take(DEFAULT, caller)

    def take_for_address(self, policy: str) -> None:
        """Count it for the network address from which it comes, unless `FREE`."""
        if not self._settled:
            self._take(policy, network_of(self._scope))

    def refuse_spent_address(self) -> None:
        """Raise `TooManyRequestsError` if this network address has no request left, before somebody's token, which
        anybody can make up, costs a statement.
        """
        counter = self._limits.counters.get(DEFAULT)
        if counter is not None and counter.is_spent(network_of(self._scope)):
            self.take_for_address(DEFAULT)

    def headers(self, status: int) -> Sequence[tuple[bytes, bytes]]:
        """What the caller is told with the answer."""
        if not self._settled:
            # Refused before anybody asked who it is, or by a mistake of ours, which costs nothing.
            self._settle(self._limits.counters.get(DEFAULT), network_of(self._scope))
            if self._counter is not None and status < 500:
                self._counter.add(self._key)
        if self._counter is None:
            return ()
        if status == 304 and self._window is not None:
            self._counter.give_back(self._key, self._window)
        return self._counter.headers(self._key)

    def _take(self, policy: str, key: Key) -> None:
        if self._settled:
            return
        counters = self._limits.counters
        if policy == FREE:
            self._settle(counters.get(DEFAULT), key)
            return
        self._settle(counters.get(policy), key)
        if self._counter is not None:
            self._window = self._counter.take(key)

    def _settle(self, counter: _Counter | None, key: Key) -> None:
        self._counter, self._key, self._settled = counter, key, True


class RateLimits:
    """The policies of one process, and their exchange with the other processes'."""

    def __init__(self, policies: Mapping[str, tuple[int, int]]) -> None:
        self._hurry = asyncio.Event()
        self.counters = {name: _Counter(name, *rate, self._hurry) for name, rate in policies.items()}
        self._sharer: asyncio.Task[None] | None = None
        self._is_alone = False

    def allowance(self, scope: Scope) -> Allowance:
        """For one request."""
        return Allowance(self, scope)

    async def start(self, database: Database) -> None:
        """Begin to exchange counts by way of this database."""
        self._sharer = asyncio.create_task(self._keep_sharing(database), name=SHARER)

    async def stop(self, database: Database) -> None:
        """Tell the other processes, for the last time."""
        if self._sharer is not None:
            self._sharer.cancel()
            await asyncio.gather(self._sharer, return_exceptions=True)
            with suppress(Exception):
                await self.share(database)

    async def share(self, database: Database) -> bool:
        """Add what was counted here to what all have counted, and learn that; whether there was anything to add."""
        taken = [(counter, *counter.unshared()) for counter in self.counters.values()]
        known = {
            row[0]: (counter, window, key, row)
            for counter, window, counted in taken
            for key, row in zip(counted, counter.rows(window, counted), strict=True)
        }
        if not known:
            return False
        callers, ends, counts = zip(*(row for *_, row in known.values()), strict=True)
        try:
            rows = await database.rows(
                prepared(_adding), {"callers": list(callers), "ends": list(ends), "counts": list(counts)}
            )
        except BaseException:
            # If it was written after all, these are counted twice: once in a while, and for one window.
            for counter, window, counted in taken:
                counter.keep(window, counted)
            raise
        for row in rows:
            counter, window, key, _ = known[row["caller"]]
            counter.learn(window, key, row["count"])
        return True

    async def _keep_sharing(self, database: Database) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SHARE_EVERY - SHARE_PAUSE):
                    await self._hurry.wait()
            self._hurry.clear()
            try:
                if await self.share(database):
                    self._is_alone = False
            except Exception as error:  # noqa: BLE001 - whatever it is, requests are counted here all the same
                if not self._is_alone:
                    logger.warning("cannot share request counts, each worker counts for itself: %s", error)
                self._is_alone = True
            await asyncio.sleep(SHARE_PAUSE)


def _adding() -> Executable:
    """What one process has counted, added to what is there."""
    arrays = (given("callers", ARRAY(Text)), given("ends", ARRAY(Moment)), given("counts", ARRAY(Integer)))
    counted = func.unnest(*arrays).table_valued("caller", "ends_at", "count").render_derived(name="counted")
    # In one order, or two processes could wait for each other.
    added = insert(RateCount).from_select(
        ["ends_at", "caller", "count"],
        select(counted.c.ends_at, counted.c.caller, counted.c.count).order_by(counted.c.ends_at, counted.c.caller),
    )
    columns: Any = RateCount.__table__.c
    return added.on_conflict_do_update(
        index_elements=[columns.ends_at, columns.caller], set_={"count": columns["count"] + added.excluded["count"]}
    ).returning(columns.caller, columns["count"])
