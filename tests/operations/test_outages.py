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
from app.core.database import Database
from app.embedded import EmbeddedPostgres
from app.main import create_app
from tests.operations.support import run_command
from tests.projects.factories import project_of
from tests.support import server
from tests.support.bouncer import running_bouncer
from tests.support.client import Api, assert_problem
from tests.support.process import Service

SOON = 10
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
        token = client.post("/auth/login", json={"username": "admin", "password": "1234"}).json()["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
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


def test_a_service_started_before_its_database_serves_as_soon_as_it_is_there(
    tmp_path: Path, postgres: EmbeddedPostgres, way: dict[str, str]
) -> None:
    assert run_command(tmp_path, "migrate", TALLER_DATABASE_URL=postgres.url()).returncode == 0
    url = postgres.url()
    postgres.stop()
    with Service(url, tmp_path, way) as service, service.client() as client:
        service.start(wait=False)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if client.get("/health/live").status_code == 200:
                    break
            except httpx2.TransportError:
                time.sleep(0.05)
        assert_unavailable(client.get("/health/ready"))
        postgres.start()
        wait_for(client, "/health/ready")


async def test_a_statement_that_takes_too_long_is_cancelled_and_changes_nothing(
    settings: Settings, api: Api, user: User, database: Database
) -> None:
    project = await project_of(database, user, name="Before")
    app = create_app(settings.model_copy(update={"statement_timeout": 0.2}))
    async with app.router.lifespan_context(app), Api(app) as anonymous, await anonymous.as_(user) as hurried:
        async with database.unit() as unit:
            await unit.rows(text("SELECT FROM projects FOR UPDATE"))
            started = time.monotonic()
            answer = await hurried.put(f"/projects/{project.id}", json={"name": "After"})
            assert 0.2 <= time.monotonic() - started < 3
            assert_problem(answer, 503, "statement_timeout")
            assert int(answer.headers["retry-after"]) > 0
        assert (await api.get(f"/projects/{project.id}")).json()["name"] == "Before"
        assert (await hurried.put(f"/projects/{project.id}", json={"name": "After"})).status_code == 200


async def test_a_request_that_finds_no_free_connection_is_answered_within_the_pool_timeout(
    settings: Settings, user: User, database: Database
) -> None:
    app = create_app(settings.model_copy(update={"database_pool_size": 1, "database_pool_timeout": 1}))
    async with app.router.lifespan_context(app), Api(app) as anonymous, await anonymous.as_(user) as api:
        held = await app.state.database.statements.take()
        try:
            started = time.monotonic()
            answers = await asyncio.gather(*(api.get("/projects/") for _ in range(20)))
            assert 1 <= time.monotonic() - started < 4
            for answer in answers:
                assert_unavailable(answer)
            assert (await api.get("/health/live")).status_code == 200
        finally:
            app.state.database.statements.give_back(held)
        answers = await asyncio.gather(*(api.get("/projects/") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("address", ["postgresql://x@127.0.0.1:1/x", "postgresql://x@/x?host=/nowhere"])
async def test_an_address_where_nobody_listens_is_a_503(settings: Settings, address: str) -> None:
    app = create_app(Settings(_env_file=None, database_url=address))
    async with app.router.lifespan_context(app), Api(app) as api:
        assert_unavailable(await api.get("/health/ready"))
        assert_unavailable(await api.post("/auth/login", json={"username": "admin", "password": "1234"}))
