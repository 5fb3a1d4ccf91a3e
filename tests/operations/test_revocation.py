"""What is revoked in one worker is refused in all, soon, and without a statement of its own on the request path."""

import asyncio
import logging
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.auth.accounts.service import SEED_PASSWORD, SEED_USERNAME
from app.auth.callers import CallerCache
from app.auth.errors import ApiKeyExpiredError, ApiKeyRevokedError
from app.auth.models import User
from app.auth.queries import access_changes
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.rows import Row
from app.core.ids import uuid7
from app.main import create_app
from tests.auth.factories import UserFactory
from tests.auth.people import key_of
from tests.projects.factories import project_of
from tests.support import server
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.process import Service, running_service, token_of
from tests.support.queries import query_budget

pytestmark = pytest.mark.slow

DELAY = 1.0
"""Seconds; TALLER_REVOCATION_DELAY of the two services."""

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def services(server_url: str) -> Iterator[tuple[Service, Service]]:
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
        yield first, second


@pytest.fixture
def workers(services: tuple[Service, Service]) -> Iterator[tuple[httpx2.Client, httpx2.Client]]:
    """A client of each."""
    with services[0].client() as here, services[1].client() as there:
        yield here, there


def signed_in(client: httpx2.Client, username: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_of(client, username, password)}"}


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
        yield app


async def test_while_changes_cannot_be_read_nobody_is_remembered(
    blind: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    database: Database = blind.state.services[Database]
    user = UserFactory.build()
    await store(database, user)
    project = await project_of(database, user)
    path = f"/projects/{project.id}"
    async with Api(blind) as anonymous, await anonymous.as_(user) as api:
        for allowed in (2, 1):
            with query_budget(database, allowed):
                assert (await api.get(path)).status_code == 200
        await database.execute(text("ALTER TABLE access_changes RENAME TO hidden_changes"))
        try:
            with caplog.at_level(logging.WARNING, "app.auth.callers"):
                await asyncio.sleep(0.6)
            for _ in range(3):
                with query_budget(database, 2):
                    assert (await api.get(path)).status_code == 200
        finally:
            await database.execute(text("ALTER TABLE hidden_changes RENAME TO access_changes"))
        assert "cannot read access changes" in caplog.text
        # It recovers by itself.
        await asyncio.sleep(0.4)
        assert (await api.get(path)).status_code == 200
        with query_budget(database, 1):
            assert (await api.get(path)).status_code == 200


async def test_a_watcher_that_has_stopped_is_noticed(blind: FastAPI) -> None:
    database: Database = blind.state.services[Database]
    user = UserFactory.build()
    await store(database, user)
    project = await project_of(database, user)
    async with Api(blind) as anonymous, await anonymous.as_(user) as api:
        assert (await api.get(f"/projects/{project.id}")).status_code == 200
        await blind.state.services[CallerCache].watching.stop()
        await asyncio.sleep(0.6)
        for _ in range(2):
            with query_budget(database, 2):
                assert (await api.get(f"/projects/{project.id}")).status_code == 200
        # Without being remembered, a deactivated person is refused by the very next request.
        await database.execute(text("UPDATE users SET is_active = false"))
        assert_problem(await api.get(f"/projects/{project.id}"), 401, "invalid_token")
        blind.state.services[CallerCache].watching.start()


@pytest.fixture
def worker(services: tuple[Service, Service]) -> Service:
    """One of them, which a test may stop for a while."""
    return services[1]


@pytest.fixture
async def operator(worker: Service) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the operator's to that service's database."""
    connection = await asyncpg.connect(server.plain_url(worker.database_url))
    yield connection
    await connection.close()


HOUR_LATER = """
    UPDATE access_changes SET changed_at = changed_at - interval '1 hour';
    DELETE FROM access_changes WHERE transaction_id < pg_current_xact_id()::text::bigint;
"""
"""What an hour makes of the changes that are committed: they are old, and other processes have deleted them."""

REVOKED = "UPDATE api_keys SET revoked_at = now() WHERE revoked_at IS NULL"
DEACTIVATED = "UPDATE users SET is_active = false WHERE username <> 'admin'"


def new_callers(client: httpx2.Client) -> list[dict[str, str]]:
    """A session and a key of two people, both remembered."""
    key = client.post(
        "/auth/api-keys", json={"name": "k", "scopes": ["projects:read"]}, headers=new_person(client, "ben")
    ).json()
    callers = [new_person(client, "ada"), {"X-API-Key": key["secret"]}]
    for headers in callers * 3:
        assert client.get("/projects/", headers=headers).status_code == 200
    return callers


async def assert_refused_for_good(client: httpx2.Client, callers: list[dict[str, str]]) -> None:
    """Within the promised time from now, and whenever they try again."""
    await asyncio.sleep(DELAY)
    for _ in range(3):
        assert [client.get("/projects/", headers=headers).status_code for headers in callers] == [401, 401]
        await asyncio.sleep(DELAY / 2)


async def test_revocation_during_a_pause_holds_when_the_worker_resumes(
    worker: Service, operator: asyncpg.Connection
) -> None:
    with worker.client() as client:
        callers = new_callers(client)
        worker.process.send_signal(signal.SIGSTOP)
        try:
            await operator.execute(REVOKED)
            await operator.execute(DEACTIVATED)
            await operator.execute(HOUR_LATER)
            await asyncio.sleep(1.2 * DELAY)
        finally:
            worker.process.send_signal(signal.SIGCONT)
        await assert_refused_for_good(client, callers)


async def test_revocation_during_an_outage_holds_when_it_ends(worker: Service, operator: asyncpg.Connection) -> None:
    name = await operator.fetchval("SELECT current_database()")
    with worker.client() as client:
        callers = new_callers(client)
        other = await asyncpg.connect(server.plain_url(server.with_database(worker.database_url, "postgres")))
        try:
            await other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> $2"
            await other.execute(others, name, operator.get_server_pid())
            await asyncio.sleep(1.2 * DELAY)
            assert not client.get("/projects/", headers=callers[0]).is_success
            await operator.execute(REVOKED)
            await operator.execute(DEACTIVATED)
            await operator.execute(HOUR_LATER)
        finally:
            await other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await other.close()
        await asyncio.to_thread(worker.wait_until_ready)
        await assert_refused_for_good(client, callers)


async def test_a_revocation_that_takes_long_to_commit_is_seen(worker: Service, operator: asyncpg.Connection) -> None:
    with worker.client() as client:
        callers = new_callers(client)
        async with operator.transaction():
            await operator.execute(REVOKED)
            await operator.execute(DEACTIVATED)
            await operator.execute(HOUR_LATER)
            # Long enough for several readings that do not see it.
            await asyncio.sleep(1.5 * DELAY)
            assert [client.get("/projects/", headers=headers).status_code for headers in callers] == [200, 200]
        await assert_refused_for_good(client, callers)


async def test_poll_returns_only_changes_that_the_last_missed(app: FastAPI, user: User, database: Database) -> None:
    async def read(since: int | None) -> Row:
        row = await database.fetch_one_or_none(access_changes(), {"since": since})
        assert row is not None
        return row

    (early, _), (late, _) = [await key_of(app, user) for _ in range(2)]
    revoked = "UPDATE api_keys SET revoked_at = now() WHERE id = :id"
    start = await read(None)
    async with database.transaction() as transaction:
        await transaction.execute(text(revoked).bindparams(id=late.id))
        # Numbered and committed after it.
        await database.execute(text(revoked).bindparams(id=early.id))
        during = await read(start["position"])
    after = await read(during["position"])
    assert (start["subjects"], during["subjects"]) == ([], [early.id])
    assert late.id in after["subjects"]
    # As long as another transaction of the server is older, also in another database, both are read once more.
    for _ in range(500):
        after = await read(after["position"])
        if not after["subjects"]:
            break
        assert set(after["subjects"]) <= {early.id, late.id}
        await asyncio.sleep(0.02)
    assert after["subjects"] == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET expires_at = now()",
        "TRUNCATE sessions, api_keys CASCADE",
        "DELETE FROM users WHERE username <> 'admin'",
    ],
)
async def test_whatever_takes_a_session_away_by_sql_is_seen(
    worker: Service, operator: asyncpg.Connection, change: str
) -> None:
    with worker.client() as client:
        callers = new_callers(client)
        await operator.execute(change)
        if "api_keys" not in change:
            await operator.execute(REVOKED)
        await assert_refused_for_good(client, callers)


async def test_caller_invalidated_during_lookup_is_not_cached(app: FastAPI, user: User, database: Database) -> None:
    callers: CallerCache = app.state.services[CallerCache]
    key, secret = await key_of(app, user)
    for forgotten, is_remembered in ((uuid7(), False), (key.id, False), (None, True)):
        lookup = asyncio.create_task(callers.authenticate(secret))
        await asyncio.sleep(0)
        if forgotten is not None:
            callers.invalidate(forgotten)
        assert (await lookup).source_id == key.id
        assert (callers.get(secret) is not None) is is_remembered


async def test_whoever_is_refused_once_is_not_remembered(app: FastAPI, user: User, database: Database) -> None:
    callers: CallerCache = app.state.services[CallerCache]
    _, secret = await key_of(app, user)
    await callers.authenticate(secret)
    # As nobody does: no trigger tells of it.
    async with database.transaction() as transaction:
        await transaction.execute(text("SET LOCAL session_replication_role = replica"))
        await transaction.execute(text("UPDATE api_keys SET revoked_at = now()"))
    assert callers.get(secret) is not None
    with pytest.raises(ApiKeyRevokedError):
        await callers.authenticate(secret)
    assert callers.get(secret) is None


async def test_a_key_that_ends_while_it_is_remembered_ends(app: FastAPI, user: User, database: Database) -> None:
    callers: CallerCache = app.state.services[CallerCache]
    _, secret = await key_of(app, user, expires_at=datetime.now(UTC) + timedelta(seconds=0.5))
    await callers.authenticate(secret)
    assert callers.get(secret) is not None
    await asyncio.sleep(0.5)
    assert callers.get(secret) is None
    with pytest.raises(ApiKeyExpiredError):
        await callers.authenticate(secret)


async def test_changes_are_kept_until_every_process_has_seen_them(
    blind: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Database = blind.state.services[Database]
    user = UserFactory.build()
    await store(database, user)
    await key_of(blind, user)
    monkeypatch.setattr("app.auth.callers.KEEP_CHANGES", 1.0)
    async with database.transaction() as transaction:
        await transaction.execute(text("UPDATE api_keys SET revoked_at = now()"))
        await asyncio.sleep(1.5)
    left = text("SELECT count(*) AS left FROM access_changes")
    assert await database.fetch_one_or_none(left) == {"left": 1}
    for _ in range(50):
        if await database.fetch_one_or_none(left) == {"left": 0}:
            return
        await asyncio.sleep(0.2)
    raise AssertionError("still kept")


async def test_locked_key_does_not_block_the_watcher(blind: FastAPI) -> None:
    database, callers = blind.state.services[Database], blind.state.services[CallerCache]
    user = UserFactory.build()
    await store(database, user)
    key, secret = await key_of(blind, user)
    async with database.transaction() as transaction:
        await transaction.execute(text("UPDATE api_keys SET name = 'changed'"))
        await callers.authenticate(secret)
        # The last thing that it does is to write down which keys were used.
        async with asyncio.timeout(3):
            await callers.watching.stop()
    callers.watching.start()
    await callers.watching.succeeded(within=1.0)
    await callers.authenticate(secret)
    await callers.watching.stop()
    row = await database.fetch_one_or_none(
        text("SELECT last_used_at FROM api_keys WHERE id = :id").bindparams(id=key.id)
    )
    assert row["last_used_at"] is not None
    callers.watching.start()
    await callers.watching.succeeded(within=1.0)
