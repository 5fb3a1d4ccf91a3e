"""A line of those who wait for the same thing: first come, first served."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LineFullError(Exception):
    """As many as may wait do so already."""


class WaitingLine(Generic[T]):
    """At most `length` coroutines that wait, each for at most `timeout` seconds.

    One timer looks after all of them: a timeout of each one's own costs more than what is mostly waited for here.
    """

    __slots__ = ("_hand_back", "_length", "_timeout", "_timer", "_turns")

    def __init__(self, *, length: int, timeout: float, hand_back: Callable[[T], None]) -> None:
        self._length = length
        self._timeout = timeout
        self._hand_back = hand_back
        """Takes what was given to somebody who was cancelled in that moment."""

        self._turns: deque[tuple[asyncio.Future[T], float]] = deque()
        """Each with the time at which it is over."""

        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._turns)

    async def wait(self) -> T:
        """Return what is given to this one. Raises `LineFullError`, `TimeoutError`, or what `fail` says."""
        turn = self.join()
        try:
            return await turn
        except asyncio.CancelledError:
            self.leave(turn)
            raise

    def join(self) -> "asyncio.Future[T]":
        """Return the future of a new last one, who calls `leave` if cancelled. Raises `LineFullError`."""
        if len(self._turns) >= self._length:
            raise LineFullError
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[T] = loop.create_future()
        self._turns.append((turn, loop.time() + self._timeout))
        if self._timer is None:
            self._timer = loop.call_later(self._timeout, self._end_turns)
        return turn

    def leave(self, turn: "asyncio.Future[T]") -> None:
        """Wait no more; what was given already goes back."""
        if turn.done() and not turn.cancelled():
            if turn.exception() is None:
                self._hand_back(turn.result())
        else:
            self._turns = deque(other for other in self._turns if other[0] is not turn)

    def give(self, value: T) -> bool:
        """Give this to the first one; whether somebody waits."""
        while self._turns:
            turn, _ = self._turns.popleft()
            if not turn.done():
                turn.set_result(value)
                return True
        return False

    def fail(self, make_error: Callable[[], Exception]) -> None:
        """Let all who wait know that nothing comes."""
        while self._turns:
            turn, _ = self._turns.popleft()
            if not turn.done():
                turn.set_exception(make_error())

    def _end_turns(self) -> None:
        """End the turns that are over, and look again when the next one is."""
        now = asyncio.get_running_loop().time()
        while self._turns and self._turns[0][1] <= now:
            turn, _ = self._turns.popleft()
            if not turn.done():
                turn.set_exception(TimeoutError())
        self._timer = None
        if self._turns:
            self._timer = asyncio.get_running_loop().call_later(self._turns[0][1] - now, self._end_turns)
