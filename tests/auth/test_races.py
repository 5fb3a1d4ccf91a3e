"""A login that is under way while the account changes: what was changed holds, not what was checked before."""

import asyncio

from fastapi import FastAPI
from sqlalchemy import text

from app.auth.models import User
from app.auth.passwords import Passwords
from app.core.config import Settings
from app.core.database import Database
from tests.auth.factories import UserFactory
from tests.support.client import Api, assert_problem
from tests.support.factories import store

OLD, NEW = "old password 1", "new password 2"
CHANGE = "UPDATE users SET hashed_password = :hashed, password_state = :state, is_active = :active WHERE id = :id"


async def login_during(
    app: FastAPI, anonymous: Api, user: User, *, hashed: str, state: str = "chosen", active: bool = True
) -> int:
    """Sign in with the old password while a change of the account is not committed yet; then commit it."""
    database: Database = app.state.database
    async with database.unit() as unit:
        values = {"hashed": hashed, "state": state, "active": active, "id": user.id}
        await unit.rows(text(CHANGE), values)
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


async def test_a_password_that_was_changed_meanwhile_lets_nobody_in(
    app: FastAPI, anonymous: Api, database: Database
) -> None:
    passwords: Passwords = app.state.authentication.passwords
    user = await person(database, passwords)
    assert await login_during(app, anonymous, user, hashed=await passwords.hash(NEW)) == 401
    assert await sign_in(anonymous, user, NEW) == 200


async def test_whoever_was_deactivated_meanwhile_is_not_let_in(
    app: FastAPI, anonymous: Api, database: Database
) -> None:
    user = await person(database, app.state.authentication.passwords)
    assert await login_during(app, anonymous, user, hashed=user.hashed_password, active=False) == 401


async def test_a_one_time_password_that_was_replaced_meanwhile_does_not_spend_the_new_one(
    app: FastAPI, anonymous: Api, database: Database
) -> None:
    passwords: Passwords = app.state.authentication.passwords
    user = await person(database, passwords, password_state="one_time")
    assert await login_during(app, anonymous, user, hashed=await passwords.hash(NEW), state="one_time") == 401
    assert await sign_in(anonymous, user, NEW) == 200


async def test_renewing_an_old_hash_does_not_undo_a_change_of_the_password(
    app: FastAPI, anonymous: Api, database: Database, settings: Settings
) -> None:
    weaker = Passwords(settings.model_copy(update={"argon2_memory_cost": 16}))
    user = await person(database, weaker)
    assert await login_during(app, anonymous, user, hashed=await weaker.hash(NEW)) == 401
    assert await sign_in(anonymous, user, OLD) == 401
    assert await sign_in(anonymous, user, NEW) == 200


async def test_whatever_has_expired_is_deleted_however_much_it_is(app: FastAPI, database: Database) -> None:
    fill = "INSERT INTO attempts SELECT 'key-' || g, 1, now() - interval '1 hour' FROM generate_series(1, 2500) AS g"
    await database.rows(text(fill))
    await app.state.housekeeping.purge()
    assert await database.row(text("SELECT count(*) AS left FROM attempts")) == {"left": 0}


async def test_a_key_cannot_end_where_calendars_do(api: Api) -> None:
    for moment in ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59.999999Z"):
        body = {"name": "key", "scopes": ["tasks:read"], "expires_at": moment}
        problem = assert_problem(await api.post("/auth/api-keys", json=body), 400, "invalid_request")
        assert problem["errors"][0]["pointer"] == "/expires_at"
