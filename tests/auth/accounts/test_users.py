"""Accounts as administrators see and change them, and looking people up."""

import asyncio
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select, text

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.ids import uuid7
from tests.auth.people import OTHER_PASSWORD, PASSWORD, key_of, person, refresh, sign_in, tokens_of, with_token
from tests.support.client import Api, assert_problem
from tests.support.queries import query_budget


@pytest.fixture
async def root(app: FastAPI, database: Database) -> User:
    return await person(app, "root", is_superuser=True)


@pytest.fixture
async def admin(anonymous: Api, root: User) -> Api:
    return await anonymous.as_(root)


async def test_an_administrator_lists_and_reads_all_accounts(app: FastAPI, admin: Api, database: Database) -> None:
    ada = await person(app, "Ada", email="ada@example.org", is_active=False)
    assert (await admin.get(f"/users/{ada.id}")).status_code == 200
    with query_budget(database, 1):
        page = (await admin.get("/users/?size=1")).json()
    assert (page["total"], page["pages"]) == (2, 2)
    with query_budget(database, 1):
        account = (await admin.get(f"/users/{ada.id}")).json()
    assert page["items"] == [account]
    assert (account["username"], account["email"], account["is_active"]) == ("Ada", "ada@example.org", False)
    assert "password" not in str(page)
    assert_problem(await admin.get(f"/users/{uuid7()}"), 404, "user_not_found")


async def test_one_time_password_allows_one_sign_in(app: FastAPI, admin: Api, anonymous: Api) -> None:
    answer = await admin.post("/users/", json={"username": "Ada", "email": "ada@example.org"})
    account = answer.json()
    assert (answer.status_code, account["is_superuser"]) == (201, False)
    assert answer.headers["location"] == f"/api/v1/users/{account['id']}"
    once = account["one_time_password"]
    assert len(once) == 16
    assert "one_time_password" not in (await admin.get(f"/users/{account['id']}")).json()
    tokens = await tokens_of(anonymous, "Ada", once)
    assert_problem(await sign_in(anonymous, "Ada", once), 401, "invalid_credentials")
    async with with_token(app, tokens["access_token"]) as api:
        body = {"password": PASSWORD, "current_password": once}
        assert (await api.patch("/auth/me", json=body)).status_code == 200
        assert_problem(await api.patch("/auth/me", json=body), 403, "wrong_password")
    for _ in range(2):
        assert (await sign_in(anonymous, "Ada")).status_code == 200


async def test_one_time_session_may_only_set_a_new_password(
    app: FastAPI, admin: Api, anonymous: Api, database: Database
) -> None:
    once = (await admin.post("/users/", json={"username": "Ada"})).json()["one_time_password"]
    tokens = await tokens_of(anonymous, "Ada", once)
    # Refreshing it does not make it better.
    tokens = (await refresh(anonymous, tokens["refresh_token"])).json()
    async with with_token(app, tokens["access_token"]) as api:
        assert (await api.get("/auth/me")).json()["signed_in_by"]["must_choose_password"] is True
        for method, path, body in (
            ("POST", "/auth/api-keys", {"name": "k", "scopes": ["tasks:read"]}),
            ("POST", "/projects/", {"name": "Workshop"}),
            ("PATCH", "/auth/me", {"email": "ada@example.org", "current_password": once}),
            ("DELETE", "/auth/me", {"password": once}),
        ):
            assert_problem(await api.request(method, path, json=body), 403, "password_change_required")
        chosen = {"password": PASSWORD, "current_password": once}
        assert (await api.patch("/auth/me", json=chosen)).json()["signed_in_by"]["must_choose_password"] is True
        assert (await api.post("/projects/", json={"name": "Workshop"})).status_code == 201
        assert (await api.get("/auth/me")).json()["signed_in_by"]["must_choose_password"] is False
    assert (await refresh(anonymous, tokens["refresh_token"])).status_code == 200


async def test_expired_one_time_password_ends_its_session(
    app: FastAPI, admin: Api, anonymous: Api, database: Database, settings: Settings
) -> None:
    sessions = {}
    for name in ("unused", "used", "chosen"):
        made = (await admin.post("/users/", json={"username": name})).json()
        ends = datetime.fromisoformat(made["one_time_password_expires_at"])
        left = (ends - datetime.now(UTC)).total_seconds()
        assert settings.one_time_password_lifetime - 60 < left <= settings.one_time_password_lifetime
        once = made["one_time_password"]
        if name == "unused":
            unused = once
        else:
            sessions[name] = await tokens_of(anonymous, name, once)
        if name == "chosen":
            async with with_token(app, sessions[name]["access_token"]) as api:
                body = {"password": PASSWORD, "current_password": once}
                assert (await api.patch("/auth/me", json=body)).status_code == 200
    await database.execute(text("UPDATE users SET password_expires_at = now() WHERE password_expires_at IS NOT NULL"))
    assert_problem(await sign_in(anonymous, "unused", unused), 401, "invalid_credentials")
    for name, status in (("used", 401), ("chosen", 200)):
        async with with_token(app, sessions[name]["access_token"]) as api:
            assert (await api.get("/auth/me")).status_code == status
        assert (await refresh(anonymous, sessions[name]["refresh_token"])).status_code == status
    assert (await sign_in(anonymous, "chosen")).status_code == 200


async def test_concurrent_uses_of_a_one_time_password_admit_one(admin: Api, anonymous: Api) -> None:
    for round_ in range(8):
        once = (await admin.post("/users/", json={"username": f"Ada-{round_}"})).json()["one_time_password"]
        answers = await asyncio.gather(*(sign_in(anonymous, f"Ada-{round_}", once) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401]


async def test_a_taken_name_is_a_409_for_administrators_too(app: FastAPI, admin: Api) -> None:
    ada = await person(app, "Ada", email="ada@example.org")
    ben = await person(app, "Ben")
    assert_problem(await admin.post("/users/", json={"username": "ADA"}), 409, "username_taken")
    body = {"username": "Eve", "email": "ADA@example.org"}
    assert_problem(await admin.post("/users/", json=body), 409, "email_taken")
    assert_problem(await admin.patch(f"/users/{ben.id}", json={"email": "Ada@example.org"}), 409, "email_taken")
    assert (await admin.patch(f"/users/{ada.id}", json={"email": "ADA@example.org"})).status_code == 200


async def test_password_reset_replaces_the_password_and_ends_sessions(app: FastAPI, admin: Api, anonymous: Api) -> None:
    ada = await person(app, "Ada")
    tokens = await tokens_of(anonymous, "Ada")
    async with with_token(app, tokens["access_token"]) as api:
        assert (await api.get("/auth/me")).status_code == 200
        answer = await admin.patch(f"/users/{ada.id}", json={"reset_password": True})
        assert_problem(await api.get("/auth/me"), 401, "invalid_token")
    assert_problem(await refresh(anonymous, tokens["refresh_token"]), 401, "invalid_refresh_token")
    assert_problem(await sign_in(anonymous, "Ada"), 401, "invalid_credentials")
    assert (await sign_in(anonymous, "Ada", answer.json()["one_time_password"])).status_code == 200
    problem = assert_problem(
        await admin.patch(f"/users/{ada.id}", json={"reset_password": False}), 400, "invalid_request"
    )
    assert problem["errors"][0]["pointer"] == "/reset_password"


async def test_deactivated_user_is_refused_at_once_until_reactivated(app: FastAPI, admin: Api, anonymous: Api) -> None:
    ada = await person(app, "Ada")
    tokens = await tokens_of(anonymous, "Ada")
    _, secret = await key_of(app, ada)
    async with with_token(app, tokens["access_token"]) as api, anonymous.with_key(secret) as key:
        for caller in (api, key):
            assert (await caller.get("/auth/me")).status_code == 200
        answer = await admin.patch(f"/users/{ada.id}", json={"is_active": False})
        assert (answer.json()["is_active"], answer.json()["one_time_password"]) == (False, None)
        assert_problem(await api.get("/auth/me"), 401, "invalid_token")
        assert_problem(await key.get("/auth/me"), 401, "invalid_api_key")
        assert_problem(await refresh(anonymous, tokens["refresh_token"]), 401, "invalid_refresh_token")
        assert_problem(await sign_in(anonymous, "Ada"), 401, "invalid_credentials")
        assert (await admin.patch(f"/users/{ada.id}", json={"is_active": True})).status_code == 200
        # Its sessions have ended for good; its keys were never revoked.
        assert_problem(await api.get("/auth/me"), 401, "invalid_token")
        assert (await key.get("/auth/me")).status_code == 200
    assert (await sign_in(anonymous, "Ada")).status_code == 200


async def test_promotion_and_demotion_apply_at_once(app: FastAPI, admin: Api, anonymous: Api) -> None:
    ada = await person(app, "Ada")
    async with await anonymous.as_(ada) as api:
        assert_problem(await api.get("/users/"), 403, "admin_required")
        assert (await admin.patch(f"/users/{ada.id}", json={"is_superuser": True})).json()["is_superuser"] is True
        assert (await api.get("/users/")).status_code == 200
        assert (await admin.patch(f"/users/{ada.id}", json={"is_superuser": False})).status_code == 200
        assert_problem(await api.get("/users/"), 403, "admin_required")


@pytest.mark.parametrize("change", [{"is_superuser": False}, {"is_active": False}])
async def test_last_active_administrator_cannot_be_demoted(
    app: FastAPI, admin: Api, root: User, database: Database, change: dict[str, bool]
) -> None:
    await person(app, "retired", is_superuser=True, is_active=False)
    assert_problem(await admin.patch(f"/users/{root.id}", json=change), 409, "last_admin")
    rows = await database.fetch_all(select(User.is_active, User.is_superuser).where(User.id == root.id))
    assert rows == [{"is_active": True, "is_superuser": True}]
    await person(app, "second", is_superuser=True)
    assert (await admin.patch(f"/users/{root.id}", json=change)).status_code == 200


@pytest.mark.parametrize("change", [{"is_superuser": False}, {"is_active": False}])
async def test_two_administrators_cannot_demote_each_other_at_once(
    app: FastAPI, anonymous: Api, database: Database, change: dict[str, bool]
) -> None:
    for round_ in range(8):
        pair = [await person(app, f"{name}-{round_}", is_superuser=True) for name in ("one", "other")]
        async with await anonymous.as_(pair[0]) as one, await anonymous.as_(pair[1]) as other:
            for api in (one, other):
                assert (await api.get("/users/")).status_code == 200
            answers = await asyncio.gather(
                one.patch(f"/users/{pair[1].id}", json=change), other.patch(f"/users/{pair[0].id}", json=change)
            )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert_problem(next(answer for answer in answers if answer.status_code == 409), 409, "last_admin")
        left = select(func.count().label("left")).where(User.is_active, User.is_superuser)
        assert await database.fetch_one_or_none(left) == {"left": 1}
        await database.execute(delete(User))


async def test_lookup_by_username_shows_id_and_username_only(app: FastAPI, api: Api, database: Database) -> None:
    ada = await person(app, "Ada", email="ada@example.org")
    await person(app, "gone", is_active=False)
    assert (await api.get("/auth/me")).status_code == 200
    for name in ("Ada", "aDA"):
        with query_budget(database, 1):
            assert (await api.get(f"/users/by-username/{name}")).json() == {"id": str(ada.id), "username": "Ada"}
    for name in ("Ad", "Ada%", "ada@example.org", "gone", "_da", "x" * 320):
        assert_problem(await api.get(f"/users/by-username/{name}"), 404, "user_not_found")
    assert_problem(await api.get("/users/by-username/a%00b"), 400, "invalid_request")


async def test_generated_passwords_are_random_and_unambiguous(admin: Api) -> None:
    given = [
        (await admin.post("/users/", json={"username": f"user{n}"})).json()["one_time_password"] for n in range(20)
    ]
    assert len(set(given)) == 20
    assert not set("".join(given)) & set("0O1lI")
    assert OTHER_PASSWORD not in given
