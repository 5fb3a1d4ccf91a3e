"""What may be done at a time is bounded, in number and in waiting, and nobody takes everything."""

import asyncio
from collections.abc import AsyncIterator
from itertools import islice

import asyncpg
import pytest
from fastapi import FastAPI

from app.auth.models import User
from app.auth.passwords import Passwords
from app.core.concurrency import ALONE, COMPANY_LASTS, MAX_IDLE, SLOW, CallerShares, ConcurrencyLimit
from app.core.config import Settings
from app.core.database.database import Database
from app.core.errors import UnavailableError
from app.core.ids import uuid7
from app.main import create_app
from app.projects.models import Role
from tests.auth.factories import UserFactory
from tests.auth.people import key_of
from tests.labels.factories import LabelFactory
from tests.projects.factories import add_member, project_of
from tests.support import server
from tests.support.client import Api, assert_problem, bearer_of
from tests.support.factories import store
from tests.tasks.factories import TaskFactory


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
    """One person's requests, which run until they are told to end, by a clock that stands still otherwise."""

    def __init__(self, *, searches: int) -> None:
        self.now = 1000.0
        self.shares = CallerShares(5, searches=searches, timeout=60)
        self.person, self.other = uuid7(), uuid7()
        self.running: list[asyncio.Event] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def _work(self) -> None:
        end = asyncio.Event()
        self.running.append(end)
        await end.wait()
        self.running.remove(end)

    async def _search(self) -> None:
        async with (share := self.shares.of(self.person)):
            await share.searches.run(self._work)

    async def _request(self) -> None:
        async with self.shares.of(self.person):
            await self._work()

    async def start(self, number: int) -> int:
        """Begin some more searches, and return how many requests run."""
        self.tasks += [asyncio.create_task(self._search()) for _ in range(number)]
        return await self._settled()

    async def start_others(self, number: int) -> int:
        """Begin some more requests that are no searches, and return how many run."""
        self.tasks += [asyncio.create_task(self._request()) for _ in range(number)]
        return await self._settled()

    def bring_company(self) -> None:
        """Have a request of another person arrive."""
        self.shares.of(self.person)
        self.shares.of(self.other)

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
        for _ in range(9):
            await asyncio.sleep(0)
        return len(self.running)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work(searches=3)
    monkeypatch.setattr("app.core.concurrency.monotonic", lambda: work.now)
    monkeypatch.setattr("app.core.concurrency.PATIENCE", 3600)
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


async def test_in_company_requests_of_one_person_run_singly(work: Work) -> None:
    assert await work.start_others(8) == 5
    work.bring_company()
    # As many as ran before end without a successor.
    assert [await work.end_first() for _ in range(5)] == [4, 3, 2, 1, 1]
    assert await work.start_others(4) == 1
    assert [await work.end_first(after) for after in (COMPANY_LASTS / 2, COMPANY_LASTS / 2)] == [1, 5]
    await work.end_all()


async def test_in_company_one_search_runs_beside_another_request(work: Work) -> None:
    await work.start(4)
    assert [await work.end_first() for _ in range(2)] == [2, 2]
    await work.end_all()
    work.bring_company()
    assert await work.start(3) == 1
    assert await work.start_others(3) == 2
    assert [await work.end_first() for _ in range(3)] == [2, 2, 2]
    await work.end_all()


async def test_request_that_hangs_does_not_hold_up_the_others(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.bring_company()
    monkeypatch.setattr("app.core.concurrency.PATIENCE", 0)
    assert await work.start_others(9) == 5
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


COSTLY = {
    "search": ("GET", "/projects/{project}/tasks/?q=a", None),
    "sorted list of all projects": ("GET", "/tasks/?sort=title", None),
    "summary": ("GET", "/projects/{project}/summary", None),
    "batch": ("POST", "/projects/{project}/tasks/batch", {"operations": [{"op": "create", "task": {"title": "a"}}]}),
    "deletion of a project": ("DELETE", "/projects/{project}", None),
    "deletion of a label": ("DELETE", "/labels/{label}", None),
    "removal of a member": ("DELETE", "/projects/{project}/members/{member}", None),
    "blocker": ("PUT", "/tasks/{task}/blockers/{blocker}", None),
}


@pytest.mark.parametrize("name", COSTLY)
async def test_costly_requests_of_one_caller_take_turns(
    shared: FastAPI, settings: Settings, database: Database, user: User, name: str
) -> None:
    """Their cost depends on the number of tasks."""
    member = UserFactory.build()
    await store(database, member)
    project = await project_of(database, user)
    await add_member(database, project, member, Role.EDITOR)
    label = LabelFactory.build(project_id=project.id)
    task, blocker_task = TaskFactory.batch(2, project_id=project.id)
    await store(database, label, task, blocker_task)
    ids = {"project": project.id, "label": label.id, "member": member.id, "task": task.id, "blocker": blocker_task.id}
    method, path, body = COSTLY[name]
    assert settings.database_url is not None
    blocker = await asyncpg.connect(server.plain_url(settings.database_url))
    async with Api(shared, await bearer_of(shared, user)) as api:
        await blocker.execute("BEGIN; LOCK TABLE tasks, projects, labels, project_members IN ACCESS EXCLUSIVE MODE")
        try:
            # One runs and one waits; a third request of this person finds a place beside them.
            costly = [asyncio.create_task(api.request(method, path.format(**ids), json=body)) for _ in range(2)]
            assert (await api.get("/auth/me")).status_code == 200
            refused, _ = await asyncio.wait(costly, return_when=asyncio.FIRST_COMPLETED)
            (answer,) = [task.result() for task in refused]
            problem = assert_problem(answer, 503, "unavailable")
            assert "Your searches and other costly requests waited too long" in problem["detail"]
        finally:
            await blocker.execute("ROLLBACK")
            await blocker.close()
        (served,) = [task for task in costly if task not in refused]
        assert (await served).is_success
