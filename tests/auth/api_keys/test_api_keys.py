"""API keys: what they are, how far they reach, and how they end."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select, update

from app.auth.models import ApiKey, User
from app.auth.scopes import KEY_SCOPES, KeyScope
from app.auth.tokens import API_KEY_LENGTH, hashed, is_api_key, new_api_key
from app.core.config import Settings
from app.core.database.database import Database
from app.core.ids import uuid7
from app.main import create_app
from app.projects.models import Member, Role
from tests.auth.people import key_of, person, with_token
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem, bearer_of
from tests.support.queries import query_budget

NEW = {"name": "nightly report", "scopes": ["tasks:read"]}


async def test_the_secret_is_shown_once_and_kept_as_a_hash(api: Api, database: Database) -> None:
    answer = await api.post("/auth/api-keys", json={**NEW, "scopes": ["tasks:write", "tasks:read", "tasks:read"]})
    assert answer.status_code == 201
    key = answer.json()
    secret = key.pop("secret")
    assert answer.headers["location"] == f"/api/v1/auth/api-keys/{key['id']}"
    assert is_api_key(secret)
    assert (len(secret), secret[:4], key["prefix"]) == (API_KEY_LENGTH, "tlr_", secret[:8])
    assert key["scopes"] == ["tasks:read", "tasks:write"]
    assert (key["project_id"], key["expires_at"], key["last_used_at"]) == (None, None, None)
    with query_budget(database, 1):
        assert (await api.get(f"/auth/api-keys/{key['id']}")).json() == key
    with query_budget(database, 1):
        assert (await api.get("/auth/api-keys")).json()["items"] == [key]
    (row,) = await database.fetch_all(select(*ApiKey.__table__.c))
    assert row["secret_hash"] == hashed(secret)
    assert secret[8:] not in str(row)


async def test_key_works_in_both_headers(app: FastAPI, anonymous: Api, user: User) -> None:
    _, secret = await key_of(app, user)
    for caller in (anonymous.with_key(secret), with_token(app, secret)):
        async with caller:
            assert (await caller.get("/auth/me")).json()["id"] == str(user.id)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"name": ""}, "/name", "string_too_short"),
        ({"name": "x" * 101}, "/name", "string_too_long"),
        ({"name": " "}, "/name", "blank"),
        ({"scopes": []}, "/scopes", "too_short"),
        ({"scopes": ["everything"]}, "/scopes/0", "enum"),
        ({"scopes": ["tasks:read"] * 101}, "/scopes", "too_long"),
        ({"scopes": "tasks:read"}, "/scopes", "list_type"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "not_in_future"),
        ({"expires_at": "2099-01-01T00:00:00"}, "/expires_at", "datetime_format"),
        ({"expires_at": "soon"}, "/expires_at", "datetime_format"),
        ({"name": "\u200b"}, "/name", "blank"),
        ({"name": "a\nb"}, "/name", "control_character"),
        ({"project_id": "mine"}, "/project_id", "uuid_parsing"),
        ({"secret": "tlr_x"}, "/secret", "unknown"),
    ],
)
async def test_invalid_values_of_a_key_are_named(
    api: Api, database: Database, changes: dict[str, Any], pointer: str, code: str
) -> None:
    problem = assert_problem(await api.post("/auth/api-keys", json={**NEW, **changes}), 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    assert await database.fetch_all(select(ApiKey.id)) == []


async def test_revoked_key_is_refused_at_once_as_revoked(app: FastAPI, api: Api, anonymous: Api, user: User) -> None:
    key, secret = await key_of(app, user)
    async with anonymous.with_key(secret) as caller:
        assert (await caller.get("/auth/me")).status_code == 200
        assert (await api.delete(f"/auth/api-keys/{key.id}")).status_code == 204
        answer = await caller.get("/auth/me")
        assert_problem(answer, 401, "api_key_revoked")
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert_problem(await api.delete(f"/auth/api-keys/{key.id}"), 404, "api_key_not_found")
    assert_problem(await api.get(f"/auth/api-keys/{key.id}"), 404, "api_key_not_found")
    assert (await api.get("/auth/api-keys")).json()["items"] == []


async def test_expired_key_is_refused_cached_or_not(app: FastAPI, anonymous: Api, user: User) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    _, secret = await key_of(app, user, expires_at=soon)
    _, unused = await key_of(app, user, expires_at=soon)
    async with anonymous.with_key(secret) as caller, anonymous.with_key(unused) as late:
        assert (await caller.get("/auth/me")).json()["signed_in_by"]["expires_at"] is not None
        await asyncio.sleep(0.6)
        for key in (caller, late):
            assert_problem(await key.get("/auth/me"), 401, "api_key_expired")


def _mistyped(secret: str) -> list[str]:
    swapped = secret[:10] + secret[11] + secret[10] + secret[12:]
    wrong = [secret[:-1], secret + "0", secret[:20] + "-" + secret[21:], "tlr_", "tlr_" + "0" * 42, "tlr_é", "x", "é"]
    return [*wrong, secret[:-1] + ("0" if secret[-1] != "0" else "1"), *([swapped] if swapped != secret else [])]


async def test_malformed_key_is_refused_like_unknown_without_a_statement(
    app: FastAPI, anonymous: Api, user: User, database: Database
) -> None:
    _, secret = await key_of(app, user, revoked_at=datetime.now(UTC))
    bodies = []
    with query_budget(database, 0):
        for value in _mistyped(secret):
            answer = await anonymous.get("/auth/me", headers=[(b"X-API-Key", value.encode())])
            assert answer.status_code == 401
            bodies.append(assert_problem(answer, 401, "invalid_api_key"))
    async with anonymous.with_key(new_api_key()) as caller:
        bodies.append(assert_problem(await caller.get("/auth/me"), 401, "invalid_api_key"))
    assert len({body["detail"] for body in bodies}) == 1


BEARER, KEY = "Authorization", "X-API-Key"


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        ([(BEARER, "Bearer {session}"), (KEY, "{key}")], KEY),
        ([(KEY, "{key}"), (BEARER, "Bearer {session}")], KEY),
        ([(KEY, "{key}"), (BEARER, "Bearer {key}")], None),
        ([(BEARER, "Bearer {session}"), (KEY, "{session}")], None),
        ([(BEARER, "bearer  {session}"), (KEY, "x")], KEY),
        ([(KEY, "{key}"), (KEY, "{key}")], KEY),
        ([(BEARER, "Bearer {session}"), (BEARER, "Bearer {key}")], BEARER),
        ([(BEARER, "Basic eDp5"), (BEARER, "Bearer {session}")], BEARER),
        ([(BEARER, "Basic eDp5"), (KEY, "{key}")], None),
        ([(BEARER, ""), (KEY, "{key}")], None),
        ([(BEARER, "Bearer {session}"), (KEY, "")], None),
    ],
)
async def test_several_credentials_are_refused(
    app: FastAPI, anonymous: Api, user: User, sent: list[tuple[str, str]], refused: str | None
) -> None:
    _, key = await key_of(app, user)
    session = (await bearer_of(app, user))["Authorization"].removeprefix("Bearer ")
    headers = [(name, value.format(session=session, key=key)) for name, value in sent]
    answer = await anonymous.get("/auth/me", headers=headers)
    if refused is None:
        assert answer.status_code == 200
    else:
        (error,) = assert_problem(answer, 400, "invalid_request")["errors"]
        assert error["parameter"] == refused


@pytest.mark.parametrize("scope", [*KEY_SCOPES])
async def test_write_includes_read_and_nothing_else(app: FastAPI, anonymous: Api, user: User, scope: KeyScope) -> None:
    project = await project_of(app.state.services[Database], user)
    _, secret = await key_of(app, user, scopes=[scope])
    reads = {
        "projects": f"/projects/{project.id}",
        "tasks": "/tasks/",
        "members": f"/projects/{project.id}/members/",
        "account": "/auth/me",
    }
    async with anonymous.with_key(secret) as caller:
        for area, path in reads.items():
            answer = await caller.get(path)
            if scope.startswith(area):
                assert answer.status_code == 200
            else:
                problem = assert_problem(answer, 403, "insufficient_scope")
                assert f"{area}:read" in problem["detail"]
                named = f'Bearer error="insufficient_scope", scope="{area}:read"'
                assert answer.headers["www-authenticate"] == named
        answer = await caller.post("/projects/", json={"name": "New"})
        assert answer.status_code == (201 if scope == "projects:write" else 403)


async def test_bound_key_accesses_only_its_project(
    app: FastAPI, api: Api, anonymous: Api, user: User, database: Database
) -> None:
    bound, other = await project_of(database, user), await project_of(database, user)
    everything = {"name": "x", "scopes": list(KEY_SCOPES), "project_id": str(bound.id)}
    problem = assert_problem(await api.post("/auth/api-keys", json=everything), 400, "invalid_request")
    assert {error["pointer"] for error in problem["errors"]} == {
        f"/scopes/{number}" for number, scope in enumerate(KEY_SCOPES) if scope.startswith("account:")
    }
    scopes = [scope for scope in KEY_SCOPES if not scope.startswith("account:")]
    answer = await api.post("/auth/api-keys", json={**everything, "scopes": scopes})
    assert answer.json()["project_id"] == str(bound.id)
    async with anonymous.with_key(answer.json()["secret"]) as caller:
        task = (await caller.post(f"/projects/{bound.id}/tasks/", json={"title": "Here"})).json()
        elsewhere = (await api.post(f"/projects/{other.id}/tasks/", json={"title": "There"})).json()
        assert [item["id"] for item in (await caller.get("/projects/")).json()["items"]] == [str(bound.id)]
        assert [item["id"] for item in (await caller.get("/tasks/")).json()["items"]] == [task["id"]]
        assert_problem(await caller.get(f"/projects/{other.id}"), 404, "project_not_found")
        assert_problem(await caller.post(f"/projects/{other.id}/tasks/", json={"title": "x"}), 404, "project_not_found")
        assert_problem(await caller.delete(f"/tasks/{elsewhere['id']}"), 404, "task_not_found")
        assert_problem(await caller.post("/projects/", json={"name": "x"}), 403, "key_bound_to_project")
        assert_problem(await caller.get(f"/users/by-username/{user.username}"), 403, "key_bound_to_project")
    assert (await api.delete(f"/projects/{bound.id}")).status_code == 204
    assert (await api.get("/auth/api-keys")).json()["total"] == 0


async def test_bound_key_has_lost_account_scopes(app: FastAPI, anonymous: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    _, secret = await key_of(app, user, project_id=project.id)
    async with anonymous.with_key(secret) as caller:
        assert (await caller.get(f"/projects/{project.id}")).status_code == 200
        for method, path in (
            ("GET", "/auth/me"),
            ("PATCH", "/auth/me"),
            ("GET", "/auth/sessions"),
            ("GET", "/auth/api-keys"),
        ):
            assert_problem(await caller.request(method, path), 403, "insufficient_scope")


async def test_administrators_bound_key_accesses_only_its_project(
    app: FastAPI, anonymous: Api, database: Database, user: User
) -> None:
    root = await person(app, "root", is_superuser=True)
    project, other = await project_of(database, user), await project_of(database, user)
    async with await anonymous.as_(root) as api:
        body = {**NEW, "scopes": ["projects:write"], "project_id": str(project.id)}
        secret = (await api.post("/auth/api-keys", json=body)).json()["secret"]
    async with anonymous.with_key(secret) as caller:
        assert (await caller.patch(f"/projects/{project.id}", json={"name": "Renamed"})).json()["role"] is None
        assert_problem(await caller.get(f"/projects/{other.id}"), 404, "project_not_found")
        assert_problem(await caller.get("/users/"), 403, "session_required")


async def test_hidden_project_is_refused_like_a_missing_one(api: Api, app: FastAPI, database: Database) -> None:
    theirs = await project_of(database, await person(app, "Ben"))
    bodies = []
    for project_id in (theirs.id, uuid7()):
        answer = await api.post("/auth/api-keys", json={**NEW, "project_id": str(project_id)})
        problem = assert_problem(answer, 400, "invalid_request")
        assert problem["errors"][0]["code"] == "unknown_project"
        bodies.append({**problem, "request_id": ""})
    assert bodies[0] == bodies[1]
    assert await database.fetch_all(select(ApiKey.id)) == []


async def test_keys_can_neither_create_nor_revoke_keys(app: FastAPI, anonymous: Api, user: User) -> None:
    key, secret = await key_of(app, user)
    async with anonymous.with_key(secret) as caller:
        assert_problem(await caller.post("/auth/api-keys", json=NEW), 403, "session_required")
        assert_problem(await caller.delete(f"/auth/api-keys/{key.id}"), 403, "session_required")
        assert_problem(await caller.post("/auth/logout"), 403, "session_required")
        assert_problem(await caller.delete("/auth/sessions"), 403, "session_required")
        assert (await caller.get(f"/auth/api-keys/{key.id}")).status_code == 200


async def test_a_key_is_never_stronger_than_its_owner(
    app: FastAPI, anonymous: Api, user: User, database: Database
) -> None:
    project = await project_of(database, await person(app, "Ben"))
    await add_member(database, project, user, Role.EDITOR)
    _, secret = await key_of(app, user)
    path = f"/projects/{project.id}"
    async with anonymous.with_key(secret) as caller:
        assert (await caller.patch(path, json={"name": "x"})).status_code == 200
        assert_problem(await caller.delete(path), 403, "role_required")
        await database.execute(update(Member).where(Member.user_id == user.id).values(role="viewer"))
        assert_problem(await caller.patch(path, json={"name": "y"}), 403, "role_required")
        assert (await caller.get(path)).json()["role"] == "viewer"
        await database.execute(delete(Member).where(Member.user_id == user.id))
        assert_problem(await caller.get(path), 404, "project_not_found")


async def test_limit_of_keys_holds_for_concurrent_creations(settings: Settings, database: Database, user: User) -> None:
    app = create_app(settings.model_copy(update={"max_api_keys": 3}))
    async with app.router.lifespan_context(app), Api(app) as anonymous, await anonymous.as_(user) as api:
        answers = await asyncio.gather(*(api.post("/auth/api-keys", json=NEW) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
        assert_problem(await api.post("/auth/api-keys", json=NEW), 409, "too_many_api_keys")
        made = next(answer for answer in answers if answer.status_code == 201).json()
        await api.delete(f"/auth/api-keys/{made['id']}")
        assert (await api.post("/auth/api-keys", json=NEW)).status_code == 201


async def _last_use(database: Database, key: ApiKey) -> datetime | None:
    row = await database.fetch_one_or_none(select(ApiKey.last_used_at).where(ApiKey.id == key.id))
    assert row is not None
    used: datetime | None = row["last_used_at"]
    return used


async def test_last_use_is_recorded_in_background_once_a_minute(
    settings: Settings, database: Database, user: User
) -> None:
    app = create_app(settings.model_copy(update={"revocation_delay": 1.0}))
    async with app.router.lifespan_context(app), Api(app) as anonymous:
        await asyncio.sleep(0.1)
        key, secret = await key_of(app, user)

        async def use() -> datetime | None:
            async with anonymous.with_key(secret) as caller:
                assert (await caller.get("/auth/me")).status_code == 200
                with query_budget(app.state.services[Database], 1):
                    assert (await caller.get("/auth/me")).status_code == 200
            # The watcher writes it at its next turn, 0.4 s later at most.
            await asyncio.sleep(0.6)
            return await _last_use(database, key)

        first = await use()
        assert first is not None
        assert await use() == first
        await database.execute(update(ApiKey).values(last_used_at=func.now() - timedelta(seconds=61)))
        second = await use()
        assert second is not None
        assert second > first
        other, unused = await key_of(app, user)
        async with anonymous.with_key(unused) as caller:
            assert (await caller.get("/auth/me")).status_code == 200
    # What was used in the last moment is written when the worker stops.
    assert await _last_use(database, other) is not None
