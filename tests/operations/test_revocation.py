"""What is revoked in one worker is refused in all, soon, and without a statement of its own on the request path."""

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.auth.models import User
from app.auth.service import SEED_PASSWORD, SEED_USERNAME
from app.core.config import Settings
from app.core.database import Database
from app.main import create_app
from tests.auth.factories import UserFactory
from tests.auth.people import key_of
from tests.projects.factories import project_of
from tests.support import server
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.process import Service, running_service
from tests.support.queries import query_budget

DELAY = 1.0
"""Seconds; TALLER_REVOCATION_DELAY of the two services."""

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def workers(server_url: str) -> Iterator[tuple[httpx2.Client, httpx2.Client]]:
    """Two services on one database."""
    environment = {"TALLER_REVOCATION_DELAY": str(DELAY)}
    with (
        running_service(server_url, environment=environment) as first,
        tempfile.TemporaryDirectory(prefix="taller-service-") as directory,
        Service(
            first.database_url, Path(directory), {**server.variables(server.way_to(first.database_url)), **environment}
        ) as second,
    ):
        second.start()
        with first.client() as here, second.client() as there:
            yield here, there


def signed_in(client: httpx2.Client, username: str, password: str) -> dict[str, str]:
    answer = client.post("/auth/login", json={"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def new_person(client: httpx2.Client, name: str) -> dict[str, str]:
    username = f"{name}-{os.getpid()}-{time.monotonic_ns()}"
    assert client.post("/auth/register", json={"username": username, "password": PASSWORD}).status_code == 201
    return signed_in(client, username, PASSWORD)


def seconds_until_refused(
    client: httpx2.Client,
    headers: dict[str, str],
    revoke: Callable[..., httpx2.Response],
    /,
    *arguments: Any,
    **options: Any,
) -> float:
    """How long after the answer to the revocation this client still gets in."""
    # Asked until just before, so that it is remembered.
    for _ in range(5):
        assert client.get("/projects/", headers=headers).status_code == 200
    assert revoke(*arguments, **options).is_success
    revoked = time.monotonic()
    while time.monotonic() - revoked < DELAY + 5:
        answer = client.get("/projects/", headers=headers)
        if answer.status_code == 401:
            return time.monotonic() - revoked
        assert answer.status_code == 200
        time.sleep(0.005)
    raise AssertionError("still admitted")


def test_what_one_worker_revokes_another_refuses_within_the_promised_time(
    workers: tuple[httpx2.Client, httpx2.Client], record_property: Callable[[str, object], None]
) -> None:
    here, there = workers
    admin = signed_in(here, SEED_USERNAME, SEED_PASSWORD)
    measured: dict[str, list[float]] = {}
    for _ in range(3):
        ada = new_person(here, "ada")
        took = seconds_until_refused(there, ada, here.post, "/auth/logout", headers=ada)
        measured.setdefault("a session that signed out", []).append(took)

        ben = new_person(here, "ben")
        key = here.post("/auth/api-keys", json={"name": "k", "scopes": ["projects:read"]}, headers=ben).json()
        by_key = {"X-API-Key": key["secret"]}
        took = seconds_until_refused(there, by_key, here.delete, f"/auth/api-keys/{key['id']}", headers=ben)
        measured.setdefault("a key that was revoked", []).append(took)

        eve = new_person(here, "eve")
        user = f"/users/{here.get('/auth/me', headers=eve).json()['id']}"
        took = seconds_until_refused(there, eve, here.patch, user, json={"is_active": False}, headers=admin)
        measured.setdefault("a person who was deactivated", []).append(took)
    worst = {what: round(max(times), 3) for what, times in measured.items()}
    record_property("seconds_until_refused", worst)
    print(f"\nrefused in another worker after at most {worst} s (promised: {DELAY} s)")  # noqa: T201 - a measurement
    assert max(worst.values()) < DELAY


async def _settled(app: FastAPI) -> None:
    """Let the watcher have read once."""
    await asyncio.sleep(0.1)


async def test_a_caller_who_was_seen_before_costs_no_statement(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    for allowed in (2, 1, 1):
        with query_budget(database, allowed):
            assert (await api.get(f"/projects/{project.id}")).status_code == 200


async def test_a_key_that_was_seen_before_costs_no_statement(
    app: FastAPI, anonymous: Api, user: User, database: Database
) -> None:
    project = await project_of(database, user)
    _, secret = await key_of(app, user)
    async with anonymous.with_key(secret) as caller:
        for allowed in (2, 1, 1):
            with query_budget(database, allowed):
                assert (await caller.get(f"/projects/{project.id}")).status_code == 200


@pytest.fixture
async def blind(settings: Settings, database: Database) -> AsyncIterator[FastAPI]:
    """A worker that learns of changes within half a second, if it can."""
    app = create_app(settings.model_copy(update={"revocation_delay": 0.5}))
    async with app.router.lifespan_context(app):
        await _settled(app)
        yield app


async def test_while_changes_cannot_be_read_nobody_is_remembered(
    blind: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    database: Database = blind.state.database
    user = UserFactory.build()
    await store(database, user)
    project = await project_of(database, user)
    path = f"/projects/{project.id}"
    async with Api(blind) as anonymous, await anonymous.as_(user) as api:
        for allowed in (2, 1):
            with query_budget(database, allowed):
                assert (await api.get(path)).status_code == 200
        await database.rows(text("ALTER TABLE access_changes RENAME TO hidden_changes"))
        try:
            with caplog.at_level(logging.WARNING, "app.auth.callers"):
                await asyncio.sleep(0.6)
            for _ in range(3):
                with query_budget(database, 2):
                    assert (await api.get(path)).status_code == 200
        finally:
            await database.rows(text("ALTER TABLE hidden_changes RENAME TO access_changes"))
        assert "cannot read access changes" in caplog.text
        # It recovers by itself.
        await asyncio.sleep(0.4)
        assert (await api.get(path)).status_code == 200
        with query_budget(database, 1):
            assert (await api.get(path)).status_code == 200


async def test_a_watcher_that_has_stopped_is_noticed(blind: FastAPI) -> None:
    database: Database = blind.state.database
    user = UserFactory.build()
    await store(database, user)
    project = await project_of(database, user)
    async with Api(blind) as anonymous, await anonymous.as_(user) as api:
        assert (await api.get(f"/projects/{project.id}")).status_code == 200
        await blind.state.callers.stop()
        await asyncio.sleep(0.6)
        for _ in range(2):
            with query_budget(database, 2):
                assert (await api.get(f"/projects/{project.id}")).status_code == 200
        # Without being remembered, a deactivated person is refused by the very next request.
        await database.rows(text("UPDATE users SET is_active = false"))
        assert_problem(await api.get(f"/projects/{project.id}"), 401, "invalid_token")
        await blind.state.callers.start()
