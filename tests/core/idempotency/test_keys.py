"""`Idempotency-Key`: what is sent again is answered again, and done once."""

import asyncio

from fastapi import FastAPI
from httpx2 import Response
from sqlalchemy import text

from app.auth.callers import CallerCache
from app.auth.models import User
from app.core.database.database import Database
from app.core.database.retention import Purger
from app.projects.models import Role
from tests.auth.people import key_of, somebody
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem
from tests.support.keys import REPLAYED, assert_replay, keyed
from tests.support.samples import number_of


async def test_repeated_request_is_executed_once_and_answered_again(api: Api, database: Database) -> None:
    first = await api.post("/projects/", json={"name": "Workshop"}, **keyed())
    assert first.status_code == 201
    for path in ("/projects/", "/projects", "/api/v1/projects", "/api/v1/projects/"):
        assert_replay(await api.post(path, json={"name": "Workshop"}, **keyed()), first)
    assert await number_of(database, "projects") == 1
    read = await api.get(first.headers["location"])
    assert (read.json(), read.headers["etag"]) == (first.json(), first.headers["etag"])


async def test_a_replayed_patch_undoes_nothing_that_came_later(api: Api, user: User, database: Database) -> None:
    path = f"/projects/{(await project_of(database, user, name='First')).id}"
    first = await api.patch(path, json={"name": "Second"}, **keyed())
    assert (await api.patch(path, json={"name": "Third"}, **keyed("k-2"))).status_code == 200
    assert_replay(await api.patch(path, json={"name": "Second"}, **keyed()), first)
    assert first.json()["name"] == "Second"
    assert (await api.get(path)).json()["name"] == "Third"


async def test_a_person_is_the_same_in_every_session(anonymous: Api, user: User, database: Database) -> None:
    async with await anonymous.as_(user) as here, await anonymous.as_(user) as there:
        first = await here.post("/projects/", json={"name": "Workshop"}, **keyed())
        assert_replay(await there.post("/projects/", json={"name": "Workshop"}, **keyed()), first)
    assert await number_of(database, "projects") == 1


async def test_fifty_at_once_are_one(api: Api, user: User, database: Database) -> None:
    path = f"/projects/{(await project_of(database, user)).id}/tasks/"

    async def send() -> Response:
        return await api.post(path, json={"title": "Sweep"}, **keyed())

    answers = await asyncio.gather(*(send() for _ in range(50)))
    (first,) = [answer for answer in answers if answer.status_code == 201 and REPLAYED not in answer.headers]
    for answer in answers:
        if answer.status_code == 409:
            assert_problem(answer, 409, "idempotency_key_in_use")
            assert answer.headers["retry-after"] == "1"
        elif answer is not first:
            assert_replay(answer, first)
    for answer in await asyncio.gather(*(send() for _ in range(50))):
        assert_replay(answer, first)
    assert await number_of(database, "tasks") == 1


async def test_while_the_first_runs_the_second_is_told_to_wait(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user, name="Before")
    path = f"/projects/{project.id}"
    async with database.transaction() as transaction:
        await transaction.execute(text("SELECT FROM projects FOR UPDATE"))
        running = asyncio.create_task(api.patch(path, json={"name": "After"}, **keyed()))
        await asyncio.sleep(0.2)
        waiting = await api.patch(path, json={"name": "After"}, **keyed())
        assert_problem(waiting, 409, "idempotency_key_in_use")
        assert waiting.headers["retry-after"] == "1"
        # It is about this key only.
        assert (await api.post("/projects/", json={"name": "Other"}, **keyed())).status_code == 201
    first = await running
    assert (first.status_code, first.json()["name"]) == (200, "After")
    assert_replay(await api.patch(path, json={"name": "After"}, **keyed()), first)


# Another request


async def test_other_request_with_the_same_key_is_refused(api: Api, user: User, database: Database) -> None:
    one, two = await project_of(database, user), await project_of(database, user)
    first = await api.post(f"/projects/{one.id}/tasks/", json={"title": "Sweep"}, **keyed())
    for path, body, headers in (
        (f"/projects/{one.id}/tasks/", {"title": "Dust"}, {}),
        (f"/projects/{two.id}/tasks/", {"title": "Sweep"}, {}),
        (f"/projects/{one.id}/tasks/", {"title": "Sweep"}, {"If-Match": '"x"'}),
    ):
        answer = await api.post(path, json=body, **keyed("k-1", **headers))
        assert_problem(answer, 422, "idempotency_key_reused")
    assert_replay(await api.post(f"/projects/{one.id}/tasks/", json={"title": "Sweep"}, **keyed()), first)
    assert await number_of(database, "tasks") == 1


async def test_callers_and_operations_have_keys_of_their_own(
    app: FastAPI, anonymous: Api, api: Api, user: User, database: Database
) -> None:
    _, secret = await key_of(app, user)
    _, other_secret = await key_of(app, user)
    async with (
        await anonymous.as_(await somebody(database)) as ana,
        anonymous.with_key(secret) as key,
        anonymous.with_key(other_secret) as other_key,
    ):
        created = [
            await caller.post("/projects/", json={"name": "Workshop"}, **keyed())
            for caller in (api, ana, key, other_key)
        ]
    project = created[0].json()["id"]
    created += [
        await api.post(f"/projects/{project}/tasks/", json={"title": "Sweep"}, **keyed()),
        await api.patch(f"/projects/{project}", json={"name": "Garage"}, **keyed()),
    ]
    assert [answer.status_code for answer in created] == [201, 201, 201, 201, 201, 200]
    assert not [answer for answer in created if REPLAYED in answer.headers]
    assert await number_of(database, "projects") == 4


# Who may ask


async def test_who_lost_access_is_not_served_what_was_kept(anonymous: Api, user: User, database: Database) -> None:
    project = await project_of(database, await somebody(database))
    path = f"/projects/{project.id}/tasks/"
    await add_member(database, project, user, Role.EDITOR)
    async with await anonymous.as_(user) as api:
        assert (await api.post(path, json={"title": "Sweep"}, **keyed())).status_code == 201
        await database.execute(text("UPDATE project_members SET role = 'viewer' WHERE role = 'editor'"))
        for body in ({"title": "Sweep"}, {"title": "Dust"}):
            assert_problem(await api.post(path, json=body, **keyed()), 403, "role_required")
        await database.execute(text("DELETE FROM project_members WHERE role = 'viewer'"))
        for body in ({"title": "Sweep"}, {"title": "Dust"}):
            assert_problem(await api.post(path, json=body, **keyed()), 404, "project_not_found")
        for body in ({"title": "Sweep"}, {"title": "Dust"}, {}):
            assert_problem(await api.post(path, json=body, **keyed("new")), 404, "project_not_found")


async def test_stored_response_needs_the_scope(app: FastAPI, anonymous: Api, user: User, database: Database) -> None:
    stored, secret = await key_of(app, user)
    async with anonymous.with_key(secret) as api:
        assert (await api.post("/projects/", json={"name": "Workshop"}, **keyed())).status_code == 201
        await database.execute(text("UPDATE api_keys SET scopes = '{tasks:write}'"))
        app.state.services[CallerCache].invalidate(stored.id)
        answer = await api.post("/projects/", json={"name": "Workshop"}, **keyed())
        assert_problem(answer, 403, "insufficient_scope")
        await database.execute(text("UPDATE api_keys SET revoked_at = now()"))
        app.state.services[CallerCache].invalidate(stored.id)
        answer = await api.post("/projects/", json={"name": "Workshop"}, **keyed())
        assert_problem(answer, 401, "api_key_revoked")


async def test_stored_response_about_a_deleted_project_is_404(api: Api, user: User, database: Database) -> None:
    path = f"/projects/{(await project_of(database, user)).id}"
    assert (await api.patch(path, json={"name": "Garage"}, **keyed())).status_code == 200
    assert (await api.delete(path)).status_code == 204
    assert_problem(await api.patch(path, json={"name": "Garage"}, **keyed()), 404, "project_not_found")


# What is kept


async def test_refusal_is_not_stored_and_its_key_stays_usable(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    for path, kind, content, status in (
        ("/projects/", "application/json", b'{"name": ""}', 400),
        ("/projects/", "application/json", b"{", 400),
        ("/projects/?nonsense=1", "application/json", b'{"name": "Workshop"}', 400),
        ("/projects/", "text/plain", b'{"name": "Workshop"}', 415),
    ):
        answer = await api.post(path, content=content, **keyed("k-1", **{"Content-Type": kind}))
        assert answer.status_code == status
    assert await number_of(database, "idempotency_keys") == 0
    first = await api.post("/projects/", json={"name": "Workshop"}, **keyed())
    assert (first.status_code, first.headers.get(REPLAYED)) == (201, None)
    assert_replay(await api.post("/projects/", json={"name": "Workshop"}, **keyed()), first)
    # Also where the statement itself is what refuses.
    await database.execute(text("ALTER TABLE tasks ADD CONSTRAINT planted CHECK (priority < 100)"))
    try:
        for _ in range(2):
            body = {"title": "Sweep", "priority": 100}
            assert_problem(
                await api.post(f"/projects/{project.id}/tasks/", json=body, **keyed()), 500, "internal_error"
            )
    finally:
        await database.execute(text("ALTER TABLE tasks DROP CONSTRAINT planted"))
    answer = await api.post(f"/projects/{project.id}/tasks/", json={"title": "Sweep", "priority": 100}, **keyed())
    assert answer.status_code == 201


async def test_without_its_record_the_change_is_undone(api: Api, database: Database) -> None:
    await database.execute(text("ALTER TABLE idempotency_keys ADD CONSTRAINT planted CHECK (false) NOT VALID"))
    try:
        answer = await api.post("/projects/", json={"name": "Workshop"}, **keyed())
        assert_problem(answer, 500, "internal_error")
        assert (await number_of(database, "projects"), await number_of(database, "project_members")) == (0, 0)
        assert (await api.post("/projects/", json={"name": "Workshop"})).status_code == 201
    finally:
        await database.execute(text("ALTER TABLE idempotency_keys DROP CONSTRAINT planted"))
    assert (await api.post("/projects/", json={"name": "Workshop"}, **keyed())).status_code == 201


async def test_expired_key_is_new_purged_or_not(app: FastAPI, api: Api, database: Database) -> None:
    first = await api.post("/projects/", json={"name": "Workshop"}, **keyed())
    for created_at, is_replay in (("interval '23:59'", True), ("interval '24:01'", False)):
        await database.execute(text(f"UPDATE idempotency_keys SET created_at = now() - {created_at}"))
        answer = await api.post("/projects/", json={"name": "Workshop"}, **keyed())
        assert (answer.json()["id"] == first.json()["id"], REPLAYED in answer.headers) == (is_replay, is_replay)
    # What took the old one's place is kept as long again, and serves its own answer.
    assert_replay(await api.post("/projects/", json={"name": "Workshop"}, **keyed()), answer)
    assert await number_of(database, "idempotency_keys") == 1
    await app.state.services[Purger].purge()
    assert await number_of(database, "idempotency_keys") == 1
    await database.execute(text("UPDATE idempotency_keys SET created_at = now() - interval '24:01'"))
    await app.state.services[Purger].purge()
    assert await number_of(database, "idempotency_keys") == 0
