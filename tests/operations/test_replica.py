"""Reads from a standby: never older than what the client has seen, whatever happens to the standby."""

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.auth.models import User
from app.cli.diagnosis import replica_findings
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.replica import Position, Replica
from app.core.http.positions import HEADER, LATEST
from app.main import create_app
from app.projects.models import Project, Role
from devtools.postgres import EmbeddedPostgres
from tests.auth.people import person
from tests.migrations.history import fetch
from tests.operations.pair import Pair, kill
from tests.projects.factories import add_member, project_of
from tests.support import server
from tests.support.client import Api, assert_problem
from tests.support.queries import recorded_statements

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(migrated: Path) -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="taller-pair-", ignore_cleanup_errors=True) as directory:
        pair = Pair(Path(directory))
        try:
            pair.start(migrated, is_synchronous=False)
            yield pair
        finally:
            pair.stop()


class Client:
    """Somebody who sends back the position that the last response told, to any of several instances."""

    def __init__(self, instances: list[Api]) -> None:
        self._instances = instances
        self.position = LATEST

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        api = random.choice(self._instances)
        answer = await api.request(method, path, headers={HEADER: self.position}, **options)
        self.position = answer.headers.get(HEADER, LATEST)
        return answer

    async def get(self, path: str) -> httpx2.Response:
        return await self.request("GET", path)


class Deployment:
    """Instances of the service, each with its own connections, on the same databases."""

    def __init__(self, apps: Sequence[FastAPI]) -> None:
        self.apps = apps
        self.replicas = [app.state.services[Replica] for app in apps]
        self.database: Database = apps[0].state.services[Database]

    async def client_of(self, user: User) -> Client:
        return Client([await Api(app).as_(user) for app in self.apps])

    async def until(self, *, is_used: bool) -> None:
        """Return when each instance reads from the standby, or when none does."""
        for _ in range(1500):
            if all(replica.shows(Position(0, 0)) == is_used for replica in self.replicas):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"the standby is {'not ' if is_used else ''}used")


@asynccontextmanager
async def running(
    url: str, standby: EmbeddedPostgres, *, instances: int = 1, lag: float = 5.0
) -> AsyncGenerator[Deployment]:
    settings = Settings(
        _env_file=None,
        database_url=url,
        database_replica_url=standby.url(),
        database_replica_lag=lag,
        database_pool_size=4,
        argon2_time_cost=1,
        argon2_memory_cost=8,
    )
    apps = [create_app(settings) for _ in range(instances)]
    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app.router.lifespan_context(app))
        yield Deployment(apps)


@pytest.fixture
async def deployment(pair: Pair) -> AsyncIterator[Deployment]:
    async with running(pair.primary.url(), pair.standby) as deployment:
        await deployment.until(is_used=True)
        yield deployment


async def older_states(client: Client, project: Project, *, rounds: int, writes: bool) -> int:
    """How often a client that writes, or only watches, was shown a state before one that it had seen."""
    seen = older = 0
    for number in range(1, rounds + 1):
        if writes and number % 10 == 1:
            answer = await client.request("PATCH", f"/projects/{project.id}", json={"name": str(number)})
            assert answer.status_code == 200, answer.text
            seen = number
        path = "/projects/" if number % 2 else f"/projects/{project.id}"
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["items"] if number % 2 else [answer.json()]
        older += int(found["name"]) < seen
        seen = max(seen, int(found["name"]))
        await asyncio.sleep(random.uniform(0, 0.06))
    return older


Recorder = Callable[[Database], list[str]]


@pytest.fixture
def statements_of() -> Iterator[Recorder]:
    """Return what records the statements that a database executes from then on."""
    with ExitStack() as stack:
        yield lambda database: stack.enter_context(recorded_statements(database))


@pytest.mark.parametrize("checks", [True, False], ids=["checked", "unchecked"])
async def test_clients_of_two_instances_never_see_older_states(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, statements_of: Recorder, *, checks: bool
) -> None:
    delay = ("ALTER SYSTEM SET recovery_min_apply_delay = '200ms'", "SELECT pg_reload_conf()")
    await asyncio.to_thread(server.execute, pair.standby.url(), *delay)
    if not checks:
        # Without the check, the same clients meet older states.
        monkeypatch.setattr(Position, "covers", lambda *_: True)
    async with running(pair.primary.url(), pair.standby, instances=2) as deployment:
        people = [await person(deployment.apps[0], name) for name in ("ana", "ben", "cleo", "dan")]
        projects = [await project_of(deployment.database, each, name="0") for each in people]
        watcher = await person(deployment.apps[0], "eve")
        await add_member(deployment.database, projects[0], watcher, Role.VIEWER)
        await deployment.until(is_used=True)
        by_primary, *by_replicas = map(
            statements_of, (deployment.database, *(replica.database for replica in deployment.replicas))
        )
        clients = [await deployment.client_of(each) for each in (*people, watcher)]
        older = await asyncio.gather(
            *(
                older_states(client, project, rounds=40, writes=client is not clients[-1])
                for client, project in zip(clients, (*projects, projects[0]), strict=True)
            )
        )
        # Whoever pauses for longer than the standby is behind is answered by it, by each instance in the end. Without
        # pauses, each heartbeat would move the client's position ahead of the standby again.
        for _ in range(50):
            await asyncio.sleep(0.5)
            await clients[-1].get("/projects/")
            if all(any("FROM projects" in sql for sql in seen) for seen in by_replicas):
                break
        else:
            raise AssertionError("an instance does not read from the standby")
    assert (sum(older) == 0) is checks
    # Unchecked, the standby answers all of them.
    assert not checks or any("FROM projects" in sql for sql in by_primary)


async def test_dead_standby_costs_no_request(pair: Pair, deployment: Deployment, statements_of: Recorder) -> None:
    ana = await person(deployment.apps[0], "ana")
    project = await project_of(deployment.database, ana)
    clients = [await deployment.client_of(ana) for _ in range(4)]
    answers: list[int] = []
    is_done = False

    async def read(client: Client) -> None:
        while not is_done:
            answers.append((await client.get(f"/projects/{project.id}")).status_code)

    reading = [asyncio.create_task(read(client)) for client in clients]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(kill, pair.standby)
    await deployment.until(is_used=False)
    assert (await Api(deployment.apps[0]).get("/health/ready")).status_code == 200
    await asyncio.to_thread(pair.standby.stop)
    await asyncio.to_thread(pair.standby.start)
    await deployment.until(is_used=True)
    by_replica = statements_of(deployment.replicas[0].database)
    await asyncio.gather(*(client.get("/projects/") for client in clients))
    await asyncio.gather(*(client.get("/projects/") for client in clients))
    is_done = True
    await asyncio.gather(*reading)
    assert set(answers) == {200}
    assert any("FROM projects" in sql for sql in by_replica)


async def test_promoted_standby_is_not_read(pair: Pair, deployment: Deployment) -> None:
    ana = await person(deployment.apps[0], "ana")
    project = await project_of(deployment.database, ana, name="mine")
    client = await deployment.client_of(ana)
    await client.get("/projects/")
    await asyncio.to_thread(server.execute, pair.standby.url(), "SELECT pg_promote()")
    await deployment.until(is_used=False)
    await asyncio.to_thread(server.execute, pair.standby.url(), "UPDATE projects SET name = 'of nobody'")
    for _ in range(20):
        assert (await client.get(f"/projects/{project.id}")).json()["name"] == "mine"
        await asyncio.sleep(0.02)
    assert not any(replica.shows(Position(0, 0)) for replica in deployment.replicas)
    settings = deployment.apps[0].state.services[Settings]
    assert "is not a standby" in (await replica_findings(settings, deployment.database))[0]


async def test_standby_of_lost_primary_is_not_read(pair: Pair) -> None:
    follower = pair.server("three")
    pair.follow(follower)
    try:
        hosts = ",".join(map(str, pair.sockets))
        url = f"postgresql://taller@/postgres?host={hosts}&target_session_attrs=read-write"
        async with running(url, follower) as deployment:
            ana = await person(deployment.apps[0], "ana")
            project = await project_of(deployment.database, ana, name="kept")
            client = await deployment.client_of(ana)
            await deployment.until(is_used=True)
            await asyncio.to_thread(lose_writes, pair, follower)
            await asyncio.to_thread(server.execute, pair.standby.url(), "SELECT pg_promote()")
            await until_written(client, project)
            for _ in range(20):
                answer = await client.get(f"/projects/{project.id}")
                assert answer.json()["name"] == "written"
                await asyncio.sleep(0.05)
            # By its number alone, its position would do.
            (lsn,) = await asyncio.to_thread(fetch, follower.url(), "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint")
            seen = Position.read(client.position)
            assert seen is not None
            assert lsn > seen.lsn
            assert not deployment.replicas[0].shows(Position(0, 0))
    finally:
        follower.stop()


def lose_writes(pair: Pair, follower: EmbeddedPostgres) -> None:
    """Let the primary write what only the follower gets, and die."""
    server.execute(pair.standby.url(), "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
    for _ in range(300):
        if fetch(pair.primary.url(), "SELECT count(*) FROM pg_stat_replication") == [1]:
            break
        time.sleep(0.05)
    server.execute(
        pair.primary.url(),
        "UPDATE projects SET name = 'lost'",
        "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 5000)",
    )
    for _ in range(300):
        if fetch(follower.url(), "SELECT count(*) FROM pg_class WHERE relname = 'filler'") == [1]:
            break
        time.sleep(0.05)
    kill(pair.primary)


async def until_written(client: Client, project: Project) -> None:
    async with asyncio.timeout(30):
        while True:
            answer = await client.request("PATCH", f"/projects/{project.id}", json={"name": "written"})
            if answer.status_code == 200:
                return
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.1)


async def test_who_was_removed_reads_no_longer_than_the_lag(pair: Pair) -> None:
    async with running(pair.primary.url(), pair.standby, lag=0.5) as deployment:
        ana, ben = await person(deployment.apps[0], "ana"), await person(deployment.apps[0], "ben")
        project = await project_of(deployment.database, ana)
        await add_member(deployment.database, project, ben, Role.VIEWER)
        client = await deployment.client_of(ben)
        await deployment.until(is_used=True)
        await asyncio.to_thread(server.execute, pair.standby.url(), "SELECT pg_wal_replay_pause()")
        owner = await Api(deployment.apps[0]).as_(ana)
        assert (await owner.delete(f"/projects/{project.id}/members/{ben.id}")).status_code == 204
        removed_at = time.monotonic()
        while (await client.get(f"/projects/{project.id}")).status_code == 200:
            began = time.monotonic()
            assert began - removed_at < 0.5
            await asyncio.sleep(0.02)


async def test_clients_that_send_no_position_are_answered_by_the_primary(
    deployment: Deployment, statements_of: Recorder
) -> None:
    assert await replica_findings(deployment.apps[0].state.services[Settings], deployment.database) == []
    ana = await person(deployment.apps[0], "ana")
    api = await Api(deployment.apps[0]).as_(ana)
    by_replica = statements_of(deployment.replicas[0].database)
    for headers in ({}, {HEADER: LATEST}):
        answer = await api.get("/projects/", headers=headers)
        assert answer.status_code == 200
        assert (HEADER in answer.headers) is (headers != {})
    refused = await api.get("/projects/nothing", headers={HEADER: LATEST})
    assert refused.status_code == 400
    assert HEADER in refused.headers
    problem = assert_problem(await api.get("/projects/", headers={HEADER: "0/16B3748"}), 400, "invalid_request")
    assert problem["errors"][0]["parameter"] == HEADER
    assert not any("FROM projects" in sql for sql in by_replica)
