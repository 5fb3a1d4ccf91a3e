"""The pool of connections: its bounds, its acquire_timeout, and what it does with broken connections."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.engine import make_url

from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.pool import ConnectionPool
from app.core.database.prepared import PreparedConnection
from app.core.errors import UnavailableError
from benchmarks.proxy import CountingProxy
from devtools.pgbouncer import at_socket


async def connected(address: str) -> PreparedConnection:
    connection = await asyncpg.connect(address, connection_class=PreparedConnection)
    assert isinstance(connection, PreparedConnection)
    return connection


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[ConnectionPool]:
    address = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)

    async def connect() -> PreparedConnection:
        return await connected(address)

    pool = ConnectionPool(connect, size=2, queue=3, acquire_timeout=2)
    yield pool
    await pool.close()


async def test_last_used_connection_is_lent_first_up_to_the_size(pool: ConnectionPool) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    with pytest.raises(UnavailableError):
        await pool.acquire()
    pool.release(one)
    pool.release(two)
    assert await pool.acquire() is two
    assert await pool.acquire() is one
    pool.release(one)
    pool.release(two)


async def test_whoever_waits_gets_what_is_given_back_in_turn(pool: ConnectionPool) -> None:
    held = [await pool.acquire(), await pool.acquire()]
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    for connection in held:
        pool.release(connection)
    assert await asyncio.gather(*waiting) == held
    for connection in held:
        pool.release(connection)


async def test_a_broken_connection_makes_room_for_another(pool: ConnectionPool) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.discard(one)
    fresh = await waiting
    assert fresh is not one
    assert await fresh.fetchval("SELECT 1") == 1
    two.terminate()
    await asyncio.sleep(0.05)
    pool.release(two)
    again = await pool.acquire()
    assert again is not two
    for connection in (fresh, again):
        pool.release(connection)


async def test_one_that_was_closed_while_it_was_free_is_replaced(pool: ConnectionPool) -> None:
    connection = await pool.acquire()
    pool.release(connection)
    await connection.close()
    other = await pool.acquire()
    assert other is not connection
    pool.release(other)


async def test_who_gives_up_waiting_takes_nothing_along(pool: ConnectionPool) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    waiting.cancel()
    pool.release(one)
    await asyncio.gather(waiting, return_exceptions=True)
    assert await pool.acquire() is one
    pool.release(one)
    pool.release(two)


async def test_cancelled_request_leaves_no_statement_on_its_connection(
    database: Database,
) -> None:
    slow = asyncio.create_task(database.fetch_all(text("SELECT pg_sleep(1)")))
    await asyncio.sleep(0.1)
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    answers = await asyncio.gather(*(database.fetch_one_or_none(text("SELECT 1 AS one")) for _ in range(20)))
    assert answers == [{"one": 1}] * 20


async def test_connection_handed_to_a_cancelled_request_is_not_lost(pool: ConnectionPool) -> None:
    held = [await pool.acquire(), await pool.acquire()]
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    # The loop is busy for a moment, so that the hand-over and the end of acquire_timeout (2 s) are due together.
    loop.call_later(1.99, pool.release, held.pop())
    loop.call_later(1.9, time.sleep, 0.2)
    await asyncio.gather(waiting, return_exceptions=True)
    if waiting.exception() is None:
        held.append(waiting.result())
    else:
        held.append(await pool.acquire())
    for connection in held:
        pool.release(connection)


async def test_place_offered_to_a_cancelled_request_goes_on(pool: ConnectionPool) -> None:
    one, two = await pool.acquire(), await pool.acquire()
    first, second = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.discard(one)
    first.cancel()
    fresh = (await asyncio.gather(first, second, return_exceptions=True))[1]
    assert isinstance(fresh, asyncpg.Connection)
    pool.release(fresh)
    pool.release(two)


async def test_a_start_that_fails_in_part_loses_nothing(database_url: str) -> None:
    address = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    attempts = 0

    async def connect() -> PreparedConnection:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ConnectionRefusedError
        return await connected(address)

    pool = ConnectionPool(connect, size=4, queue=3, acquire_timeout=0.2)
    with pytest.raises(UnavailableError) as refused:
        await pool.warm_up()
    assert isinstance(refused.value.__cause__, ConnectionRefusedError)
    taken = [await pool.acquire() for _ in range(4)]
    await pool.close()
    for connection in taken:
        pool.release(connection)
        assert connection.is_closed(), "what comes back after the end is closed"


async def test_no_request_waits_for_a_connection_after_start(settings: Settings, tmp_path: Path) -> None:
    assert settings.database_url is not None
    server = make_url(settings.database_url)
    host = server.query.get("host") or server.host
    assert isinstance(host, str)
    changes = {
        "database_url": at_socket(settings.database_url, tmp_path),
        "database_pool_size": 3,
    }
    database = Database(settings.model_copy(update=changes))

    async def in_transaction() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(text("SELECT pg_sleep(0.1)"))

    async with CountingProxy(tmp_path, host, server.port or 5432):
        await database.start()
    # Those who are in stay in, and the door is closed: since Python 3.13, its socket is gone, too.
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        await asyncio.open_unix_connection(tmp_path / ".s.PGSQL.5432")
    try:
        singles = (database.fetch_all(text("SELECT pg_sleep(0.1)")) for _ in range(2))
        await asyncio.gather(*singles, in_transaction())
    finally:
        await database.close()


async def test_more_than_may_wait_are_refused_at_once(pool: ConnectionPool) -> None:
    held = [await pool.acquire(), await pool.acquire()]
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match="too many requests are waiting") as refused:
        await pool.acquire()
    assert int(refused.value.headers["Retry-After"]) > 0
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    late = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    pool.release(held[0])
    assert await late is held[0]
    for connection in held:
        pool.release(connection)


async def test_hanging_connection_attempt_does_not_block_released_connections(database_url: str) -> None:
    address = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    first = await connected(address)
    attempts = iter([first])

    async def connect() -> PreparedConnection:
        for connection in attempts:
            return connection
        return await asyncio.Future()

    pool = ConnectionPool(connect, size=2, queue=100, acquire_timeout=10)
    assert await pool.acquire() is first
    waiting = [asyncio.create_task(pool.acquire()) for _ in range(50)]
    await asyncio.sleep(0.01)
    for task in waiting:
        pool.release(first)
        assert await task is first
    pool.release(first)
    await pool.close()


async def test_where_nobody_listens_all_who_wait_are_told_at_once() -> None:
    attempts = 0

    async def connect() -> PreparedConnection:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0)
        raise ConnectionRefusedError

    pool = ConnectionPool(connect, size=2, queue=100, acquire_timeout=3600)
    refusals = await asyncio.gather(*(pool.acquire() for _ in range(50)), return_exceptions=True)
    assert {type(refusal) for refusal in refusals} == {UnavailableError}
    assert attempts <= 4


@pytest.fixture
async def three(settings: Settings, database: Database, database_url: str) -> AsyncIterator[Database]:
    """A database with three connections, all open, straight to PostgreSQL."""
    changes = {"database_url": database_url, "pgbouncer": False, "database_pool_size": 3}
    three = Database(settings.model_copy(update=changes))
    await three.start()
    yield three
    await three.close()


async def lent_by(database: Database) -> set[PreparedConnection]:
    taken = [await database.pool.acquire() for _ in range(3)]
    for connection in taken:
        database.pool.release(connection)
    return set(taken)


PID = text("SELECT pg_backend_pid() AS pid")

TERMINATION = text("SELECT pg_terminate_backend(pg_backend_pid())")


async def run(database: Database, statement: TextClause, *, in_transaction: bool) -> None:
    if not in_transaction:
        await database.execute(statement)
        return
    async with database.transaction() as transaction:
        await transaction.execute(statement)


@pytest.mark.parametrize("noticed", ["by a statement", "in a transaction", "by value"])
async def test_outage_on_one_connection_retires_all_older_ones(three: Database, noticed: str) -> None:
    before = await lent_by(three)
    held = await three.pool.acquire()
    by = three.by_value if noticed == "by value" else three
    with pytest.raises(UnavailableError):
        await run(by, TERMINATION, in_transaction=noticed == "in a transaction")
    # It still answers, and is as old.
    three.pool.release(held)
    assert held.is_closed()
    after = await lent_by(three)
    assert not before & after
    # What is told late by one of the old ones is no news.
    three.pool.note_error(before.pop(), ConnectionResetError())
    assert await lent_by(three) == after


@pytest.mark.parametrize(
    "statement", ["SELECT 1 / 0", "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(1)", "SELECT nothing"]
)
async def test_the_fault_of_a_statement_costs_no_connection(three: Database, statement: str) -> None:
    before = await lent_by(three)
    with pytest.raises(Exception, match=r".+"):
        await three.execute(text(statement))
    assert await lent_by(three) == before


async def test_transaction_begins_on_another_connection_if_idle_one_was_lost(
    three: Database, database: Database
) -> None:
    lost = await three.fetch_one_or_none(text("SELECT pg_backend_pid() AS pid"))
    assert lost is not None
    connection = three.pool.acquire_nowait()
    assert connection is not None
    three.pool.release(connection)
    # The end of the connection is not read before the next statement is sent on it.
    connection._transport.pause_reading()  # noqa: SLF001 - as a busy event loop would
    await database.execute(text(f"SELECT pg_terminate_backend({lost['pid']})"))
    asyncio.get_running_loop().call_later(0.1, connection._transport.resume_reading)  # noqa: SLF001
    async with three.transaction() as transaction:
        row = await transaction.fetch_one_or_none(text("SELECT pg_backend_pid() AS pid"))
    assert row != lost


async def test_pool_works_with_fewer_connections_than_its_size(
    settings: Settings, database: Database, database_url: str, worker_id: str
) -> None:
    role = f"taller_test_few_{worker_id}"
    await database.execute(text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 2"))
    url = make_url(database_url).set(username=role).render_as_string(hide_password=False)
    changes = {"database_url": url, "pgbouncer": False, "database_pool_size": 6}
    few = Database(settings.model_copy(update=changes))
    try:
        with pytest.raises(UnavailableError) as refused:
            await few.start()
        assert isinstance(refused.value.__cause__, asyncpg.TooManyConnectionsError)
        answers = await asyncio.gather(*(few.fetch_all(text("SELECT pg_sleep(0.01)")) for _ in range(60)))
        assert len(answers) == 60
    finally:
        await few.close()
        await database.execute(text(f"DROP ROLE {role}"))


@pytest.mark.parametrize("in_transaction", [False, True], ids=["by a statement", "in a transaction"])
async def test_statement_that_hangs_is_ended_with_its_connection(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch, in_transaction: bool
) -> None:
    monkeypatch.setattr("app.core.database.database.GRACE", 0.2)
    changes = {"database_url": database_url, "pgbouncer": False, "database_pool_size": 1, "statement_timeout": 0.3}
    one = Database(settings.model_copy(update=changes))
    before = await one.fetch_one_or_none(PID)
    # Seconds in all, but each of them in time.
    for _ in range(20):
        await one.execute(text("SELECT pg_sleep(0.05)"))
    assert await one.fetch_one_or_none(PID) == before
    await one.execute(text("SET statement_timeout = 0"))
    with pytest.raises(UnavailableError):
        await run(one, text("SELECT pg_sleep(100)"), in_transaction=in_transaction)
    after = await one.fetch_one_or_none(
        text("SELECT pg_backend_pid() AS pid, current_setting('statement_timeout') AS t")
    )
    assert after is not None
    assert after["t"] == "300ms", "what comes after is on a connection of its own"
    await one.close()


async def test_filters_are_planned_by_value_on_connections_of_their_own(three: Database) -> None:
    workers = "current_setting('max_parallel_workers_per_gather') AS workers"
    shown = text(f"SELECT current_setting('plan_cache_mode') AS mode, {workers}")
    by_value = [{"mode": "force_custom_plan", "workers": "0"}]
    assert await three.fetch_all(shown) != by_value
    assert await three.by_value.fetch_all(shown) == by_value
    async with three.by_value.transaction() as transaction:
        assert await transaction.by_value.fetch_all(shown) == by_value
