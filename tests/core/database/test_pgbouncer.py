"""Statements and transactions through a PgBouncer in transaction mode, all over one connection to the server."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.core.config import Settings
from app.core.database.database import GENERIC_PLAN_SETTINGS, ConstraintError, Database
from app.core.errors import StatementTimeoutError, UnavailableError
from benchmarks.proxy import CountingProxy
from devtools.pgbouncer import at_socket
from tests.support.bouncer import running_bouncer
from tests.support.server import through

# Whichever comes first in its worker starts the bouncer.
pytestmark = pytest.mark.slow

Connect = Callable[..., AbstractAsyncContextManager[Database]]

SHOWN = ("statement_timeout", "idle_in_transaction_session_timeout", "jit", *GENERIC_PLAN_SETTINGS)
SHOW = text("SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in SHOWN))


@pytest.fixture(scope="module")
def bouncer_url(database_url: str) -> Iterator[str]:
    with running_bouncer(database_url, servers=1) as url:
        yield url


@pytest.fixture
def connect(settings: Settings, bouncer_url: str) -> Connect:
    @asynccontextmanager
    async def connected(**changes: Any) -> AsyncGenerator[Database]:
        database = Database(settings.model_copy(update={**through(bouncer_url), **changes}))
        try:
            yield database
        finally:
            await database.close()

    return connected


@pytest.fixture
async def bounced(connect: Connect) -> AsyncIterator[Database]:
    async with connect() as database:
        await database.execute(text("CREATE TABLE bounced (number int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        yield database
        await database.execute(text("DROP TABLE bounced"))


async def transact(database: Database, *statements: str) -> None:
    async with database.transaction() as transaction:
        for statement in statements:
            await transaction.execute(text(statement))


async def numbers(database: Database) -> list[int]:
    return [row["number"] for row in await database.fetch_all(text("SELECT number FROM bounced ORDER BY 1"))]


async def backend(database: Database) -> int:
    row = await database.fetch_one_or_none(text("SELECT pg_backend_pid() AS pid"))
    assert row is not None
    return int(row["pid"])


async def test_our_settings_hold_in_every_transaction_and_stay_with_nobody(bounced: Database, bouncer_url: str) -> None:
    row = await bounced.fetch_one_or_none(SHOW)
    assert row == {
        "statement_timeout": "5s", "idle_in_transaction_session_timeout": "30s", "jit": "off", **GENERIC_PLAN_SETTINGS,
    }  # fmt: skip
    async with bounced.transaction() as transaction:
        assert await transaction.fetch_one_or_none(SHOW) == row
    custom_plan = {"plan_cache_mode": "force_custom_plan", "enable_sort": "on"}
    assert await bounced.by_value.fetch_all(SHOW) == [{**row, **custom_plan}]
    stranger = await asyncpg.connect(
        make_url(bouncer_url).set(drivername="postgresql").render_as_string(False), statement_cache_size=0
    )
    try:
        # The server connection is the same: there is only one.
        assert await stranger.fetchval("SELECT pg_backend_pid()") == await backend(bounced)
        theirs = dict(await stranger.fetchrow(str(SHOW)))
    finally:
        await stranger.close()
    assert theirs["statement_timeout"] == theirs["idle_in_transaction_session_timeout"] == "0"
    assert (theirs["plan_cache_mode"], theirs["enable_seqscan"], theirs["enable_sort"]) == ("auto", "on", "on")


async def test_statement_stays_prepared_where_pgbouncer_prepares_it_itself(connect: Connect) -> None:
    # There is a single server connection, so every version of PgBouncer finds the statement.
    async with connect(pgbouncer_prepared_statements=True) as database:
        for _ in range(3):
            assert await database.fetch_all(text("SELECT 1 AS kept")) == [{"kept": 1}]
        runs = text(
            "SELECT generic_plans + custom_plans AS runs FROM pg_prepared_statements "
            "WHERE statement = 'SELECT 1 AS kept'"
        )
        assert await database.fetch_all(runs) == [{"runs": 3}]


async def test_slow_statement_is_cancelled_and_keeps_the_server_connection(connect: Connect, bounced: Database) -> None:
    async with connect(statement_timeout=0.2) as hurried:
        before = await backend(bounced)
        with pytest.raises(StatementTimeoutError):
            await hurried.execute(text("INSERT INTO bounced SELECT 1 FROM pg_sleep(1)"))
        with pytest.raises(StatementTimeoutError):
            await transact(hurried, "INSERT INTO bounced VALUES (2)", "SELECT pg_sleep(1)")
        assert await numbers(bounced) == []
        assert await backend(bounced) == before


async def test_what_a_commit_refuses_is_an_error_and_not_kept(bounced: Database) -> None:
    before = await backend(bounced)
    with pytest.raises(ConstraintError):
        await bounced.execute(text("INSERT INTO bounced VALUES (1), (1)"))
    with pytest.raises(ConstraintError):
        await transact(bounced, "INSERT INTO bounced VALUES (2), (2)")
    assert await numbers(bounced) == []
    assert await backend(bounced) == before


async def test_failed_statement_rolls_back_and_keeps_the_server_connection(bounced: Database) -> None:
    before = await backend(bounced)
    for _ in range(20):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await bounced.execute(text("INSERT INTO bounced SELECT 1 / n FROM generate_series(1, 0, -1) n"))
    await bounced.execute(text("INSERT INTO bounced VALUES (7)"))
    assert await numbers(bounced) == [7]
    assert await backend(bounced) == before


async def test_cancelled_request_leaves_no_transaction_open(bounced: Database) -> None:
    # From before BEGIN to after COMMIT.
    for wait in range(40):
        task = asyncio.create_task(bounced.fetch_all(text("INSERT INTO bounced VALUES (:number)"), {"number": wait}))
        await asyncio.sleep(wait / 20_000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    answers = await asyncio.gather(
        *(bounced.fetch_all(text("SELECT CAST(:n AS int) AS n"), {"n": n}) for n in range(50))
    )
    assert answers == [[{"n": n}] for n in range(50)]
    open_ = text(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
    )
    assert await bounced.fetch_one_or_none(open_) == {"n": 0}


async def test_no_free_server_connection_fails_after_pool_timeout(connect: Connect, bounced: Database) -> None:
    async with connect(database_pool_timeout=0.3) as waiting, bounced.transaction() as transaction:
        await transaction.execute(text("SELECT 1"))
        started = time.monotonic()
        with pytest.raises(UnavailableError):
            await waiting.execute(text("SELECT 1"))
        with pytest.raises(UnavailableError):
            await transact(waiting, "SELECT 1")
        assert 0.6 <= time.monotonic() - started < 3
    assert await numbers(bounced) == []


@pytest.mark.parametrize(("pgbouncer", "single", "in_transaction"), [(False, 1, 3), (True, 4, 4)])
async def test_what_a_statement_costs(
    settings: Settings, database_url: str, tmp_path: Path, pgbouncer: bool, single: int, in_transaction: int
) -> None:
    """In round trips; docs/decisions/0014-through-pgbouncer.md gives these figures."""
    server = make_url(database_url)
    host, port = server.query.get("host") or server.host, server.port or 5432
    assert isinstance(host, str)
    async with CountingProxy(tmp_path, host, port) as proxy:
        database = Database(
            settings.model_copy(update={"database_url": at_socket(database_url, tmp_path), "pgbouncer": pgbouncer})
        )
        statement = text("SELECT CAST(:n AS int) AS n")
        try:
            for last in (False, True):
                before = proxy.round_trips
                await database.execute(statement, {"n": 1})
                if last:
                    assert proxy.round_trips - before == single
                before = proxy.round_trips
                async with database.transaction() as transaction:
                    await transaction.execute(statement, {"n": 1})
                if last:
                    assert proxy.round_trips - before == in_transaction
        finally:
            await database.close()
