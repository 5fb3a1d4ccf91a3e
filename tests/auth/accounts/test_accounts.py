"""Registering, and what people do to their own account."""

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from app.auth.models import Session, User
from app.auth.scopes import KEY_SCOPES
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.rows import Row
from app.main import create_app
from app.projects.models import Member, Project, Role
from tests.auth.people import OTHER_PASSWORD, PASSWORD, key_of, person, sign_in, tokens_of, with_token
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem

ADA = {"username": "Ada", "email": "ada@example.org", "password": PASSWORD}


async def stored(database: Database, user: User) -> Row:
    row = await database.fetch_one_or_none(select(*User.__table__.c).where(User.id == user.id))
    assert row is not None
    return row


async def test_registered_user_can_sign_in(anonymous: Api, database: Database) -> None:
    answer = await anonymous.post("/auth/register", json=ADA)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/auth/me"
    account = answer.json()
    assert account == {
        "id": account["id"],
        "username": "Ada",
        "email": "ada@example.org",
        "is_active": True,
        "is_superuser": False,
        "created_at": account["created_at"],
    }
    assert (await sign_in(anonymous, "ada")).status_code == 200
    (row,) = await database.fetch_all(select(User.hashed_password, User.password_state))
    assert row["hashed_password"].startswith("$argon2id$")
    assert row["password_state"] == "chosen"


async def test_an_email_is_optional_and_many_have_none(anonymous: Api) -> None:
    for username in ("ada", "ben"):
        answer = await anonymous.post("/auth/register", json={"username": username, "password": PASSWORD})
        assert (answer.status_code, answer.json()["email"]) == (201, None)


BAD_REGISTRATIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"username": "ad"}, "/username", "string_too_short"),
    ({"username": "a" * 33}, "/username", "string_too_long"),
    ({"username": "ada lovelace"}, "/username", "string_pattern_mismatch"),
    ({"username": "ada\n"}, "/username", "string_pattern_mismatch"),
    ({"username": "adä"}, "/username", "string_pattern_mismatch"),
    ({"username": "ada@home"}, "/username", "string_pattern_mismatch"),
    ({"username": None}, "/username", "string_type"),
    ({"email": "ada"}, "/email", "email_form"),
    ({"email": ""}, "/email", "email_form"),
    ({"email": "a" + "\u0316\u0301" * 1016 + "@x.org"}, "/email", "string_too_long"),
    ({"password": "1234567"}, "/password", "string_too_short"),
    ({"password": "x" * 257}, "/password", "string_too_long"),
    ({"password": "correct\0horse"}, "/password", "nul_character"),
    ({"password": None}, "/password", "string_type"),
    ({"password": "password"}, "/password", "password_common"),
    ({"password": "QWERTYUIOP"}, "/password", "password_common"),
    ({"password": "administrator-1", "username": "Administrator-1"}, "/password", "password_is_username"),
    ({"is_superuser": True}, "/is_superuser", "unknown"),
]


@pytest.mark.parametrize(("changes", "pointer", "code"), BAD_REGISTRATIONS)
async def test_invalid_registration_is_400_naming_each_value(
    anonymous: Api, database: Database, changes: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await anonymous.post("/auth/register", json={**ADA, **changes})
    problem = assert_problem(answer, 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    assert PASSWORD not in answer.text
    assert await database.fetch_all(select(User.id)) == []


@pytest.mark.parametrize("username", ["abc", "a" * 32, "a.b-c_D9"])
async def test_usernames_up_to_the_limits_are_accepted(anonymous: Api, username: str) -> None:
    longest = {"username": username, "password": "ä" * 256}
    assert (await anonymous.post("/auth/register", json=longest)).status_code == 201
    assert (await sign_in(anonymous, username, "ä" * 256)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"username": "ADA", "email": None}, "username_taken"),
        ({"username": "ben", "email": "ADA@Example.ORG"}, "email_taken"),
    ],
)
async def test_taken_username_is_409_in_any_case(anonymous: Api, changes: dict[str, Any], code: str) -> None:
    assert (await anonymous.post("/auth/register", json=ADA)).status_code == 201
    assert_problem(await anonymous.post("/auth/register", json={**ADA, **changes}), 409, code)


async def test_concurrent_registrations_of_one_name_create_one_account(anonymous: Api, database: Database) -> None:
    for round_ in range(8):
        names = (f"Twin-{round_}", f"tWIN-{round_}")
        answers = await asyncio.gather(
            *(anonymous.post("/auth/register", json={"username": name, "password": PASSWORD}) for name in names)
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409]
        assert_problem(next(answer for answer in answers if answer.status_code == 409), 409, "username_taken")
    assert await database.fetch_one_or_none(select(func.count().label("people")).select_from(User)) == {"people": 8}


@pytest.mark.parametrize(
    "changes",
    [{"registration": "closed"}, {"env": "production", "jwt_secret": "q7zxV0uB3nKfLw9sTjRgHdMaPo6iVtEbNhXyQz"}],
)
async def test_closed_registration_is_403(settings: Settings, database: Database, changes: dict[str, Any]) -> None:
    app = create_app(Settings(_env_file=None, **{**settings.model_dump(exclude_unset=True), **changes}))
    async with app.router.lifespan_context(app), Api(app) as api:
        assert_problem(await api.post("/auth/register", json=ADA), 403, "registration_closed")
    assert await database.fetch_all(select(User.id)) == []


async def test_registrations_from_one_address_are_limited(settings: Settings, database: Database) -> None:
    app = create_app(settings.model_copy(update={"registrations_per_address": 2}))
    async with app.router.lifespan_context(app), Api(app) as api:
        for number, status in enumerate((201, 201, 429)):
            answer = await api.post("/auth/register", json={"username": f"bot-{number}", "password": PASSWORD})
            assert answer.status_code == status
        assert 3000 < int(answer.headers["retry-after"]) <= 3600


async def test_me_says_how_the_caller_is_signed_in(app: FastAPI, anonymous: Api, settings: Settings) -> None:
    ada = await person(app, "Ada")
    async with with_token(app, (await tokens_of(anonymous, "Ada"))["access_token"]) as api:
        me = (await api.get("/auth/me")).json()
    assert (me["id"], me["signed_in_by"]["method"], me["signed_in_by"]["project_id"]) == (str(ada.id), "session", None)
    assert me["signed_in_by"]["scopes"] == list(KEY_SCOPES)
    assert me["signed_in_by"]["expires_at"] is not None
    assert "argon2" not in str(me)
    key, secret = await key_of(app, ada, scopes=["account:read", "tasks:write"])
    async with anonymous.with_key(secret) as api:
        signed_in_by = (await api.get("/auth/me")).json()["signed_in_by"]
    assert signed_in_by == {
        "method": "api_key",
        "id": str(key.id),
        "scopes": ["account:read", "tasks:read", "tasks:write"],
        "project_id": None,
        "must_choose_password": False,
        "expires_at": None,
    }


async def test_changing_the_email_needs_the_current_password(app: FastAPI, anonymous: Api, database: Database) -> None:
    ada = await person(app, "Ada", email="ada@example.org")
    await person(app, "Ben", email="ben@example.org")
    async with await anonymous.as_(ada) as api:
        for body, pointer in (
            ({"email": "x@example.org"}, "/current_password"),
            ({"email": 1, "current_password": "x"}, "/email"),
        ):
            problem = assert_problem(await api.patch("/auth/me", json=body), 400, "invalid_request")
            assert problem["errors"][0]["pointer"] == pointer
        wrong = {"email": "new@example.org", "current_password": OTHER_PASSWORD}
        assert_problem(await api.patch("/auth/me", json=wrong), 403, "wrong_password")
        taken = {"email": "BEN@example.org", "current_password": PASSWORD}
        assert_problem(await api.patch("/auth/me", json=taken), 409, "email_taken")
        assert (await stored(database, ada))["email"] == "ada@example.org"
        for email in ("new@example.org", None):
            answer = await api.patch("/auth/me", json={"email": email, "current_password": PASSWORD})
            assert (answer.status_code, answer.json()["email"]) == (200, email)
            assert (await stored(database, ada))["email"] == email
        assert (await api.patch("/auth/me", json={"current_password": PASSWORD})).json()["email"] is None


async def test_new_password_ends_all_other_sessions(app: FastAPI, anonymous: Api, database: Database) -> None:
    ada, ben = await person(app, "Ada"), await person(app, "Ben")
    _, secret = await key_of(app, ada)
    here, there = await tokens_of(anonymous, "Ada"), await tokens_of(anonymous, "Ada")
    async with with_token(app, here["access_token"]) as api, with_token(app, there["access_token"]) as other:
        async with await anonymous.as_(ben) as unconcerned:
            for caller in (api, other, unconcerned):
                assert (await caller.get("/auth/me")).status_code == 200
            for password, code in (("password1", "password_common"), ("ADA", "string_too_short")):
                body = {"password": password, "current_password": PASSWORD}
                problem = assert_problem(await api.patch("/auth/me", json=body), 400, "invalid_request")
                assert problem["errors"][0]["code"] == code
            assert (await other.get("/auth/me")).status_code == 200
            body = {"password": OTHER_PASSWORD, "current_password": PASSWORD}
            assert (await api.patch("/auth/me", json=body)).status_code == 200
            assert (await api.get("/auth/me")).status_code == 200
            assert (await unconcerned.get("/auth/me")).status_code == 200
        assert_problem(await other.get("/auth/me"), 401, "invalid_token")
    answers = [
        await anonymous.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]}) for pair in (here, there)
    ]
    assert answers[0].status_code == 200
    assert_problem(answers[1], 401, "invalid_refresh_token")
    assert_problem(await sign_in(anonymous, "Ada"), 401, "invalid_credentials")
    assert (await sign_in(anonymous, "Ada", OTHER_PASSWORD)).status_code == 200
    # Its keys are another matter.
    async with anonymous.with_key(secret) as key:
        assert (await key.get("/projects/")).status_code == 200


async def test_account_deletion_needs_password_and_removes_everything(
    app: FastAPI, anonymous: Api, database: Database
) -> None:
    ada, ben = await person(app, "Ada"), await person(app, "Ben")
    alone, shared = await project_of(database, ada), await project_of(database, ada)
    theirs = await project_of(database, ben)
    await add_member(database, shared, ben, Role.OWNER)
    await add_member(database, theirs, ada, Role.EDITOR)
    _, secret = await key_of(app, ada)
    async with await anonymous.as_(ada) as api, anonymous.with_key(secret) as key:
        assert (await key.get("/projects/")).json()["total"] == 3
        assert_problem(await api.request("DELETE", "/auth/me", json={"password": "wrong"}), 403, "wrong_password")
        assert_problem(await api.request("DELETE", "/auth/me", json={}), 400, "invalid_request")
        assert (await api.request("DELETE", "/auth/me", json={"password": PASSWORD})).status_code == 204
        assert_problem(await api.get("/auth/me"), 401, "invalid_token")
        assert_problem(await key.get("/projects/"), 401, "invalid_api_key")
    assert_problem(await sign_in(anonymous, "Ada"), 401, "invalid_credentials")
    assert {row["id"] for row in await database.fetch_all(select(Project.id))} == {shared.id, theirs.id}
    assert {row["user_id"] for row in await database.fetch_all(select(Member.user_id))} == {ben.id}
    assert await database.fetch_all(select(Session.id).where(Session.user_id == ada.id)) == []
    assert alone.id != shared.id


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
async def test_only_owner_of_a_shared_project_cannot_delete_the_account(
    app: FastAPI, anonymous: Api, database: Database, role: Role
) -> None:
    ada, ben = await person(app, "Ada"), await person(app, "Ben")
    await project_of(database, ada)
    shared = await project_of(database, ada)
    await add_member(database, shared, ben, role)
    async with await anonymous.as_(ada) as api:
        assert_problem(await api.request("DELETE", "/auth/me", json={"password": PASSWORD}), 409, "only_owner")
        assert (await api.get("/projects/")).json()["total"] == 2


async def test_concurrent_account_deletions_leave_no_project_without_owner(
    app: FastAPI, anonymous: Api, database: Database
) -> None:
    for round_ in range(8):
        ada, ben, eve = [await person(app, f"{name}-{round_}") for name in ("Ada", "Ben", "Eve")]
        project = await project_of(database, ada)
        await add_member(database, project, ben, Role.OWNER)
        await add_member(database, project, eve, Role.VIEWER)
        async with await anonymous.as_(ada) as one, await anonymous.as_(ben) as other:
            answers = await asyncio.gather(
                *(api.request("DELETE", "/auth/me", json={"password": PASSWORD}) for api in (one, other))
            )
        assert sorted(answer.status_code for answer in answers) == [204, 409]


async def test_the_last_administrator_cannot_delete_the_account(app: FastAPI, anonymous: Api) -> None:
    root = await person(app, "root", is_superuser=True)
    await person(app, "retired", is_superuser=True, is_active=False)
    async with await anonymous.as_(root) as api:
        assert_problem(await api.request("DELETE", "/auth/me", json={"password": PASSWORD}), 409, "last_admin")
        await person(app, "second", is_superuser=True)
        assert (await api.request("DELETE", "/auth/me", json={"password": PASSWORD})).status_code == 204
