"""Retention: expired rows are deleted in steps, by all processes together, and through outages."""

import asyncio
import logging

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.auth.callers import PURGE_RULES
from app.core.config import Settings
from app.core.database import retention
from app.core.database.database import Database
from app.core.database.retention import STEP, Purger
from tests.support.queries import recorded_statements


async def fill(database: Database, count: int, age: str) -> None:
    await database.execute(
        text(
            "INSERT INTO attempts SELECT :age || g, 1, now() - CAST(:age AS interval) "
            "FROM generate_series(1, :count) AS g"
        ).bindparams(age=age, count=count)
    )


async def left(database: Database) -> int:
    row = await database.fetch_one_or_none(text("SELECT count(*) AS left FROM attempts"))
    assert row is not None
    count: int = row["left"]
    return count


async def test_expired_rows_are_deleted_in_steps_others_kept(app: FastAPI, database: Database) -> None:
    await fill(database, 2 * STEP + 1, "1 hour")
    await fill(database, 3, "-1 hour")
    with recorded_statements(database) as statements:
        await app.state.services[Purger].purge()
    assert await left(database) == 3
    assert len([statement for statement in statements if "DELETE FROM attempts" in statement]) == 3


async def test_locked_rows_are_skipped(app: FastAPI, database: Database) -> None:
    await fill(database, 2, "1 hour")
    async with database.transaction() as transaction:
        await transaction.execute(
            text("UPDATE attempts SET resets_at = now() + interval '1 hour' WHERE key = '1 hour1'")
        )
        async with asyncio.timeout(2):
            await app.state.services[Purger].purge()
    assert await database.fetch_all(text("SELECT key FROM attempts")) == [{"key": "1 hour1"}]
    await app.state.services[Purger].purge()
    assert await left(database) == 1


async def test_several_processes_share_the_work(settings: Settings, database: Database) -> None:
    await fill(database, 5 * STEP, "1 hour")
    others = [Database(settings) for _ in range(2)]
    async with asyncio.timeout(20):
        await asyncio.gather(*(Purger(other, PURGE_RULES).purge() for other in (database, *others)))
    for other in others:
        await other.close()
    assert await left(database) == 0


async def test_it_goes_on_after_an_outage(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    await fill(database, 1, "1 hour")
    await database.execute(text("ALTER TABLE attempts RENAME TO hidden_attempts"))
    busy = Purger(database, PURGE_RULES, every=0.05)
    busy.task.start()
    try:
        with caplog.at_level(logging.WARNING, retention.__name__):
            await asyncio.sleep(0.3)
        assert "cannot delete expired rows" in caplog.text
    finally:
        await database.execute(text("ALTER TABLE hidden_attempts RENAME TO attempts"))
    await asyncio.sleep(0.5)
    await busy.task.stop()
    assert await left(database) == 0


async def test_it_runs_with_the_application_and_ends_with_it(app: FastAPI) -> None:
    running = [task for task in asyncio.all_tasks() if task.get_name() == retention.PURGER]
    assert len(running) == 1
    assert not running[0].done()
