"""Queues of coroutines that wait for the same resource, and deadlines. One timer serves all deadlines of a kind: one
for each costs more (docs/decisions/0029-what-the-protections-cost.md).
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Deadlines(Generic[K]):
    """Things that may each take `timeout` seconds, in the order in which they began."""

    __slots__ = ("_end", "_ends_at", "_timeout", "_timer")

    def __init__(self, timeout: float, end: Callable[[K], object]) -> None:
        self._timeout = timeout
        self._end = end
        """Called with each that has taken too long, and is no longer here."""

        self._ends_at: dict[K, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._ends_at)

    def add(self, key: K) -> None:
        """Let it begin."""
        loop = asyncio.get_running_loop()
        self._ends_at[key] = loop.time() + self._timeout
        if self._timer is None:
            self._timer = loop.call_later(self._timeout, self._end_late)

    def remove(self, key: K) -> bool:
        """Take it out, and return whether it was there."""
        return self._ends_at.pop(key, None) is not None

    def pop(self) -> K | None:
        """Take the first out, and return it; None where there is none."""
        for key in self._ends_at:
            del self._ends_at[key]
            return key
        return None

    def _end_late(self) -> None:
        """End what is late, and set the timer for the next."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key in [key for key, ends_at in self._ends_at.items() if ends_at <= now]:
            del self._ends_at[key]
            self._end(key)
        self._timer = None
        if self._ends_at:
            first = next(iter(self._ends_at.values()))
            self._timer = loop.call_later(first - now, self._end_late)


class LineFullError(Exception):
    """The queue is full."""


class WaitingLine(Generic[T]):
    """A queue of at most `length` coroutines, each of which waits for at most `timeout` seconds, in order."""

    __slots__ = ("_hand_back", "_length", "_turns")

    def __init__(self, *, length: int, timeout: float, hand_back: Callable[[T], None]) -> None:
        self._length = length
        self._hand_back = hand_back
        """Takes a value back if the coroutine that got it was cancelled at the same moment."""

        self._turns: Deadlines[asyncio.Future[T]] = Deadlines(timeout, _expire)

    def __len__(self) -> int:
        return len(self._turns)

    def join(self) -> "asyncio.Future[T]":
        """Add a turn at the end, and return it for `wait`. Raises `LineFullError`."""
        if len(self._turns) >= self._length:
            raise LineFullError
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._turns.add(turn)
        return turn

    async def wait(self, turn: "asyncio.Future[T]") -> T:
        """Return the value that is given to a turn. Raises `TimeoutError`, or the error that `fail` makes."""
        try:
            return await turn
        except asyncio.CancelledError:
            if not self._turns.remove(turn) and not turn.cancelled() and turn.exception() is None:
                self._hand_back(turn.result())
            raise

    def give(self, value: T) -> bool:
        """Give a value to the first coroutine. Return whether one was waiting."""
        while (turn := self._turns.pop()) is not None:
            if not turn.done():
                turn.set_result(value)
                return True
        return False

    def fail(self, make_error: Callable[[], Exception]) -> None:
        """Raise an error in each waiting coroutine."""
        while (turn := self._turns.pop()) is not None:
            if not turn.done():
                turn.set_exception(make_error())


def _expire(turn: "asyncio.Future[T]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
