"""What idempotency keys cost, and how many a caller may have."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from fastapi import FastAPI, Response
from sqlalchemy import text

from app.auth.callers import CallerCache
from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.idempotency.store import IdempotencyKeyInUseError, IdempotencyStore, IdempotentRequest
from app.core.ids import uuid7
from app.main import create_app
from tests.auth.people import somebody
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.keys import assert_replay, keyed
from tests.support.queries import query_budget, recorded_statements
from tests.support.samples import number_of


@pytest.fixture
async def narrow(settings: Settings, database: Database) -> AsyncIterator[FastAPI]:
    """The application with one connection, and room for three keys of each caller."""
    app = create_app(
        settings.model_copy(update={"database_pool_size": 1, "database_pool_timeout": 0.5, "max_idempotency_keys": 3})
    )
    async with app.router.lifespan_context(app):
        yield app


async def test_there_is_a_limit_to_the_keys_of_a_caller(narrow: FastAPI, user: User, database: Database) -> None:
    async with Api(narrow) as anonymous, await anonymous.as_(user) as api:
        answers = [await api.post("/projects/", json={"name": "Workshop"}, **keyed(f"k-{n}")) for n in range(4)]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 409]
        assert_problem(answers[3], 409, "too_many_idempotency_keys")
        assert "retry-after" not in answers[3].headers
        # What is kept is still served, and without a key everything goes on, as it does for others.
        assert_replay(await api.post("/projects/", json={"name": "Workshop"}, **keyed("k-0")), answers[0])
        assert (await api.post("/projects/", json={"name": "Workshop"})).status_code == 201
        async with await anonymous.as_(await somebody(database)) as ana:
            assert (await ana.post("/projects/", json={"name": "Workshop"}, **keyed("k-3"))).status_code == 201
        await database.execute(
            text("UPDATE idempotency_keys SET created_at = now() - interval '2 days' WHERE key = 'k-1'")
        )
        assert (await api.post("/projects/", json={"name": "Workshop"}, **keyed("k-3"))).status_code == 201
        answer = await api.post("/projects/", json={"name": "Workshop"}, **keyed("k-4"))
        assert_problem(answer, 409, "too_many_idempotency_keys")
        stranger_to = await project_of(database, await somebody(database))
        answer = await api.post(f"/projects/{stranger_to.id}/tasks/", json={"title": "Sweep"}, **keyed("k-4"))
        assert_problem(answer, 404, "project_not_found")


async def test_bytes_of_stored_responses_are_limited_per_caller(
    settings: Settings, user: User, database: Database
) -> None:
    app = create_app(settings.model_copy(update={"max_idempotency_bytes": 25_000}))
    body = {"name": "Workshop", "description": "x" * 9_000}
    async with app.router.lifespan_context(app), Api(app) as anonymous, await anonymous.as_(user) as api:
        answers = [await api.post("/projects/", json=body, **keyed(f"k-{n}")) for n in range(4)]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 409]
        assert_problem(answers[3], 409, "too_many_idempotency_keys")
        assert await number_of(database, "projects") == 3, "what is refused is not carried out"
        assert_replay(await api.post("/projects/", json=body, **keyed("k-2")), answers[2])
        assert (await api.post("/projects/", json=body)).status_code == 201
        await database.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '2 days'"))
        assert (await api.post("/projects/", json=body, **keyed("k-3"))).status_code == 201


async def test_keys_are_counted_again_only_when_quota_is_used_up(
    settings: Settings, user: User, database: Database
) -> None:
    app = create_app(settings.model_copy(update={"max_idempotency_keys": 100}))
    async with app.router.lifespan_context(app), Api(app) as anonymous, await anonymous.as_(user) as api:
        counted = []
        for number in range(101):
            with recorded_statements(app.state.services[Database]) as statements:
                await api.post("/projects/", json={"name": "Workshop"}, **keyed(f"k-{number}"))
            counted.append(any("octet_length" in statement for statement in statements))
    assert await number_of(database, "projects") == 100
    # A sixteenth of 100, of 94, of 89 …, and each time where less is left.
    assert counted[:7] == [True, False, False, False, False, False, True]
    assert 20 < sum(counted) < 60


async def test_a_request_with_a_key_needs_one_connection_only(narrow: FastAPI, user: User, database: Database) -> None:
    project = await project_of(database, user)
    path = f"/projects/{project.id}/tasks/"
    # Nobody is remembered: whoever calls is looked up each time.
    watching = narrow.state.services[CallerCache].watching
    await watching.stop()
    # As if it had failed for a while.
    watching.last_success = float("-inf")
    async with Api(narrow) as anonymous, await anonymous.as_(user) as api:
        answers = await asyncio.gather(
            *(api.post(path, json={"title": "Sweep"}, **keyed()) for _ in range(8)),
            *(api.post(path, json={"title": ""}, **keyed("other")) for _ in range(8)),
            *(api.post(f"/projects/{UUID(int=1)}/tasks/", json={"title": "x"}, **keyed("third")) for _ in range(8)),
        )
    assert {answer.status_code for answer in answers[:8]} <= {201, 409}
    assert {answer.status_code for answer in answers[8:16]} == {400}
    assert {answer.status_code for answer in answers[16:]} == {404}
    assert await number_of(database, "tasks") == 1


async def test_a_creation_with_a_key_is_one_statement(api: Api, user: User, database: Database) -> None:
    path = f"/projects/{(await project_of(database, user)).id}"
    await api.get(path)
    # Counts the caller's keys, which is repeated now and then.
    await api.post("/projects/", json={"name": "Workshop"}, **keyed("k-0"))
    for method, target, body, number in (
        ("POST", "/projects/", {"name": "Workshop"}, 1),
        ("POST", f"{path}/tasks/", {"title": "Sweep"}, 1),
        ("PATCH", path, {"name": "Garage"}, 3),
    ):
        with query_budget(database, 1):
            assert (await api.request(method, target, json=body)).is_success
        with query_budget(database, number):
            first = await api.request(method, target, json=body, **keyed())
        # One is refused because of the key, if there is but one; one finds the answer; one asks whether the caller
        # still may. Whether one may create projects is known already.
        with query_budget(database, 3 if target.endswith("/tasks/") else 2):
            assert_replay(await api.request(method, target, json=body, **keyed()), first)


async def test_first_request_committed_before_the_lock_is_noticed(app: FastAPI, database: Database) -> None:
    store: IdempotencyStore = app.state.services[IdempotencyStore]
    request = IdempotentRequest(uuid7(), "create_project", "k-1", b"x")

    async def second() -> None:
        async with database.transaction() as transaction:
            assert await store.find(transaction, request) is None
            async with database.transaction() as first:
                await store.save(first, request, Response(b"first", 201))
            await store.save(transaction, request, Response(b"second", 201))

    with pytest.raises(IdempotencyKeyInUseError):
        await second()
    async with database.transaction() as transaction:
        kept = await store.find(transaction, request)
    assert kept is not None
    assert kept.body == b"first"


def test_lock_depends_on_caller_operation_and_key() -> None:
    here, there = uuid7(), uuid7()
    requests = [
        IdempotentRequest(*of, b"x") for of in ((here, "a", "k"), (there, "a", "k"), (here, "b", "k"), (here, "a", "l"))
    ]
    assert len({one.lock for one in requests}) == 4
    assert IdempotentRequest(here, "a", "k", b"another").lock == requests[0].lock
    assert all(-(2**63) <= one.lock < 2**63 for one in requests)
