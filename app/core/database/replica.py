"""Reads from a standby, for clients that send the position in the database that they have seen: a place in the
primary's write-ahead log.

A watcher asks the standby every tenth of a second how far it has replayed that log, and by a heartbeat whether it
follows the primary. docs/decisions/0045-reads-from-a-standby.md has the reasons.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Executable, Interval, SmallInteger, Uuid, func, literal, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from app.core import clock
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.models import Base
from app.core.database.prepared import PreparedConnection
from app.core.database.rows import Records
from app.core.database.statements import Statement, compiled, param
from app.core.errors import UnavailableError
from app.core.metrics import Counter, Gauge, number_of
from app.core.periodic import PeriodicTask

if TYPE_CHECKING:
    from app.core.tracing import Tracing

WATCHER = "replica-watcher"
"""The name of the background task."""

WATCH_EVERY = 0.1
"""Seconds between two looks at the standby. A client that has just written is answered by the primary for so long."""

BEAT_EVERY = timedelta(seconds=0.2)
"""The least age of a heartbeat that is replaced."""

PATIENCE = 1.0
"""Seconds after which a standby cancels a statement, which the primary then executes."""

_READS = Counter("taller_replica_reads", "Requests that sent a position and only read, by who answered.", ["by"])
_BY_REPLICA, _BY_PRIMARY = number_of(_READS.labels("replica")), number_of(_READS.labels("primary"))
_LAG = Gauge(
    "taller_replica_lag_seconds",
    "How far the replica was behind when it was last looked at, at most.",
    multiprocess_mode="livemax",
)


class Heartbeat(Base):
    """One row, which says that a server that shows it has replayed what the primary wrote at that time."""

    __tablename__ = "heartbeats"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    beat: Mapped[UUID]
    written_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Position(NamedTuple):
    """A place in the write-ahead log of a primary. Clients take it for an opaque text."""

    timeline: int
    """Which is higher after each promotion of a standby."""

    lsn: int

    @classmethod
    def read(cls, value: str) -> "Position | None":
        """Return the position that a client sends back, or None if it is not written like one."""
        found = re.fullmatch("([0-9a-f]{1,8})-([0-9a-f]{1,16})", value)
        return None if found is None else cls(int(found[1], 16), int(found[2], 16))

    def __str__(self) -> str:
        return f"{self.timeline:x}-{self.lsn:x}"

    def covers(self, other: "Position") -> bool:
        """Return whether a server at this position shows everything that was there at the other."""
        return self.lsn >= other.lsn and self.timeline >= other.timeline


class BehindError(Exception):
    """The standby cannot answer, or is not known to be as far as the client."""


class Replica:
    """A standby of the database, and what is known of it; one instance for each process."""

    def __init__(self, settings: Settings, primary: Database, tracing: "Tracing | None" = None) -> None:
        options = {
            "database_url": settings.database_replica_url,
            "pgbouncer": False,
            "pgbouncer_prepared_statements": False,
            "statement_timeout": min(settings.statement_timeout, PATIENCE),
        }
        self._primary = primary
        self.database = Database(
            settings.model_copy(update=options),
            tracing=tracing,
            failure="cannot connect to the replica",
            opened=self._opened,
        )
        self._lag = settings.database_replica_lag
        self._beats: dict[UUID, float] = {}
        """Each heartbeat that the primary wrote lately, and a moment before it was written."""

        self._looked_at: float | None = None
        """When the primary was last asked for its heartbeat."""

        self._latest: UUID | None = None
        """The heartbeat that it showed then."""

        self._primary_server: tuple[Any, int] | None = None
        self._server: Any = None
        """The start time of the server to which connections lead."""

        self.openings = 0
        """Connections that were opened. What is known of the standby may not hold for a new one: it may lead to another
        server, or to the same that has crashed and recovered less."""

        self._as_of = -inf
        """The standby shows everything that was committed before this moment."""

        self.position = Position(0, 0)
        """What the standby had replayed when it was last looked at."""

        self.watching = PeriodicTask(
            WATCHER, self.watch, every=WATCH_EVERY, failure="cannot tell how far the replica is"
        )

    def reading(self, position: Position) -> "Reading | None":
        """Return the standby for one request of a client at this position, or None if it may not answer."""
        if self.shows(position):
            _BY_REPLICA.inc()
            return Reading(self, self.database, Visit(position, self.openings))
        _BY_PRIMARY.inc()
        return None

    def shows(self, position: Position) -> bool:
        """Return whether the standby shows everything up to this position, and lags no more than is allowed."""
        return clock.elapsed() - self._as_of <= self._lag and self.position.covers(position)

    async def primary_position(self) -> Position | None:
        """Return a position after everything that the primary has shown so far, or None if there is no primary."""
        try:
            row = await self._primary.fetch_one_or_none(_POSITION)
        except UnavailableError:
            return None
        return None if row is None or row["timeline"] is None else Position(row["timeline"], row["lsn"])

    async def watch(self) -> None:
        """Look at the primary, and then at the standby."""
        try:
            await self._look_at_standby(await self._look_at_primary())
        finally:
            _LAG.set(clock.elapsed() - self._as_of)

    async def _look_at_standby(self, timeline: int) -> None:
        """Note how far the standby is."""
        await self.database.start()
        openings = self.openings
        row = await self.database.fetch_one_or_none(_STANDBY)
        assert row is not None
        if not row["is_standby"]:
            self._as_of = -inf
            raise UnavailableError("the server of TALLER_DATABASE_REPLICA_URL is not a standby")
        as_of = self._beats.get(row["beat"])
        if as_of is not None and openings == self.openings:
            self._as_of, self.position = as_of, Position(timeline, row["lsn"])

    async def _look_at_primary(self) -> int:
        """Note the primary's heartbeat, which it writes if it is time; the timeline."""
        begun = clock.elapsed()
        row = await self._primary.fetch_one_or_none(_PRIMARY, {"every": BEAT_EVERY})
        assert row is not None
        timeline: int | None = row["timeline"]
        if timeline is None:
            raise UnavailableError("there is no primary")
        if self._primary_server != (row["server"], timeline):
            # It may have inherited the heartbeat from another server, whose standbys show it as well.
            self._as_of = -inf
            self._primary_server, self._looked_at, self._latest = (row["server"], timeline), None, row["beat"]
            self._beats.clear()
        beat, earlier = row["beat"], self._looked_at
        if beat is None or row["is_due"]:
            written = await self._primary.fetch_one_or_none(_write_beat(), {"beat": uuid4(), "every": BEAT_EVERY})
            if written is not None:
                beat, earlier = written["beat"], begun
        if earlier is not None and beat != self._latest:
            self._beats[beat] = earlier
        self._beats = {beat: moment for beat, moment in self._beats.items() if begun - moment <= self._lag}
        self._looked_at, self._latest = begun, beat
        return timeline

    async def _opened(self, connection: PreparedConnection) -> None:
        """Forget what is known of the standby, and close older connections if they lead to another server."""
        server = await connection.fetchval("SELECT pg_postmaster_start_time()")
        self.openings += 1
        self._as_of = -inf
        if server != self._server:
            self._server = server
            for database in (self.database, self.database.by_value):
                database.pool.retire()


@dataclass(slots=True)
class Visit:
    """What one request has seen of the standby."""

    seen: Position
    openings: int


class Reading(Database):
    """The standby, for the statements of one request. Raises `BehindError` if it cannot execute one at once."""

    def __init__(self, replica: Replica, database: Database, visit: Visit) -> None:
        self.pool, self.visit = database.pool, visit
        self._replica = replica
        self.by_value = self if database.by_value is database else Reading(replica, database.by_value, visit)

    async def _records(self, statement: Statement, arguments: list[Any]) -> Records:
        visit, pool = self.visit, self.pool
        # Nothing happens between these two lines: so the connection leads to the server of which that is known.
        is_same = visit.openings == self._replica.openings
        connection = pool.acquire_nowait() if is_same else None
        if connection is None:
            raise BehindError
        try:
            records: Records = await connection.run(statement, arguments)
            # By now it may have replayed more than the statement has seen, but not less.
            (row,) = await connection.run(_REPLAYED, [])
        except BaseException as error:
            pool.release_after(connection, error)
            raise
        pool.release(connection)
        visit.seen = Position(
            max(visit.seen.timeline, self._replica.position.timeline), max(visit.seen.lsn, row["lsn"])
        )
        return records

    async def _records_of_another_try(self, statement: Statement, arguments: list[Any], error: Exception) -> NoReturn:  # noqa: ARG002 - see below
        """Raise the error: the primary executes the statement."""
        raise error

    def transaction(self) -> NoReturn:
        """Raise `BehindError`: nothing is written here, and nothing that is read needs a transaction."""
        raise BehindError


_PLACE = "CAST({} - CAST('0/0' AS pg_lsn) AS bigint) AS lsn"
_WRITTEN = (
    "CASE WHEN NOT pg_is_in_recovery() THEN "
    "CAST(CAST('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) AS bit(32)) AS integer) END AS timeline, "
    + _PLACE.format("CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn() END")
)
_POSITION = Statement(text(f"SELECT {_WRITTEN}"))
_PRIMARY = Statement(
    text(
        f"SELECT {_WRITTEN}, pg_postmaster_start_time() AS server, (SELECT beat FROM heartbeats), "  # noqa: S608
        "(SELECT now() - written_at >= CAST(:every AS interval) FROM heartbeats) AS is_due"
    )
)
_REPLAYED = Statement(text(f"SELECT {_PLACE.format('pg_last_wal_replay_lsn()')}"))
_STANDBY = Statement(
    text(
        f"SELECT {_PLACE.format('pg_last_wal_replay_lsn()')}, pg_is_in_recovery() AS is_standby, "  # noqa: S608
        "(SELECT beat FROM heartbeats)"
    )
)


@compiled
def _write_beat() -> Executable:
    """Write a heartbeat, unless another process has just written one."""
    new = insert(Heartbeat).values(id=literal(1), beat=param("beat", Uuid))
    return new.on_conflict_do_update(
        index_elements=[Heartbeat.id],
        set_={"beat": new.excluded.beat, "written_at": new.excluded.written_at},
        where=new.excluded.written_at - Heartbeat.written_at >= param("every", Interval),
    ).returning(Heartbeat.beat)
