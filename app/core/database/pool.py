"""A pool of asyncpg connections to one database, which survives outages and failovers.

asyncpg's own pool takes three times as long as a short statement to lend a connection
(docs/decisions/0012-statements-go-straight-to-asyncpg.md). Connections have generations: an outage on one retires all
of its generation. When a server reports that it is read-only, the pool looks for a writable one
(docs/decisions/0024-another-database.md).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

import asyncpg

from app.core.database.prepared import PreparedConnection
from app.core.errors import UnavailableError
from app.core.metrics import Counter, Gauge
from app.core.waiting import LineFullError, WaitingLine

logger = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[PreparedConnection]]

MAX_AGE = 1800.0
"""Seconds after which a connection is replaced: below the usual idle limits of proxies and firewalls."""

RENEWAL_PAUSE = 0.3
"""Seconds between two attempts to find a writable server, so that writes resume within a second of a failover."""

FAILURE_PAUSE = 0.1
"""Seconds after a failed attempt in which no further connections are opened, as long as there are some."""

RENEWAL_PATIENCE = 1.0
"""Seconds that a request waits for one of these attempts."""

CANNOT_CONNECT = "cannot connect to the database"
"""What the log says, unless the pool is told otherwise."""

OUTAGE = ("08", "57P", "55000")
"""Prefixes of the SQLSTATEs of an outage: connection lost, server shutting down or starting up, or in a wrong state."""

REFUSE_READ_ONLY = (
    "DO $$BEGIN IF current_setting('transaction_read_only')::bool THEN RAISE read_only_sql_transaction; END IF; END$$"
)
"""Fails with SQLSTATE 25006 on a read-only server: a standby, or one with `default_transaction_read_only`."""


_CONNECTIONS = Gauge(
    "taller_database_connections",
    "Connections by state: used, or free.",
    ["pool", "state"],
    multiprocess_mode="livesum",
)
_SIZE = Gauge("taller_database_connections_max", "Connections that may be open.", ["pool"], multiprocess_mode="livesum")
_WAITING = Gauge(
    "taller_database_waiting", "Requests that wait for a connection.", ["pool"], multiprocess_mode="livesum"
)
_WAITS = Counter("taller_database_waits", "Requests that had to wait for a connection, or were refused one.")


class ConnectionPool:
    """Up to `size` connections, of which the last used is acquired first. Broken ones are replaced on demand.

    At most `queue` requests wait for a connection, each for at most `acquire_timeout` seconds.
    """

    def __init__(
        self, connect: Connect, *, size: int, queue: int, acquire_timeout: float, failure: str = CANNOT_CONNECT
    ) -> None:
        """`failure`: what is logged where a connection cannot be opened."""
        self._connect, self._failure = connect, failure
        self._size = size
        self._idle: list[tuple[PreparedConnection, float, int]] = []
        self._opened: dict[PreparedConnection, tuple[float, int]] = {}
        """The time at which each connection was opened, and its generation."""

        self._generation = 0
        self._opening: set[asyncio.Task[PreparedConnection]] = set()
        self._is_failing = self._is_pausing = False
        self._waiting: WaitingLine[PreparedConnection] = WaitingLine(
            length=queue, timeout=acquire_timeout, hand_back=self.release
        )

        self._renewal: asyncio.Task[None] | None = None
        self._attempt: asyncio.Task[bool] | None = None
        """The latest attempt of the renewal."""

        self._renewed_at = float("-inf")
        self.others: list[ConnectionPool] = []
        """The other pools of the same database, whose connections an outage retires as well."""

    async def warm_up(self) -> None:
        """Open all connections that are not, so that no request waits for one. Raises `UnavailableError`."""
        missing = self._size - len(self._opened)
        opened = await asyncio.gather(*(self._open() for _ in range(missing)), return_exceptions=True)
        failures = [outcome for outcome in opened if isinstance(outcome, BaseException)]
        for outcome in opened:
            if not isinstance(outcome, BaseException):
                self.release(outcome)
        if failures:
            self._note_failure(failures[0])
            raise UnavailableError from failures[0].__cause__ or failures[0]

    def acquire_nowait(self) -> PreparedConnection | None:
        """Return a connection that is open and free, or None."""
        while self._idle:
            connection, opened_at, generation = self._idle.pop()
            if generation == self._generation and not connection.is_closed() and monotonic() - opened_at < MAX_AGE:
                return connection
            self.discard(connection)
        return None

    async def acquire(self) -> PreparedConnection:
        """Return a connection as soon as one is free or opened. Raises `UnavailableError` if that takes too long."""
        connection = self.acquire_nowait()
        if connection is not None:
            return connection
        _WAITS.inc()
        try:
            turn = self._waiting.join()
        except LineFullError:
            raise UnavailableError(
                "The service is overloaded: too many requests are waiting for a database connection."
            ) from None
        # A task opens the connection, not the request itself: if the attempt hangs, the request can still get a
        # connection that others release.
        self._open_for_waiting()
        try:
            return await self._waiting.wait(turn)
        except TimeoutError:
            raise UnavailableError(
                "The service is overloaded: no database connection became available in time."
            ) from None

    def release(self, connection: PreparedConnection) -> None:
        """Return a connection to the pool."""
        opened_at, generation = self._opened.get(connection, (0.0, -1))
        if generation != self._generation or connection.is_closed() or self._size == 0:
            self.discard(connection)
        elif not self._waiting.give(connection):
            self._idle.append((connection, opened_at, generation))

    def discard(self, connection: PreparedConnection) -> None:
        """Close a connection that is too old or whose state is unknown."""
        connection.terminate()
        self._opened.pop(connection, None)
        self._open_for_waiting()

    def release_after(self, connection: PreparedConnection, error: BaseException) -> None:
        """Return a connection on which a statement failed to the pool, or discard it."""
        self.note_error(connection, error)
        if isinstance(error, asyncpg.PostgresError):
            self.release(connection)
        else:
            # After a cancellation or a lost connection, its state is unknown.
            self.discard(connection)

    def note_error(self, connection: PreparedConnection, error: BaseException) -> None:
        """Retire all connections of this one's generation if the error is an outage."""
        if _is_outage(connection, error) and self._opened.get(connection, (0.0, -1))[1] == self._generation:
            self._retire_all()

    async def renewed(self) -> bool:
        """Return whether a writable server was found, after a server has reported that it is read-only.

        If so, all older connections are retired. If not, the search continues in the background.
        """
        if monotonic() - self._renewed_at < RENEWAL_PAUSE:
            return True
        if self._renewal is None or self._attempt is None:
            logger.warning("the database is read-only: looking for a writable server")
            self._attempt = asyncio.create_task(self._try_renewal())
            self._renewal = asyncio.create_task(self._renew(self._attempt))
        # During a pause, the latest attempt has already failed.
        attempt = self._attempt
        await asyncio.wait({attempt}, timeout=RENEWAL_PATIENCE)
        return attempt.done() and not attempt.cancelled() and attempt.result()

    def report(self, name: str) -> None:
        """Set the gauges of this pool, by its name."""
        _SIZE.labels(name).set(self._size)
        _CONNECTIONS.labels(name, "used").set(len(self._opened) - len(self._idle))
        _CONNECTIONS.labels(name, "free").set(len(self._idle))
        _WAITING.labels(name).set(len(self._waiting))

    async def close(self) -> None:
        """Close the free connections; the others are closed when they are released."""
        self._size = 0
        background = [task for task in (self._renewal, self._attempt, *self._opening) if task is not None]
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        while self._idle:
            connection, _, _ = self._idle.pop()
            self._opened.pop(connection, None)
            await connection.close(timeout=5)

    async def _renew(self, attempt: "asyncio.Task[bool]") -> None:
        while not await attempt:
            await asyncio.sleep(RENEWAL_PAUSE)
            self._attempt = attempt = asyncio.create_task(self._try_renewal())
        self._renewal = None
        logger.warning("the database is writable again")

    async def _try_renewal(self) -> bool:
        try:
            connection = await self._connect()
            try:
                await connection.execute(REFUSE_READ_ONLY)
            finally:
                connection.terminate()
        except Exception:  # noqa: BLE001 - whatever failed, the next attempt may succeed
            return False
        self._renewed_at = monotonic()
        self._retire_all()
        return True

    def _retire_all(self) -> None:
        for pool in (self, *self.others):
            pool.retire()

    def retire(self) -> None:
        """Begin a new generation, and discard the free connections of older ones."""
        self._generation += 1
        while self._idle:
            self.discard(self._idle.pop()[0])

    def _open_for_waiting(self) -> None:
        """Open connections for the waiting requests, up to the size of the pool."""
        if self._opened and self._is_pausing:
            # The open connections serve meanwhile.
            return
        room = self._size - len(self._opened) - len(self._opening)
        for _ in range(min(room, len(self._waiting) - len(self._opening))):
            task = asyncio.create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._hand_over)

    async def _open(self) -> PreparedConnection:
        while True:
            generation = self._generation
            connection = await self._connect()
            if generation == self._generation:
                self._opened[connection] = (monotonic(), generation)
                return connection
            # A new generation began meanwhile: this connection may be to the old server.
            connection.terminate()

    def _hand_over(self, opened: "asyncio.Task[PreparedConnection]") -> None:
        """Give a new connection to the waiting requests, or fail them if there is none."""
        self._opening.discard(opened)
        if opened.cancelled():
            return
        error = opened.exception()
        if error is None:
            self._is_failing = False
            self.release(opened.result())
            return
        self._note_failure(error)
        if self._opened or self._opening:
            # Another connection may still serve the waiting requests.
            if not self._is_pausing:
                self._is_pausing = True
                asyncio.get_running_loop().call_later(FAILURE_PAUSE, self._end_pause)
            return

        def unavailable() -> UnavailableError:
            refusal = UnavailableError()
            refusal.__cause__ = error.__cause__ or error
            return refusal

        self._waiting.fail(unavailable)

    def _note_failure(self, error: BaseException) -> None:
        if not self._is_failing:
            reason = error.__cause__ or error
            logger.warning("%s: %s", self._failure, str(reason) or type(reason).__name__)
        self._is_failing = True

    def _end_pause(self) -> None:
        self._is_pausing = False
        self._open_for_waiting()


def _is_outage(connection: PreparedConnection, error: BaseException) -> bool:
    """Return whether an error is a failure of the server or the network and not of the statement."""
    if isinstance(error, asyncpg.PostgresError):
        return (getattr(error, "sqlstate", None) or "").startswith(OUTAGE)
    # asyncpg raises its internal error for a statement that is sent between the loss of a connection and its detection.
    is_internal = isinstance(error, asyncpg.InternalClientError)
    return (
        isinstance(error, OSError)
        or is_internal
        or (isinstance(error, asyncpg.InterfaceError) and connection.is_closed())
    )
