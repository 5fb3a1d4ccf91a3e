"""Refresh tokens: each is good for one exchange, a lost answer may be repeated, and a stolen one ends the session."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from app.auth.manager import Authentication
from app.auth.models import Session
from app.auth.tokens import REFRESH_PREFIX, hashed, issue_refresh_token
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.rows import Row
from app.core.ids import uuid7
from app.main import create_app
from tests.auth.people import person, refresh, tokens_of, with_token
from tests.support.client import Api, assert_problem
from tests.support.queries import query_budget


async def tokens(api: Api, token: str) -> dict[str, str]:
    answer = await refresh(api, token)
    assert answer.status_code == 200, answer.text
    pair: dict[str, str] = answer.json()
    return pair


async def only_session(database: Database) -> Row:
    (row,) = await database.fetch_all(select(*Session.__table__.c))
    return row


async def put_back(database: Database, seconds: float) -> None:
    """Let the latest refresh have been that long ago."""
    await database.execute(update(Session).values(refreshed_at=func.now() - timedelta(seconds=seconds)))


@pytest.fixture
async def first(app: FastAPI, anonymous: Api) -> dict[str, str]:
    await person(app, "Ada")
    return await tokens_of(anonymous, "Ada")


async def test_each_exchange_gives_the_next_pair_of_the_same_session(
    app: FastAPI, anonymous: Api, database: Database, settings: Settings, first: dict[str, str]
) -> None:
    before, pair, seen = await only_session(database), first, {first["refresh_token"]}
    for generation in range(1, 4):
        with query_budget(database, 1):
            pair = await tokens(anonymous, pair["refresh_token"])
        assert set(pair) == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert pair["refresh_token"] not in seen
        seen.add(pair["refresh_token"])
        async with with_token(app, pair["access_token"]) as api:
            assert (await api.get("/auth/me")).json()["signed_in_by"]["id"] == str(before["id"])
        row = await only_session(database)
        assert (row["id"], row["generation"], row["revoked_at"]) == (before["id"], generation, None)
        lives = row["expires_at"] - row["refreshed_at"]
        assert lives == timedelta(seconds=settings.refresh_token_lifetime)
    async with with_token(app, first["access_token"]) as api:
        # What was issued before holds until it expires: rotating is no signing out.
        assert (await api.get("/auth/me")).status_code == 200


async def test_only_a_hash_of_a_refresh_token_is_stored(database: Database, first: dict[str, str]) -> None:
    row = await only_session(database)
    assert row["refresh_hash"] == hashed(first["refresh_token"])
    raw = urlsafe_b64decode(first["refresh_token"].removeprefix(REFRESH_PREFIX) + "==")
    stored = b"".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
    assert raw[-32:] not in stored
    assert first["refresh_token"].encode() not in stored


async def test_repeated_refresh_within_grace_gets_the_same_pair(
    app: FastAPI, anonymous: Api, database: Database, first: dict[str, str]
) -> None:
    second = await tokens(anonymous, first["refresh_token"])
    again = await tokens(anonymous, first["refresh_token"])
    assert again["refresh_token"] == second["refresh_token"]
    async with with_token(app, again["access_token"]) as api:
        assert (await api.get("/auth/me")).status_code == 200
    assert (await only_session(database))["generation"] == 1
    assert (await refresh(anonymous, second["refresh_token"])).status_code == 200


async def test_concurrent_refreshes_return_the_same_pair(anonymous: Api, first: dict[str, str]) -> None:
    answers = await asyncio.gather(*(refresh(anonymous, first["refresh_token"]) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


async def test_refresh_token_reused_after_grace_ends_the_session(
    app: FastAPI, anonymous: Api, database: Database, settings: Settings, first: dict[str, str]
) -> None:
    second = await tokens(anonymous, first["refresh_token"])
    await put_back(database, settings.refresh_grace + 1)
    answer = await refresh(anonymous, first["refresh_token"])
    assert_problem(answer, 401, "refresh_token_reused")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert (await only_session(database))["revoked_at"] is not None
    for token in (second["refresh_token"], first["refresh_token"]):
        assert_problem(await refresh(anonymous, token), 401, "invalid_refresh_token")
    for pair in (first, second):
        async with with_token(app, pair["access_token"]) as api:
            assert_problem(await api.get("/auth/me"), 401, "invalid_token")


async def test_the_grace_is_for_the_latest_exchange_only(
    anonymous: Api, database: Database, first: dict[str, str]
) -> None:
    second = await tokens(anonymous, first["refresh_token"])
    await tokens(anonymous, second["refresh_token"])
    assert_problem(await refresh(anonymous, first["refresh_token"]), 401, "refresh_token_reused")
    assert (await only_session(database))["revoked_at"] is not None


@pytest.fixture
async def quick(settings: Settings, database: Database) -> AsyncIterator[FastAPI]:
    """A worker that learns of changes within a fifth of a second."""
    app = create_app(settings.model_copy(update={"revocation_delay": 0.2, "refresh_grace": 0.0}))
    async with app.router.lifespan_context(app):
        yield app


async def test_access_tokens_are_refused_after_a_reuse(quick: FastAPI) -> None:
    await person(quick, "Ada")
    async with Api(quick) as anonymous:
        first = await tokens_of(anonymous, "Ada")
        async with with_token(quick, first["access_token"]) as api:
            assert (await api.get("/auth/me")).status_code == 200
            await tokens(anonymous, first["refresh_token"])
            assert_problem(await refresh(anonymous, first["refresh_token"]), 401, "refresh_token_reused")
            await asyncio.sleep(0.25)
            assert_problem(await api.get("/auth/me"), 401, "invalid_token")


async def test_reused_token_ends_only_its_own_session(app: FastAPI, anonymous: Api, first: dict[str, str]) -> None:
    second = await tokens_of(anonymous, "Ada")
    third = await tokens(anonymous, first["refresh_token"])
    await tokens(anonymous, third["refresh_token"])
    assert_problem(await refresh(anonymous, first["refresh_token"]), 401, "refresh_token_reused")
    assert (await refresh(anonymous, second["refresh_token"])).status_code == 200


def _flipped(token: str) -> list[str]:
    raw = urlsafe_b64decode(token.removeprefix(REFRESH_PREFIX) + "==")
    changed = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(len(raw))]
    return [REFRESH_PREFIX + urlsafe_b64encode(value).decode().rstrip("=") for value in changed]


async def test_tampered_refresh_token_is_refused_without_a_statement(
    app: FastAPI, anonymous: Api, database: Database, first: dict[str, str]
) -> None:
    token = first["refresh_token"]
    invented = [
        *_flipped(token),
        token[:-2],
        token + "AAAA",
        token.removeprefix(REFRESH_PREFIX),
        "tlrr_",
        "x",
        "tlrr_%%%",
        "é",
    ]
    with query_budget(database, 0):
        for value in invented:
            assert_problem(await refresh(anonymous, value), 401, "invalid_refresh_token")
        # An access token is no refresh token, nor the other way round.
        assert_problem(await refresh(anonymous, first["access_token"][:200]), 401, "invalid_refresh_token")
        async with with_token(app, token) as api:
            assert_problem(await api.get("/auth/me"), 401, "invalid_token")
    # Base64 has characters that say nothing; the token with another last one is not the token.
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = letters[letters.index(token[-1]) ^ 1]
    assert_problem(await refresh(anonymous, token[:-1] + spare), 401, "invalid_refresh_token")
    assert_problem(await refresh(anonymous, "tlrr_ " + token[5:]), 401, "invalid_refresh_token")
    assert (await refresh(anonymous, token)).status_code == 200


async def test_token_of_a_missing_session_gets_the_same_answer(
    app: FastAPI, anonymous: Api, first: dict[str, str]
) -> None:
    signed = issue_refresh_token(app.state.services[Authentication].ring, uuid7(), 0)
    answers = [await refresh(anonymous, token) for token in (signed, "tlrr_x")]
    bodies = [assert_problem(answer, 401, "invalid_refresh_token") for answer in answers]
    assert bodies[0] | {"request_id": ""} == bodies[1] | {"request_id": ""}
    # A generation that the session has not come to yet is no sign of theft.
    session = (await with_token(app, first["access_token"]).get("/auth/me")).json()["signed_in_by"]["id"]
    assert session
    assert (await refresh(anonymous, first["refresh_token"])).status_code == 200


@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": "x" * 201}, {"refresh_token": None}])
async def test_malformed_refresh_body_is_400(anonymous: Api, body: dict[str, Any]) -> None:
    problem = assert_problem(await anonymous.post("/auth/refresh", json=body), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/refresh_token"


async def test_a_session_that_has_expired_is_not_refreshed(
    app: FastAPI, anonymous: Api, database: Database, first: dict[str, str]
) -> None:
    await database.execute(update(Session).values(expires_at=func.now()))
    assert_problem(await refresh(anonymous, first["refresh_token"]), 401, "invalid_refresh_token")
    async with with_token(app, first["access_token"]) as api:
        assert_problem(await api.get("/auth/me"), 401, "invalid_token")
