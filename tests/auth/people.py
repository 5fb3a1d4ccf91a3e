"""People who can sign in, and their tokens and keys."""

from typing import Any

from fastapi import FastAPI
from httpx2 import Response

from app.auth.manager import Authentication
from app.auth.models import ApiKey, User
from app.auth.tokens import hashed, new_api_key
from app.core.database.database import Database
from tests.auth.factories import ApiKeyFactory, UserFactory
from tests.support.client import Api
from tests.support.factories import store

PASSWORD = "correct horse battery"
OTHER_PASSWORD = "staple staple staple"


async def person(app: FastAPI, username: str, **values: Any) -> User:
    """A stored person with that name, whose password is `PASSWORD`."""
    hashed_password = await app.state.services[Authentication].passwords.hash(values.pop("password", PASSWORD))
    user = UserFactory.build(username=username, hashed_password=hashed_password, **values)
    await store(app.state.services[Database], user)
    return user


async def somebody(database: Database) -> User:
    """A stored person whom nobody knows."""
    user = UserFactory.build()
    await store(database, user)
    return user


async def key_of(app: FastAPI, user: User, **values: Any) -> tuple[ApiKey, str]:
    """A stored key of that person, and its secret."""
    secret = new_api_key()
    key = ApiKeyFactory.build(user_id=user.id, secret_hash=hashed(secret), **values)
    await store(app.state.services[Database], key)
    return key, secret


async def sign_in(api: Api, username: str, password: str = PASSWORD) -> Response:
    """The answer to a login."""
    return await api.post("/auth/login", json={"username": username, "password": password})


async def tokens_of(api: Api, username: str, password: str = PASSWORD) -> dict[str, str]:
    """The tokens that a login gives."""
    answer = await sign_in(api, username, password)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, str] = answer.json()
    return tokens


async def refresh(api: Api, token: str) -> Response:
    """The answer to an exchange of this refresh token."""
    return await api.post("/auth/refresh", json={"refresh_token": token})


def with_token(app: FastAPI, token: str) -> Api:
    """The API, called with this bearer token."""
    return Api(app, {"Authorization": f"Bearer {token}"})
