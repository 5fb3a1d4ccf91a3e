"""A pool of asyncpg connections for single statements.

asyncpg's own pool spends 25 µs of processor time on lending a connection, three times what a short statement itself
costs here: it wraps each connection, and readies it for whatever the borrower may have left behind. Our borrowers run
one statement and leave nothing (docs/decisions/0012-statements-go-straight-to-asyncpg.md).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic

import asyncpg

from app.core.errors import UnavailableError

Connect = Callable[[], Awaitable["asyncpg.Connection"]]

MAX_AGE = 1800.0
"""Seconds after which a connection is replaced: below the usual idle limits of proxies and firewalls."""


class Connections:
    """Up to `size` connections, the last used first. Broken ones are replaced when they are next asked for."""

    def __init__(self, connect: Connect, *, size: int, patience: float) -> None:
        self._connect = connect
        self._size = size
        self._patience = patience
        self._idle: list[tuple[asyncpg.Connection, float]] = []
        self._opened_at: dict[asyncpg.Connection, float] = {}
        self._opening = 0
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()

    async def warm_up(self) -> None:
        """Open all connections, so that no request waits for one. Raises what connecting raises."""
        opened = await asyncio.gather(*(self._open() for _ in range(self._size)), return_exceptions=True)
        failures = [outcome for outcome in opened if isinstance(outcome, BaseException)]
        for outcome in opened:
            if not isinstance(outcome, BaseException):
                self.give_back(outcome)
        if failures:
            raise failures[0]

    def take_idle(self) -> "asyncpg.Connection | None":
        """A connection that is open and free, or None."""
        while self._idle:
            connection, opened_at = self._idle.pop()
            if not connection.is_closed() and monotonic() - opened_at < MAX_AGE:
                return connection
            self.discard(connection)
        return None

    async def take(self) -> "asyncpg.Connection":
        """A connection, as soon as one is free; raises `UnavailableError` if that takes too long."""
        connection = self.take_idle()
        if connection is not None:
            return connection
        if len(self._opened_at) + self._opening < self._size:
            return await self._open()
        turn: asyncio.Future[asyncpg.Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                given = await turn
        except TimeoutError:
            self._pass_on(turn)
            raise UnavailableError("The service is overloaded: no database connection became free in time.") from None
        except asyncio.CancelledError:
            self._pass_on(turn)
            raise
        return given if given is not None else await self.take()

    def give_back(self, connection: "asyncpg.Connection") -> None:
        """Let somebody else have this connection."""
        if connection.is_closed() or self._size == 0:
            self.discard(connection)
        elif (turn := self._next_in_line()) is not None:
            turn.set_result(connection)
        else:
            self._idle.append((connection, self._opened_at[connection]))

    def discard(self, connection: "asyncpg.Connection") -> None:
        """Do away with a connection whose state is not known."""
        connection.terminate()
        self._opened_at.pop(connection, None)
        if (turn := self._next_in_line()) is not None:
            # There is room to open another.
            turn.set_result(None)

    async def _open(self) -> "asyncpg.Connection":
        self._opening += 1
        try:
            connection = await self._connect()
        except BaseException:
            if (turn := self._next_in_line()) is not None:
                turn.set_result(None)
            raise
        finally:
            self._opening -= 1
        self._opened_at[connection] = monotonic()
        return connection

    async def close(self) -> None:
        """Close those that are free; the others close when they are given back."""
        self._size = 0
        while self._idle:
            connection, _ = self._idle.pop()
            self._opened_at.pop(connection, None)
            await connection.close(timeout=5)

    def _pass_on(self, turn: "asyncio.Future[asyncpg.Connection | None]") -> None:
        """What was handed to a request in the moment in which it gave up goes to the next."""
        if not turn.done() or turn.cancelled():
            return
        if (given := turn.result()) is not None:
            self.give_back(given)
        elif (following := self._next_in_line()) is not None:
            following.set_result(None)

    def _next_in_line(self) -> "asyncio.Future[asyncpg.Connection | None] | None":
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                return turn
        return None
