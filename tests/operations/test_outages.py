"""When the database is away, slow or overloaded: 503 with a time to try again, and recovery by itself."""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.errors import UnavailableError
from app.main import create_app
from devtools.postgres import EmbeddedPostgres
from tests.auth.people import person, sign_in
from tests.operations.support import run_command
from tests.projects.factories import project_of
from tests.support import server
from tests.support.bouncer import running_bouncer
from tests.support.client import Api, assert_problem
from tests.support.process import Service

pytestmark = pytest.mark.slow

SOON = 30
"""Seconds after which recovery counts as failed."""


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server that the test may stop and start again at the same address."""
    # Not in pytest's directory: to the user as whom the servers run, every other run of pytest closes that.
    with tempfile.TemporaryDirectory(prefix="taller-outage-", ignore_cleanup_errors=True) as directory:
        # Not with the test run's unsafe options: what was acknowledged must be there after each stop.
        postgres = EmbeddedPostgres(Path(directory), socket_directory=Path(directory) / "s")
        postgres.start()
        yield postgres
        postgres.stop()


@pytest.fixture
def way(postgres: EmbeddedPostgres) -> Iterator[dict[str, str]]:
    """The settings by which a service of this run reaches that server."""
    if server.BOUNCER_VARIABLE not in os.environ:
        yield {}
        return
    with running_bouncer(postgres.url(), servers=5) as bouncer:
        yield server.variables(server.through(bouncer))


def assert_unavailable(answer: httpx2.Response) -> None:
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


def wait_for(client: httpx2.Client, path: str, **options: Any) -> None:
    """Ask until it is answered; whatever comes before must be a 503."""
    deadline = time.monotonic() + SOON
    while (answer := client.get(path, **options)).status_code != 200:
        assert_unavailable(answer)
        assert time.monotonic() < deadline, f"{path} did not recover within {SOON} s"
        time.sleep(0.05)


def test_the_service_outlives_its_database_and_recovers_with_it(
    tmp_path: Path, postgres: EmbeddedPostgres, way: dict[str, str]
) -> None:
    migrated = run_command(tmp_path, "migrate", TALLER_DATABASE_URL=postgres.url())
    assert migrated.returncode == 0, migrated.stderr
    with Service(postgres.url(), tmp_path, way) as service, service.client() as client:
        service.start()
        pid = service.process.pid
        client.headers["Authorization"] = f"Bearer {service.token()}"
        project = client.post("/projects/", json={"name": "Kept"}).json()
        for _ in range(2):
            postgres.stop()
            for request in (
                client.build_request("GET", "/projects/"),
                client.build_request("POST", "/projects/", json={"name": "Lost"}),
                client.build_request("POST", "/projects/", json={"name": "Lost"}, headers={"Idempotency-Key": "k"}),
                client.build_request("GET", f"/projects/{project['id']}/tasks/"),
                client.build_request("DELETE", f"/projects/{project['id']}"),
                client.build_request("POST", "/auth/login", json={"username": "admin", "password": "1234"}),
                client.build_request("GET", "/health/ready"),
            ):
                started = time.monotonic()
                assert_unavailable(client.send(request))
                assert time.monotonic() - started < SOON
            assert client.get("/health/live").status_code == 200
            postgres.start()
            wait_for(client, "/health/ready")
            wait_for(client, "/projects/")
            kept = client.get("/projects/").json()
            assert (kept["total"], kept["items"]) == (1, [project]), postgres.log_file.read_text()[-6000:]
        assert (service.process.poll(), service.process.pid) == (None, pid)
        assert service.stop() == 0


def test_service_started_before_its_database_serves_once_it_exists(
    tmp_path: Path, postgres: EmbeddedPostgres, way: dict[str, str]
) -> None:
    assert run_command(tmp_path, "migrate", TALLER_DATABASE_URL=postgres.url()).returncode == 0
    url = postgres.url()
    postgres.stop()
    with Service(url, tmp_path, way) as service, service.client() as client:
        service.start(wait=False)
        deadline = time.monotonic() + SOON
        while True:
            try:
                if client.get("/health/live").status_code == 200:
                    break
            except httpx2.TransportError:
                assert time.monotonic() < deadline, service.log_tail()
                time.sleep(0.05)
        assert_unavailable(client.get("/health/ready"))
        postgres.start()
        wait_for(client, "/health/ready")


async def test_statement_beyond_its_time_is_cancelled_and_changes_nothing(
    settings: Settings, api: Api, user: User, database: Database
) -> None:
    project = await project_of(database, user, name="Before")
    app = create_app(settings.model_copy(update={"statement_timeout": 0.2}))
    async with app.router.lifespan_context(app), Api(app) as anonymous, await anonymous.as_(user) as hurried:
        async with database.transaction() as transaction:
            await transaction.execute(text("SELECT FROM projects FOR UPDATE"))
            started = time.monotonic()
            answer = await hurried.put(f"/projects/{project.id}", json={"name": "After"})
            assert time.monotonic() - started >= 0.2
            assert_problem(answer, 503, "statement_timeout")
            assert int(answer.headers["retry-after"]) > 0
        assert (await api.get(f"/projects/{project.id}")).json()["name"] == "Before"
        assert (await hurried.put(f"/projects/{project.id}", json={"name": "After"})).status_code == 200


async def test_request_without_connection_is_refused_within_the_pool_timeout(
    settings: Settings, user: User, database: Database
) -> None:
    app = create_app(settings.model_copy(update={"database_pool_size": 1, "database_pool_timeout": 1}))
    async with app.router.lifespan_context(app), Api(app) as anonymous, await anonymous.as_(user) as api:
        held = await app.state.services[Database].pool.acquire()
        try:
            started = time.monotonic()
            answers = await asyncio.gather(*(api.get("/projects/") for _ in range(20)))
            # All at once, rather than one after the other.
            assert 1 <= time.monotonic() - started < len(answers) / 2
            for answer in answers:
                assert_unavailable(answer)
            assert (await api.get("/health/live")).status_code == 200
        finally:
            app.state.services[Database].pool.release(held)
        answers = await asyncio.gather(*(api.get("/projects/") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("address", ["postgresql://x@127.0.0.1:1/x", "postgresql://x@/x?host=/nowhere"])
async def test_an_address_where_nobody_listens_is_a_503(settings: Settings, address: str) -> None:
    app = create_app(Settings(_env_file=None, database_url=address))
    async with app.router.lifespan_context(app), Api(app) as api:
        assert_unavailable(await api.get("/health/ready"))
        assert_unavailable(await api.post("/auth/login", json={"username": "admin", "password": "1234"}))


@pytest.fixture
def closing(server_url: str, worker_id: str) -> Iterator[str]:
    """The name of a migrated database that the test may close."""
    name = f"{server.PREFIX}closing_{worker_id}_{os.getpid()}"
    with server.database_copy(server_url, name):
        yield name


async def test_database_that_accepts_no_connections_is_503_only(
    settings: Settings, server_url: str, closing: str
) -> None:
    app = create_app(
        settings.model_copy(update={"database_url": server.with_database(server_url, closing), "pgbouncer": False})
    )
    async with app.router.lifespan_context(app), Api(app) as api:
        ana = await person(app, "ana")
        async with await api.as_(ana) as signed_in:
            await asyncio.to_thread(
                server.execute,
                server_url,
                f'ALTER DATABASE "{closing}" ALLOW_CONNECTIONS false',
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{closing}'",
            )
            for _ in range(20):
                assert_unavailable(await api.get("/health/ready"))
                assert_unavailable(await signed_in.get("/projects/"))
                keyed = {"Idempotency-Key": "k"}
                assert_unavailable(await signed_in.post("/projects/", json={"name": "Lost"}, headers=keyed))
                assert_unavailable(await sign_in(api, "ana"))
            await asyncio.to_thread(server.execute, server_url, f'ALTER DATABASE "{closing}" ALLOW_CONNECTIONS true')
            # None of the dead connections costs anybody an answer.
            requests = [
                signed_in.post("/projects/", json={"name": "Kept"}, headers={"Idempotency-Key": str(number)})
                for number in range(20)
            ]
            assert {answer.status_code for answer in await asyncio.gather(*requests)} == {201}
            assert (await api.get("/health/ready")).status_code == 200


@pytest.mark.parametrize(
    "state", ["08006", "25006", "25P03", "25P04", "53100", "53200", "53300", "55000", "57P01", "57P03", "57P05"]
)
async def test_errors_of_an_outage_are_answered_503(database: Database, state: str) -> None:
    raising = text(f"DO $$BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{state}'; END$$")
    for _ in range(2):
        with pytest.raises(UnavailableError) as refused:
            await database.execute(raising)
        assert int(refused.value.headers["Retry-After"]) > 0

    async def in_a_unit() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(raising)

    with pytest.raises(UnavailableError):
        await in_a_unit()
    assert await database.fetch_all(text("SELECT 1 AS one")) == [{"one": 1}]


@pytest.mark.parametrize("in_a_unit", [False, True], ids=["by itself", "in a transaction"])
async def test_first_write_after_demotion_is_served_by_the_new_primary(
    settings: Settings, server_url: str, closing: str, in_a_unit: bool
) -> None:
    creation = text("INSERT INTO projects (id, name) VALUES (gen_random_uuid(), 'First') RETURNING name")
    change = f'ALTER DATABASE "{closing}"'
    # Sessions keep what they were opened with, as connections to a demoted primary do.
    await asyncio.to_thread(server.execute, server_url, f"{change} SET default_transaction_read_only = on")
    url = server.with_database(server_url, closing)
    database = Database(settings.model_copy(update={"database_url": url, "pgbouncer": False}))
    try:
        await database.start()
        await asyncio.to_thread(server.execute, server_url, f"{change} RESET default_transaction_read_only")
        if in_a_unit:
            async with database.transaction() as transaction:
                assert await transaction.fetch_all(creation) == [{"name": "First"}]
        else:
            assert await database.fetch_all(creation) == [{"name": "First"}]
        assert await database.fetch_all(text("SELECT name FROM projects")) == [{"name": "First"}]
    finally:
        await database.close()
