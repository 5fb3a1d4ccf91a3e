"""How much is done at a time: so many at once, so many that wait for so long, and a refusal for everybody beyond."""

from types import TracebackType
from typing import Any
from uuid import UUID

from app.core.errors import UnavailableError
from app.core.waiting import LineFullError, WaitingLine

MAX_WAITING = 100
"""Requests of one person that wait for those before them."""

MAX_IDLE = 1_000
"""People who have nothing under way and are remembered all the same: to make their share anew costs 3 µs a request."""


class ConcurrencyLimit:
    """Lets `at_once` blocks run at a time: `async with limit:`.

    Further ones wait in the order in which they came. Where `waiting` wait already, and after `timeout` seconds, a
    block is not run but raises `UnavailableError`, with the reason in `refusal`.
    """

    __slots__ = ("_free", "_line", "_places", "_refusal")

    def __init__(self, at_once: int, *, waiting: int, timeout: float, refusal: str) -> None:
        self._free = self._places = at_once
        self._line: WaitingLine[None] = WaitingLine(length=waiting, timeout=timeout, hand_back=self._hand_back)
        self._refusal = refusal

    @property
    def is_in_use(self) -> bool:
        """Whether anything runs or waits."""
        return self._free < self._places

    def enter_now(self) -> bool:
        """Take a place if one is free, and return whether. Whoever has a place calls `leave` at the end."""
        if not self._free:
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
        """Give the place to the next one that waits, or free it."""
        if not self._line.give(None):
            self._free += 1

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def _hand_back(self, _: None) -> None:
        self.leave()


class Share(ConcurrencyLimit):
    """What one person may have done at a time, whatever they are signed in by."""

    __slots__ = ("searches",)

    def __init__(self, at_once: int, *, searches: int, timeout: float) -> None:
        bounds: dict[str, Any] = {"waiting": MAX_WAITING, "timeout": timeout}
        super().__init__(
            at_once, **bounds, refusal=f"Your requests waited too long: at most {at_once} of them run at the same time."
        )
        self.searches = ConcurrencyLimit(
            searches,
            **bounds,
            refusal=f"Your searches and sorted lists waited too long: at most {searches} of them run at the same time.",
        )
        """Those of the requests that look for something, which may take PostgreSQL a thousand times as long."""


class CallerShares:
    """The shares of everybody in this process, so that nobody takes what others need."""

    def __init__(self, at_once: int, *, searches: int, timeout: float) -> None:
        self._at_once, self._searches, self._timeout = at_once, searches, timeout
        self._shares: dict[int, Share] = {}
        self._tidy_at = MAX_IDLE

    def of(self, user_id: UUID) -> Share:
        """Return a person's share."""
        share = self._shares.get(user_id.int)
        if share is None:
            share = Share(self._at_once, searches=self._searches, timeout=self._timeout)
            self._tidy()
            self._shares[user_id.int] = share
        return share

    def _tidy(self) -> None:
        if len(self._shares) >= self._tidy_at:
            self._shares = {number: share for number, share in self._shares.items() if share.is_in_use}
            self._tidy_at = max(MAX_IDLE, 2 * len(self._shares))
