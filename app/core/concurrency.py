"""Limits on concurrency: a number of places, a bounded queue with a timeout, and a 503 for everything beyond."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar
from uuid import UUID

from app.core.errors import UnavailableError
from app.core.waiting import LineFullError, WaitingLine

T = TypeVar("T")

SLOW = 0.05
"""Seconds from which a search counts as slow."""

ALONE = 20
"""For how many times as long as a slow search took, the same person's searches run one at a time."""

COMPANY_LASTS = 10.0
"""Seconds for which a worker counts as serving several people, after requests of two different ones."""

PATIENCE = 0.05
"""Seconds in company after which one more request of a person runs, if none of theirs has ended meanwhile."""

MAX_WAITING = 100
"""Requests of one person that may wait for a place."""

MAX_IDLE = 1_000
"""Shares that are kept although nothing runs or waits in them, because creating one costs 3 µs a request."""


class ConcurrencyLimit:
    """Lets `at_once` blocks run at a time: `async with limit:`.

    Further blocks wait in order of arrival. A block raises `UnavailableError` with the detail `refusal` if `waiting`
    blocks wait already, or if it has waited for `timeout` seconds.
    """

    __slots__ = ("_free", "_line", "_places", "_refusal")

    def __init__(self, at_once: int, *, waiting: int, timeout: float, refusal: str) -> None:
        self._free = self._places = at_once
        self._line: WaitingLine[None] = WaitingLine(length=waiting, timeout=timeout, hand_back=lambda _: self.leave())
        self._refusal = refusal

    @property
    def is_in_use(self) -> bool:
        """Whether anything runs or waits."""
        return self._free < self._places

    def enter_now(self) -> bool:
        """Take a place if there is one, and return whether there was. The holder must call `leave` afterwards."""
        if not self._has_room:
            return False
        self._free -= 1
        return True

    async def enter(self) -> None:
        """Take a place, and wait for it if none is free. Raises `UnavailableError`."""
        if self.enter_now():
            return
        try:
            await self._line.wait(self._line.join())
        except (LineFullError, TimeoutError):
            raise UnavailableError(self._refusal) from None

    def leave(self) -> None:
        """Give the place back, and let blocks that wait run."""
        self._free += 1
        if self._line:
            self.admit()

    def admit(self) -> None:
        """Let blocks that wait run, as many as may."""
        while self._line and self._has_room and self._line.give(None):
            self._free -= 1

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(self, *error: object) -> None:
        self.leave()

    @property
    def _has_room(self) -> bool:
        return self._free > 0


class Share(ConcurrencyLimit):
    """The limit on one person's concurrent requests, over all their sessions and API keys.

    In company they run one at a time, besides those that take turns in `searches`. A request that waits for a lock
    holds up others of its person for no longer than `PATIENCE`: then one more runs, and so on, up to `at_once`.
    """

    __slots__ = ("_callers", "_ended", "_timer", "searches")

    def __init__(self, at_once: int, *, searches: int, callers: "CallerShares", timeout: float) -> None:
        super().__init__(
            at_once,
            waiting=MAX_WAITING,
            timeout=timeout,
            refusal=f"Your requests waited too long: at most {at_once} of them run at the same time.",
        )
        self._callers = callers
        self._ended = 0
        """How many requests have ended."""

        self._timer: asyncio.TimerHandle | None = None
        self.searches = Searches(searches, share=self, callers=callers, timeout=timeout)
        """The limit on costly ones."""

    async def enter(self) -> None:
        """Take a place, and wait for it if there is none. Raises `UnavailableError`."""
        if not self.enter_now():
            self._be_patient()
            await super().enter()

    def leave(self) -> None:
        """Give the place back, and let requests that wait run."""
        self._ended += 1
        super().leave()

    def admit(self) -> None:
        """Let requests that wait run, as many as may now, and others if none of these ends."""
        super().admit()
        if self._line:
            self._be_patient()

    @property
    def _has_room(self) -> bool:
        if not self._free:
            return False
        return self._places - self._free <= self.searches.number or monotonic() >= self._callers.company_until

    def _be_patient(self) -> None:
        if self._timer is None and self._free:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._lose_patience, self._ended)

    def _lose_patience(self, ended: int) -> None:
        self._timer = None
        if ended == self._ended and self._free and self._line.give(None):
            self._free -= 1
        if self._line:
            self._be_patient()


class Searches(ConcurrencyLimit):
    """The limit on those requests of one person that may take PostgreSQL a thousand times as long as others: searches,
    sorted lists, and what else depends on the number of tasks.

    In company they run one at a time. Without, they do so at first, and one more after each that was quick, up to
    `at_once`. After a slow one, they run one at a time for a while.
    """

    __slots__ = ("_allowed", "_alone_until", "_callers", "_share", "number")

    def __init__(self, at_once: int, *, share: Share, callers: "CallerShares", timeout: float) -> None:
        super().__init__(
            at_once,
            waiting=MAX_WAITING,
            timeout=timeout,
            refusal=f"Your searches and other costly requests waited too long: at most {at_once} of them run at the "
            "same time, slow ones one by one.",
        )
        self._share, self._callers = share, callers
        self._allowed = 1
        self._alone_until = 0.0
        self.number = 0
        """How many run or wait here, which have a place in the share already."""

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` returns, as soon as there is a place for it. Raises `UnavailableError`."""
        self.number += 1
        try:
            self._share.admit()
            async with self:
                began = monotonic()
                try:
                    return await work()
                finally:
                    self._learn_from(monotonic() - began)
        finally:
            self.number -= 1

    def enter_now(self) -> bool:
        """Take a place if one is free and nobody waits for it, and return whether it was."""
        if self._line or not self._has_room:
            return False
        self._free -= 1
        return True

    @property
    def _has_room(self) -> bool:
        running = self._places - self._free
        return not running or (running < self._allowed and monotonic() >= self._callers.company_until)

    def _learn_from(self, seconds: float) -> None:
        now = monotonic()
        if seconds > SLOW:
            self._allowed, self._alone_until = 1, max(self._alone_until, now + ALONE * seconds)
        elif self._allowed < self._places and now >= self._alone_until:
            self._allowed += 1


class CallerShares:
    """The shares of all callers in this process, so that no caller occupies every connection."""

    def __init__(self, at_once: int, *, searches: int, timeout: float) -> None:
        self._at_once, self._searches, self._timeout = at_once, searches, timeout
        self._shares: dict[int, Share] = {}
        self._latest: Share | None = None
        self.company_until = 0.0
        """When the worker counts as serving one person again, by the monotonic clock."""

        self._tidy_at = MAX_IDLE

    def of(self, user_id: UUID) -> Share:
        """Return the share of the person whose request is next."""
        share = self._shares.get(user_id.int)
        if share is None:
            share = Share(self._at_once, searches=self._searches, callers=self, timeout=self._timeout)
            self._tidy()
            self._shares[user_id.int] = share
        if share is not self._latest:
            if self._latest is not None:
                self.company_until = monotonic() + COMPANY_LASTS
            self._latest = share
        return share

    def _tidy(self) -> None:
        if len(self._shares) >= self._tidy_at:
            self._shares = {number: share for number, share in self._shares.items() if share.is_in_use}
            self._tidy_at = max(MAX_IDLE, 2 * len(self._shares))
