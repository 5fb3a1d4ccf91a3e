"""How workers count together: what is exchanged when, what is kept how long, and what happens when it fails."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.retention import Purger
from app.core.errors import TooManyRequestsError
from app.core.guards import DEFAULT
from app.core.ratelimit import sync
from app.core.ratelimit.limiter import MAX_CALLERS, RateLimits, RequestQuota
from app.core.ratelimit.sync import PURGE_RULES, RateLimitSync
from app.main import create_app
from tests.support.client import Api
from tests.support.queries import observed_statements

# Windows begin at the same moment for all callers: these end once a day, and so never in the middle of a test.
DAY = 86_400
HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
async def limited(settings: Settings, database: Database) -> AsyncIterator[FastAPI]:
    """Twenty requests for each caller."""
    app = create_app(settings.model_copy(update={"rate_limit": f"20/{DAY}"}))
    async with app.router.lifespan_context(app):
        yield app


def limits_of(requests: int, seconds: int = DAY) -> RateLimits:
    return RateLimits({DEFAULT: (requests, seconds)})


def ask(limits: RateLimits, address: str, times: int = 1) -> int:
    """Ask from an address; how many of the requests were admitted."""
    admitted = 0
    for _ in range(times):
        quota = RequestQuota(limits, (address, 1))
        try:
            quota.consume_for_address(DEFAULT)
        except TooManyRequestsError:
            continue
        admitted += 1
    return admitted


async def test_what_one_worker_counts_the_others_learn(database: Database) -> None:
    first, second = limits_of(10), limits_of(10)
    assert (ask(first, HERE, 6), ask(first, THERE, 1)) == (6, 1)
    assert await RateLimitSync(first, database).share()
    # The second knows nothing of this caller until it has something to tell about them itself.
    assert ask(second, HERE, 1) == 1
    assert await RateLimitSync(second, database).share()
    assert ask(second, HERE, 10) == 3
    assert ask(second, THERE, 10) == 10
    # More than the quota was admitted, and nothing breaks.
    assert await RateLimitSync(second, database).share()
    assert ask(second, THERE, 10) == 0
    assert not await RateLimitSync(second, database).share()


async def test_many_workers_can_tell_at_once(database: Database) -> None:
    workers = [limits_of(1_000_000) for _ in range(8)]
    # Addresses of this test's own: what an application tells as it stops may be written after its test.
    names = [f"198.51.100.{number}" for number in range(100)]
    told = text("SELECT count(*), min(count), max(count) FROM rate_counts WHERE caller LIKE '%198.51.100.%'")
    for _ in range(5):
        for number, worker in enumerate(workers):
            for name in names if number % 2 else reversed(names):
                ask(worker, name)
        await asyncio.gather(*(RateLimitSync(worker, database).share() for worker in workers))
    assert await database.fetch_all(told) == [{"count": 100, "min": 40, "max": 40}]


async def test_what_could_not_be_told_is_told_later(database: Database) -> None:
    limits, other = limits_of(10), limits_of(10)
    ask(limits, HERE, 4)
    await database.execute(text("ALTER TABLE rate_counts RENAME TO hidden_counts"))
    try:
        with pytest.raises(Exception, match="rate_counts"):
            await RateLimitSync(limits, database).share()
        assert ask(limits, HERE, 2) == 2
    finally:
        await database.execute(text("ALTER TABLE hidden_counts RENAME TO rate_counts"))
    await RateLimitSync(limits, database).share()
    ask(other, HERE)
    await RateLimitSync(other, database).share()
    assert ask(other, HERE, 10) == 3


async def test_each_worker_counts_alone_while_the_exchange_fails(
    settings: Settings, database: Database, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings.model_copy(update={"rate_limit": f"20/{DAY}"}))
    await database.execute(text("ALTER TABLE rate_counts RENAME TO hidden_counts"))
    try:
        async with app.router.lifespan_context(app), Api(app) as anonymous, await anonymous.as_(user) as api:
            with caplog.at_level(logging.WARNING, "app.core.ratelimit.sync"):
                assert (await api.get("/projects/")).status_code == 200
                await asyncio.sleep(1.5)
                assert (await api.post("/projects/", json={"name": "Workshop"})).status_code == 201
                served = [(await api.get("/projects/")).status_code for _ in range(19)]
            assert served == [200] * 18 + [429]
    finally:
        await database.execute(text("ALTER TABLE hidden_counts RENAME TO rate_counts"))
    # Said once, not every second.
    assert [
        record.message.partition(":")[0] for record in caplog.records if record.name == "app.core.ratelimit.sync"
    ] == ["cannot share request counts, each worker counts for itself"]


async def test_counts_are_exchanged_within_two_seconds_if_any(limited: FastAPI, database: Database) -> None:
    seen: list[str] = []

    def note(statement: str) -> None:
        if "rate_counts" in statement:
            seen.append(statement)

    with observed_statements(limited.state.services[Database], note):
        await asyncio.sleep(1.5)
        assert seen == []
        async with Api(limited, address=HERE) as api:
            await api.get("/docs")
        await asyncio.sleep(2)
    assert sum(statement.startswith("INSERT") for statement in seen) == 1
    (row,) = await database.fetch_all(text("SELECT caller, count FROM rate_counts"))
    assert row == {"caller": f"default/{DAY}:{HERE}", "count": 1}


async def test_a_tenth_of_a_quota_is_told_at_once(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the test may take: what is told is not told because it was time.
    monkeypatch.setattr(sync, "SHARE_EVERY", 3600)
    app = create_app(settings.model_copy(update={"rate_limit": f"100/{DAY}"}))
    async with app.router.lifespan_context(app), Api(app) as api:
        for _ in range(10):
            await api.get("/nowhere")
        deadline = time.monotonic() + 30
        while not await database.fetch_all(text("SELECT FROM rate_counts WHERE count = 10")):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def test_a_worker_that_stops_tells_what_it_counted(settings: Settings, database: Database) -> None:
    app = create_app(settings.model_copy(update={"rate_limit": f"100/{DAY}"}))
    async with app.router.lifespan_context(app), Api(app) as api:
        await api.get("/nowhere")
    assert await database.fetch_all(text("SELECT count FROM rate_counts")) == [{"count": 1}]


async def test_counts_of_past_windows_are_deleted_after_a_minute(database: Database) -> None:
    over, young = "now() - interval '2 minutes'", "now() - interval '1 second'"
    await database.execute(text(f"INSERT INTO rate_counts VALUES ({over}, 'over', 1), ({young}, 'for slow clocks', 1)"))
    await Purger(database, PURGE_RULES).purge()
    rows = await database.fetch_all(text("SELECT caller FROM rate_counts"))
    assert [row["caller"] for row in rows] == ["for slow clocks"]


def test_the_memory_that_counting_takes_is_bounded() -> None:
    limits = limits_of(5)
    counter = limits.callers
    assert counter is not None
    assert ask(limits, "192.0.2.1", 9) == 5
    for number in range(MAX_CALLERS + 1_000):
        ask(limits, f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    assert (len(counter._used), len(counter._pending)) == (MAX_CALLERS, MAX_CALLERS)  # noqa: SLF001 - its memory


def test_a_new_window_begins_with_nothing_counted() -> None:
    limits = limits_of(5, 1)
    time.sleep(1 - time.time() % 1)
    assert ask(limits, HERE, 9) == 5
    time.sleep(1 - time.time() % 1)
    assert ask(limits, HERE, 9) == 5


def test_refund_does_not_apply_to_the_next_window() -> None:
    limits = limits_of(5, 1)
    time.sleep(1 - time.time() % 1)
    quota = RequestQuota(limits, (HERE, 1))
    quota.consume_for_address(DEFAULT)
    time.sleep(1 - time.time() % 1)
    assert 'ratelimit: "default";r=5;t=' in quota.headers(304, is_revalidated=True)


async def test_what_was_free_after_all_is_nothing_to_tell(database: Database) -> None:
    limits = limits_of(5)
    quota = RequestQuota(limits, (HERE, 1))
    quota.consume_for_address(DEFAULT)
    quota.headers(304, is_revalidated=True)
    assert not await RateLimitSync(limits, database).share()
