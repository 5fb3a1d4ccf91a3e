"""The administrator that the seed comes with."""

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.auth.accounts.service import SEED_PASSWORD, SEED_USERNAME, create_seed_admin
from app.auth.manager import Authentication
from app.auth.models import User
from app.core.database.database import Database
from tests.auth.factories import UserFactory
from tests.support.client import Api
from tests.support.factories import store


async def test_admin_signs_in_with_1234_and_administers(anonymous: Api, app: FastAPI, database: Database) -> None:
    assert (SEED_USERNAME, SEED_PASSWORD) == ("admin", "1234")
    assert await create_seed_admin(database, app.state.services[Authentication].passwords)
    answer = await anonymous.post("/auth/login", json={"username": "admin", "password": "1234"})
    async with Api(app, {"Authorization": f"Bearer {answer.json()['access_token']}"}) as api:
        me = (await api.get("/auth/me")).json()
    assert (me["username"], me["is_superuser"], me["is_active"]) == ("admin", True, True)


@pytest.mark.parametrize("username", ["admin", "Admin"])
async def test_existing_admin_is_left_unchanged(app: FastAPI, database: Database, username: str) -> None:
    await store(database, UserFactory.build(username=username, hashed_password="kept"))
    assert not await create_seed_admin(database, app.state.services[Authentication].passwords)
    assert await database.fetch_all(select(User.username, User.hashed_password)) == [
        {"username": username, "hashed_password": "kept"}
    ]
