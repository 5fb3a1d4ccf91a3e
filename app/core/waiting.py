"""Queues of coroutines that wait for the same resource, and deadlines. One timer serves all deadlines of a kind: one
for each costs more (docs/decisions/0029-what-the-protections-cost.md).
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Deadlines(dict[K, float]):
    """Things that may each take `timeout` seconds, in the order in which they began, and when each has to end."""

    __slots__ = ("_end", "_timeout", "_timer")

    def __init__(self, timeout: float, end: Callable[[K], object]) -> None:
        super().__init__()
        self._timeout = timeout
        self._end = end
        """Called with each that has taken too long, and is no longer here."""

        self._timer: asyncio.TimerHandle | None = None

    def add(self, key: K) -> None:
        """Let it begin."""
        loop = asyncio.get_running_loop()
        self[key] = loop.time() + self._timeout
        if self._timer is None:
            self._timer = loop.call_later(self._timeout, self._end_late)

    def _end_late(self) -> None:
        """End what is late, and set the timer for the next."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key in [key for key, ends_at in self.items() if ends_at <= now]:
            del self[key]
            self._end(key)
        self._timer = None
        if self:
            first = next(iter(self.values()))
            self._timer = loop.call_later(first - now, self._end_late)


class LineFullError(Exception):
    """The queue is full."""


class WaitingLine(Deadlines["asyncio.Future[T]"]):
    """A queue of at most `length` coroutines, each of which waits for at most `timeout` seconds, in order."""

    __slots__ = ("_hand_back", "_length")

    def __init__(self, *, length: int, timeout: float, hand_back: Callable[[T], None]) -> None:
        super().__init__(timeout, _expire)
        self._length = length
        self._hand_back = hand_back
        """Takes a value back if the coroutine that got it was cancelled at the same moment."""

    def join(self) -> "asyncio.Future[T]":
        """Add a turn at the end, and return it for `wait`. Raises `LineFullError`."""
        if len(self) >= self._length:
            raise LineFullError
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.add(turn)
        return turn

    async def wait(self, turn: "asyncio.Future[T]") -> T:
        """Return the value that is given to a turn. Raises `TimeoutError`, or the error that `fail` makes."""
        try:
            return await turn
        except asyncio.CancelledError:
            if self.pop(turn, None) is None and not turn.cancelled() and turn.exception() is None:
                self._hand_back(turn.result())
            raise

    def give(self, value: T) -> bool:
        """Give a value to the first coroutine. Return whether one was waiting."""
        while self:
            turn = self._first()
            if not turn.done():
                turn.set_result(value)
                return True
        return False

    def fail(self, make_error: Callable[[], Exception]) -> None:
        """Raise an error in each waiting coroutine."""
        while self:
            turn = self._first()
            if not turn.done():
                turn.set_exception(make_error())

    def _first(self) -> "asyncio.Future[T]":
        """Take the first out."""
        turn = next(iter(self))
        del self[turn]
        return turn


def _expire(turn: "asyncio.Future[T]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
