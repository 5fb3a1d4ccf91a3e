"""How much is done at a time: so many at once, so many that wait for so long, and a refusal for everybody beyond."""

from types import TracebackType
from uuid import UUID

from app.core.errors import UnavailableError
from app.core.waiting import LineFullError, WaitingLine

MAX_WAITING = 100
"""Requests of one person that wait for those before them."""

MAX_IDLE = 1_000
"""People who have nothing under way and are remembered all the same: to make their limit anew costs 2 µs a request."""


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
        """Begin, if that is possible without waiting; whoever is told so calls `leave` at the end."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def enter(self) -> None:
        """Wait for a turn; whoever gets one calls `leave` at the end."""
        if self.enter_now():
            return
        try:
            await self._line.wait()
        except (LineFullError, TimeoutError):
            raise UnavailableError(self._refusal) from None

    def leave(self) -> None:
        """Let the next one run."""
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


class CallerShares:
    """What each person may have done at a time by this process, so that nobody takes what others need."""

    def __init__(self, at_once: int, *, timeout: float) -> None:
        self._at_once, self._timeout = at_once, timeout
        self._limits: dict[int, ConcurrencyLimit] = {}
        self._tidy_at = MAX_IDLE

    def of(self, user_id: UUID) -> ConcurrencyLimit:
        """Return the limit under which all requests of a person run, whatever they are signed in by."""
        limit = self._limits.get(user_id.int)
        if limit is None:
            limit = ConcurrencyLimit(
                self._at_once,
                waiting=MAX_WAITING,
                timeout=self._timeout,
                refusal=f"More than {self._at_once} requests of yours were under way for too long: send fewer at once.",
            )
            self._tidy()
            self._limits[user_id.int] = limit
        return limit

    def _tidy(self) -> None:
        if len(self._limits) >= self._tidy_at:
            self._limits = {number: limit for number, limit in self._limits.items() if limit.is_in_use}
            self._tidy_at = max(MAX_IDLE, 2 * len(self._limits))
