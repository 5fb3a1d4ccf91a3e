"""The database goes, and comes back as another server: a primary and its standby, both real."""

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.database import Database
from app.main import create_app
from devtools.postgres import EmbeddedPostgres
from tests.auth.people import person, sign_in
from tests.operations.pair import Pair
from tests.support import server
from tests.support.bouncer import running_bouncer
from tests.support.client import Api

pytestmark = pytest.mark.slow

logger = logging.getLogger(__name__)

WRITERS = 8
SOON = 10
"""Attempts within which the first write after a promotion has to be served, a tenth of a second apart."""


class Door:
    """A proxy at a Unix socket: it leads new connections to the server of the moment, and cuts none that are open."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.leads_to = directory

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[str]:
        """The address behind which the servers are found, for as long as it is open."""
        listening = await asyncio.start_unix_server(self._serve, self.directory / ".s.PGSQL.5432")
        # PgBouncer runs as another user.
        self.directory.chmod(0o777)
        (self.directory / ".s.PGSQL.5432").chmod(0o777)
        yield f"postgresql://taller@/postgres?host={self.directory}"
        listening.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled when the loop ends, where a client has stayed.
        with suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_unix_connection(self.leads_to / ".s.PGSQL.5432")
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # To write to a client that left is a RuntimeError to uvloop.
    with suppress(OSError, RuntimeError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@pytest.fixture
def pair(migrated: Path) -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="taller-pair-", ignore_cleanup_errors=True) as directory:
        pair = Pair(Path(directory))
        try:
            pair.start(migrated)
            yield pair
        finally:
            pair.stop()
            shutil.rmtree(directory, ignore_errors=True)


class Writers:
    """Clients that send each write again, with its key, until it is acknowledged."""

    def __init__(self, api: Api) -> None:
        self.acknowledged: list[str] = []
        self.refused = 0
        self._api = api
        self._are_done = False
        self._tasks = [asyncio.create_task(self._write()) for _ in range(WRITERS)]

    async def some(self) -> None:
        """Return when some more writes were acknowledged."""
        target = len(self.acknowledged) + 3 * WRITERS
        for _ in range(6000):
            if len(self.acknowledged) >= target:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("no more writes are acknowledged")

    async def stop(self) -> None:
        """Finish what is under way."""
        self._are_done = True
        await asyncio.gather(*self._tasks)

    async def _write(self) -> None:
        while not self._are_done:
            name = str(uuid4())
            while True:
                answer = await self._api.post("/projects/", json={"name": name}, headers={"Idempotency-Key": name})
                if answer.status_code == 201:
                    break
                assert answer.status_code == 503 or answer.json()["code"] == "idempotency_key_in_use", answer.text
                assert int(answer.headers["Retry-After"]) > 0
                self.refused += 1
                await asyncio.sleep(0.02)
            self.acknowledged.append(name)


WAYS = [("hosts", "kill"), ("proxy", "kill"), ("bouncer", "kill"), ("hosts", "demote"), ("proxy", "demote")]
"""PgBouncer keeps connections to a server that was only demoted until it is told otherwise (docs/operations.md)."""


@asynccontextmanager
async def reached(pair: Pair, way: str) -> AsyncGenerator[tuple[Settings, Door]]:
    """The settings of a service that reaches the pair in this way, and the door that leads there."""
    with tempfile.TemporaryDirectory(prefix="taller-door-") as directory, ExitStack() as stack:
        door = Door(Path(directory))
        door.leads_to = pair.sockets[0]
        async with door.open() as behind:
            hosts = ",".join(map(str, pair.sockets))
            url = f"postgresql://taller@/postgres?host={hosts}&target_session_attrs=read-write"
            if way != "hosts":
                url = behind if way == "proxy" else stack.enter_context(running_bouncer(behind, servers=5))
            settings = Settings(
                _env_file=None,
                database_url=url,
                pgbouncer=way == "bouncer",
                argon2_time_cost=1,
                argon2_memory_cost=8,
                statement_timeout=2,
            )
            yield settings, door


async def until_not_ready(anonymous: Api) -> None:
    """Return when nothing can be written, which stays so."""
    for _ in range(200):
        if (await anonymous.get("/health/ready")).status_code == 503:
            break
        await asyncio.sleep(0.02)
    for _ in range(5):
        assert (await anonymous.get("/health/ready")).status_code == 503
        await asyncio.sleep(0.1)


async def first_write(api: Api) -> int:
    """The attempts that the first write takes."""
    key = str(uuid4())
    for attempt in range(1, SOON + 1):
        answer = await api.post("/projects/", json={"name": f"first {key}"}, headers={"Idempotency-Key": key})
        if answer.status_code == 201:
            return attempt
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(0.1)
    raise AssertionError(f"no write was served in {SOON} attempts")


@pytest.mark.parametrize(("way", "turn"), WAYS)
async def test_no_acknowledged_write_is_lost_or_doubled_by_a_failover(pair: Pair, way: str, turn: str) -> None:
    async with reached(pair, way) as (settings, door):
        app = create_app(settings)
        async with app.router.lifespan_context(app), Api(app) as anonymous:
            ana = await person(app, "ana")
            async with await anonymous.as_(ana) as api:
                writers = Writers(api)
                await writers.some()
                await asyncio.to_thread(getattr(pair, f"{turn}_primary"))
                door.leads_to = pair.sockets[1]
                await until_not_ready(anonymous)
                if turn == "demote":
                    assert (await api.get("/projects/")).status_code == 200, "reading goes on"
                await asyncio.to_thread(server.execute, pair.standby.url(), "SELECT pg_promote()")
                promoted_at = time.monotonic()
                await first_write(api)
                logger.info("%s, %s: first write after %.3f s", way, turn, time.monotonic() - promoted_at)
                assert (await sign_in(anonymous, "ana")).status_code == 200
                assert (await anonymous.get("/health/ready")).status_code == 200
                # From here on, none meets a connection that is of no use.
                requests = [
                    api.post("/projects/", json={"name": "Later"}, headers={"Idempotency-Key": str(uuid4())})
                    for _ in range(30)
                ]
                assert {answer.status_code for answer in await asyncio.gather(*requests)} == {201}
                refused = writers.refused
                await writers.some()
                await writers.stop()
                assert refused > 0
        kept = await names_at(pair.standby)
    assert sorted(name for name in kept if " " not in name and name != "Later") == sorted(writers.acknowledged)


async def names_at(postgres: EmbeddedPostgres) -> list[str]:
    database = Database(Settings(_env_file=None, database_url=postgres.url()))
    try:
        return [row["name"] for row in await database.fetch_all(text("SELECT name FROM projects"))]
    finally:
        await database.close()
