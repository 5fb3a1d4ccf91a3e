"""A login that is under way while the account changes: what was changed holds, not what was checked before."""

import asyncio

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.auth.manager import Authentication
from app.auth.models import User
from app.auth.passwords import Passwords
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.retention import Purger
from tests.auth.factories import UserFactory
from tests.support.client import Api, assert_problem
from tests.support.factories import store

OLD, NEW = "old password 1", "new password 2"
CHANGE = "UPDATE users SET hashed_password = :hashed, password_state = :state, is_active = :active WHERE id = :id"


async def login_during(
    app: FastAPI, anonymous: Api, user: User, *, hashed: str, state: str = "chosen", active: bool = True
) -> int:
    """Sign in with the old password while a change of the account is not committed yet; then commit it."""
    database: Database = app.state.services[Database]
    async with database.transaction() as transaction:
        values = {"hashed": hashed, "state": state, "active": active, "id": user.id}
        await transaction.execute(text(CHANGE), values)
        login = asyncio.create_task(sign_in(anonymous, user, OLD))
        # Long enough to check the password against what it was; what comes then waits for the row.
        await asyncio.sleep(0.3)
        assert not login.done()
    return await login


async def sign_in(api: Api, user: User, password: str) -> int:
    return (await api.post("/auth/login", json={"username": user.username, "password": password})).status_code


async def person(database: Database, passwords: Passwords, **values: object) -> User:
    user = UserFactory.build(hashed_password=await passwords.hash(OLD), **values)
    await store(database, user)
    return user


async def test_password_changed_during_sign_in_is_refused(app: FastAPI, anonymous: Api, database: Database) -> None:
    passwords: Passwords = app.state.services[Authentication].passwords
    user = await person(database, passwords)
    assert await login_during(app, anonymous, user, hashed=await passwords.hash(NEW)) == 401
    assert await sign_in(anonymous, user, NEW) == 200


async def test_user_deactivated_during_sign_in_is_refused(app: FastAPI, anonymous: Api, database: Database) -> None:
    user = await person(database, app.state.services[Authentication].passwords)
    assert await login_during(app, anonymous, user, hashed=user.hashed_password, active=False) == 401


async def test_replaced_one_time_password_does_not_spend_the_new_one(
    app: FastAPI, anonymous: Api, database: Database
) -> None:
    passwords: Passwords = app.state.services[Authentication].passwords
    user = await person(database, passwords, password_state="one_time")
    assert await login_during(app, anonymous, user, hashed=await passwords.hash(NEW), state="one_time") == 401
    assert await sign_in(anonymous, user, NEW) == 200


async def test_rehash_does_not_undo_a_concurrent_password_change(
    app: FastAPI, anonymous: Api, database: Database, settings: Settings
) -> None:
    weaker = Passwords(settings.model_copy(update={"argon2_memory_cost": 16}))
    user = await person(database, weaker)
    assert await login_during(app, anonymous, user, hashed=await weaker.hash(NEW)) == 401
    assert await sign_in(anonymous, user, OLD) == 401
    assert await sign_in(anonymous, user, NEW) == 200


async def test_all_expired_rows_are_deleted(app: FastAPI, database: Database) -> None:
    fill = "INSERT INTO attempts SELECT 'key-' || g, 1, now() - interval '1 hour' FROM generate_series(1, 2500) AS g"
    await database.execute(text(fill))
    await app.state.services[Purger].purge()
    assert await database.fetch_one_or_none(text("SELECT count(*) AS left FROM attempts")) == {"left": 0}


async def test_key_cannot_expire_at_the_end_of_time(api: Api) -> None:
    for moment in ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999999Z"):
        body = {"name": "key", "scopes": ["tasks:read"], "expires_at": moment}
        problem = assert_problem(await api.post("/auth/api-keys", json=body), 400, "invalid_request")
        assert problem["errors"][0]["pointer"] == "/expires_at"


ENDED = "UPDATE sessions SET revoked_at = now()"
DEMOTED = "UPDATE users SET is_superuser = false"


@pytest.mark.parametrize(
    ("change", "method", "path", "body", "refused"),
    [
        (ENDED, "POST", "/auth/api-keys", {"name": "key", "scopes": ["tasks:read"]}, (401, "invalid_token")),
        (ENDED, "PATCH", "/auth/me", {"password": NEW, "current_password": OLD}, (401, "invalid_token")),
        (ENDED, "DELETE", "/auth/me", {"password": OLD}, (401, "invalid_token")),
        (ENDED, "POST", "/users/", {"username": "mallory"}, (401, "invalid_token")),
        (ENDED, "PATCH", "/users/{other}", {"is_superuser": True}, (401, "invalid_token")),
        (DEMOTED, "POST", "/users/", {"username": "mallory"}, (403, "admin_required")),
        (DEMOTED, "PATCH", "/users/{own}", {"is_superuser": True}, (403, "admin_required")),
        (DEMOTED, "PATCH", "/users/{other}", {"reset_password": True}, (403, "admin_required")),
    ],
)
async def test_lasting_change_needs_a_live_session(
    app: FastAPI,
    anonymous: Api,
    database: Database,
    change: str,
    method: str,
    path: str,
    body: dict[str, object],
    refused: tuple[int, str],
) -> None:
    passwords: Passwords = app.state.services[Authentication].passwords
    # Another administrator, so that this is not the last one.
    root, other = [await person(database, passwords, is_superuser=True) for _ in range(2)]
    async with await anonymous.as_(root) as api:
        assert (await api.get("/users/")).status_code == 200
        # As another worker does, whose changes this one hears of a little later.
        await database.execute(text(change + (f" WHERE id = '{root.id}'" if change is DEMOTED else "")))
        before = await database.fetch_all(text("SELECT * FROM users ORDER BY id"))
        answer = await api.request(method, path.format(own=root.id, other=other.id), json=body)
        assert_problem(answer, *refused)
        assert await database.fetch_all(text("SELECT * FROM users ORDER BY id")) == before
        assert await database.fetch_all(text("SELECT id FROM api_keys")) == []


async def test_one_of_two_concurrent_password_changes_succeeds(
    app: FastAPI, anonymous: Api, database: Database
) -> None:
    passwords: Passwords = app.state.services[Authentication].passwords
    for _ in range(4):
        user = await person(database, passwords)
        async with await anonymous.as_(user) as here, await anonymous.as_(user) as there:
            chosen = [f"{NEW}, {number}" for number in range(2)]
            answers = await asyncio.gather(
                *(
                    api.patch("/auth/me", json={"password": password, "current_password": OLD})
                    for api, password in zip((here, there), chosen, strict=True)
                )
            )
        changed = [answer.status_code == 200 for answer in answers]
        assert sorted(changed) == [False, True], [answer.text for answer in answers]
        assert [await sign_in(anonymous, user, password) for password in chosen] == [
            200 if done else 401 for done in changed
        ]
