"""A queue of coroutines that wait for the same resource: first come, first served."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LineFullError(Exception):
    """The queue is full."""


class WaitingLine(Generic[T]):
    """A queue of at most `length` coroutines, each of which waits for at most `timeout` seconds.

    One timer serves all of them: a timeout for each one costs more (docs/decisions/0029-what-the-protections-cost.md).
    """

    __slots__ = ("_hand_back", "_length", "_timeout", "_timer", "_turns")

    def __init__(self, *, length: int, timeout: float, hand_back: Callable[[T], None]) -> None:
        self._length = length
        self._timeout = timeout
        self._hand_back = hand_back
        """Takes a value back if the coroutine that got it was cancelled at the same moment."""

        self._turns: deque[tuple[asyncio.Future[T], float]] = deque()
        """Each turn with the time at which it expires."""

        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._turns)

    def join(self) -> "asyncio.Future[T]":
        """Add a turn at the end, and return it for `wait`. Raises `LineFullError`."""
        if len(self._turns) >= self._length:
            raise LineFullError
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[T] = loop.create_future()
        self._turns.append((turn, loop.time() + self._timeout))
        if self._timer is None:
            self._timer = loop.call_later(self._timeout, self._end_turns)
        return turn

    async def wait(self, turn: "asyncio.Future[T]") -> T:
        """Return the value that is given to a turn. Raises `TimeoutError`, or the error that `fail` makes."""
        try:
            return await turn
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def _leave(self, turn: "asyncio.Future[T]") -> None:
        if turn.done() and not turn.cancelled():
            if turn.exception() is None:
                self._hand_back(turn.result())
        else:
            self._turns = deque(other for other in self._turns if other[0] is not turn)

    def give(self, value: T) -> bool:
        """Give a value to the first coroutine. Return whether one was waiting."""
        while self._turns:
            turn, _ = self._turns.popleft()
            if not turn.done():
                turn.set_result(value)
                return True
        return False

    def fail(self, make_error: Callable[[], Exception]) -> None:
        """Raise an error in each waiting coroutine."""
        while self._turns:
            turn, _ = self._turns.popleft()
            if not turn.done():
                turn.set_exception(make_error())

    def _end_turns(self) -> None:
        """End the turns that have expired, and set the timer for the next one."""
        now = asyncio.get_running_loop().time()
        while self._turns and self._turns[0][1] <= now:
            turn, _ = self._turns.popleft()
            if not turn.done():
                turn.set_exception(TimeoutError())
        self._timer = None
        if self._turns:
            self._timer = asyncio.get_running_loop().call_later(self._turns[0][1] - now, self._end_turns)
