"""What may be done at a time is bounded, in number and in waiting, and nobody takes everything."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice

import asyncpg
import pytest
from fastapi import FastAPI

from app.auth.models import User
from app.auth.passwords import Passwords
from app.core.concurrency import ALONE, MAX_IDLE, SLOW, CallerShares, ConcurrencyLimit, Searches
from app.core.config import Settings
from app.core.database.database import Database
from app.core.errors import UnavailableError
from app.core.ids import uuid7
from app.main import create_app
from tests.auth.factories import UserFactory
from tests.auth.people import key_of
from tests.projects.factories import project_of
from tests.support import server
from tests.support.client import Api, assert_problem, bearer_of
from tests.support.factories import store


def limit(at_once: int, waiting: int, timeout: float = 60.0) -> ConcurrencyLimit:
    return ConcurrencyLimit(at_once, waiting=waiting, timeout=timeout, refusal="too many")


async def test_request_beyond_places_and_queue_is_refused_at_once() -> None:
    limited, running, go_on = limit(2, 3), 0, asyncio.Event()

    async def work() -> None:
        nonlocal running
        async with limited:
            running += 1
            await go_on.wait()
            running -= 1

    tasks = [asyncio.create_task(work()) for _ in range(5)]
    await asyncio.sleep(0)
    assert running == 2
    with pytest.raises(UnavailableError, match="too many") as refusal:
        await limited.__aenter__()
    assert refusal.value.headers["Retry-After"]
    go_on.set()
    await asyncio.gather(*tasks)
    async with limited, limited:
        pass


async def test_who_waits_too_long_or_gives_up_takes_nobodys_turn() -> None:
    limited = limit(1, 2, 0.01)
    async with limited:
        with pytest.raises(UnavailableError):
            async with limited:
                pass
        waiting = asyncio.create_task(limited.__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with limited:
        pass


class Work:
    """Searches that run until they are told to end, by a clock that stands still otherwise."""

    def __init__(self, at_once: int) -> None:
        self.now = 1000.0
        self.searches = Searches(at_once, waiting=100, timeout=60, refusal="too many")
        self.running: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def _search(self) -> None:
        end = asyncio.Event()
        self.running.append(end)
        await end.wait()
        self.running.remove(end)

    async def start(self, number: int) -> int:
        """Begin some more, and return how many run."""
        self.tasks += [asyncio.create_task(self.searches.run(self._search)) for _ in range(number)]
        return await self._settled()

    async def end_first(self, after: float = 0.0) -> int:
        """End the one that runs for longest, and return how many run then."""
        self.now += after
        self.running[0].set()
        return await self._settled()

    async def end_all(self) -> None:
        while self.running:
            await self.end_first()
        await asyncio.gather(*self.tasks)

    async def _settled(self) -> int:
        for _ in range(5):
            await asyncio.sleep(0)
        return len(self.running)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work(3)
    monkeypatch.setattr("app.core.concurrency.monotonic", lambda: work.now)
    return work


async def test_quick_searches_make_room_for_more_at_once(work: Work) -> None:
    assert await work.start(10) == 1
    assert [await work.end_first() for _ in range(8)] == [2, 3, 3, 3, 3, 3, 3, 2]
    assert await work.start(2) == 3
    await work.end_all()


async def test_slow_search_leaves_its_caller_one_at_a_time(work: Work) -> None:
    await work.start(20)
    assert [await work.end_first() for _ in range(3)] == [2, 3, 3]
    # The two beside it end without a successor.
    assert [await work.end_first(after) for after in (2 * SLOW, 0, 0, 0)] == [2, 1, 1, 1]
    assert await work.start(1) == 1, "nobody overtakes those who wait"
    assert [await work.end_first(SLOW / 2) for _ in range(2)] == [1, 1]
    await work.end_all()
    work.now += ALONE * 2 * SLOW
    await work.start(10)
    assert [await work.end_first(SLOW / 4) for _ in range(3)] == [2, 3, 3]
    await work.end_all()


async def test_idle_shares_are_removed() -> None:
    shares, one, other = CallerShares(1, searches=1, timeout=1), uuid7(), uuid7()
    async with shares.of(one):
        held = shares.of(one)
        assert held is not shares.of(other)
        for _ in range(3 * MAX_IDLE):
            shares.of(uuid7())
        assert shares.of(one) is held
        assert len(shares._shares) <= MAX_IDLE + 1  # noqa: SLF001 - nothing else shows what is kept


async def test_passwords_beyond_the_queue_are_refused_at_once(settings: Settings) -> None:
    passwords = Passwords(settings.model_copy(update={"password_queue": 3}))
    outcomes = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, UnavailableError) for outcome in outcomes) == 16
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 4


@pytest.fixture
async def shared(settings: Settings, database: Database) -> AsyncIterator[FastAPI]:
    """An application in which a person has three of five connections, and does not wait for long."""
    app = create_app(
        settings.model_copy(
            update={
                "database_pool_size": 5,
                "caller_concurrency": 3,
                "caller_searches": 1,
                "database_pool_timeout": 0.5,
                "statement_timeout": 60,
            }
        )
    )
    async with app.router.lifespan_context(app):
        yield app


async def test_one_who_asks_for_much_leaves_the_others_their_connections(
    shared: FastAPI, settings: Settings, database: Database, user: User
) -> None:
    other = UserFactory.build()
    await store(database, other)
    project = await project_of(database, user)
    assert settings.database_url is not None
    blocker = await asyncpg.connect(server.plain_url(settings.database_url))
    path = f"/projects/{project.id}/tasks/"
    async with (
        Api(shared, await bearer_of(shared, user)) as busy,
        # Another way to sign in is no other person.
        busy.with_key((await key_of(shared, user, scopes=["tasks:read"]))[1]) as also_busy,
        Api(shared, await bearer_of(shared, other)) as calm,
    ):
        await blocker.execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
        try:
            held = [asyncio.create_task(api.get(path)) for api in (busy, also_busy) for _ in range(25)]
            for _ in range(20):
                assert (await calm.get("/projects/")).status_code == 200
            # Those who wait are refused while three are still under way.
            for refused in islice(asyncio.as_completed(held), 47):
                answer = await refused
                assert_problem(answer, 503, "unavailable")
                assert answer.headers["retry-after"]
            served = [task for task in held if not task.done()]
        finally:
            await blocker.execute("ROLLBACK")
            await blocker.close()
        assert [(await task).status_code for task in served] == [200, 200, 200]
        assert (await busy.get(path)).status_code == 200


async def test_second_search_of_a_caller_waits_others_do_not(
    shared: FastAPI, settings: Settings, database: Database, user: User
) -> None:
    project = await project_of(database, user)
    assert settings.database_url is not None
    blocker = await asyncpg.connect(server.plain_url(settings.database_url))
    async with Api(shared, await bearer_of(shared, user)) as api:
        await blocker.execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
        try:
            path = f"/projects/{project.id}/tasks/?q=a"
            # One runs and one waits; a third request of this person finds a place beside them.
            searches = [asyncio.create_task(api.get(path)) for _ in range(2)]
            assert (await api.get("/projects/")).status_code == 200
            refused, _ = await asyncio.wait(searches, return_when=asyncio.FIRST_COMPLETED)
            (answer,) = [task.result() for task in refused]
            problem = assert_problem(answer, 503, "unavailable")
            assert "Your searches and sorted lists waited too long" in problem["detail"]
        finally:
            await blocker.execute("ROLLBACK")
            await blocker.close()
        (served,) = [task for task in searches if task not in refused]
        assert (await served).status_code == 200
