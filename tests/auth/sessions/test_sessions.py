"""Sessions: where somebody is signed in, and how that ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

import jwt
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import select, update

from app.auth.manager import Authentication
from app.auth.models import Session, User
from app.auth.tokens import LEEWAY, issue_access_token
from app.core.config import Settings
from app.core.database.database import Database
from app.core.ids import uuid7
from app.main import create_app
from tests.auth.factories import SessionFactory
from tests.auth.people import person, refresh, sign_in, tokens_of, with_token
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget


@pytest.fixture
async def ada(app: FastAPI, database: Database) -> User:
    return await person(app, "Ada")


async def test_signing_out_ends_both_tokens_at_once(app: FastAPI, anonymous: Api, ada: User) -> None:
    tokens, others = await tokens_of(anonymous, "Ada"), await tokens_of(anonymous, "Ada")
    async with with_token(app, tokens["access_token"]) as api, with_token(app, others["access_token"]) as other:
        assert (await api.get("/auth/me")).status_code == 200
        answer = await api.post("/auth/logout")
        assert (answer.status_code, answer.content) == (204, b"")
        assert_problem(await api.get("/auth/me"), 401, "invalid_token")
        assert_problem(await api.post("/auth/logout"), 401, "invalid_token")
        assert (await other.get("/auth/me")).status_code == 200
    assert_problem(await refresh(anonymous, tokens["refresh_token"]), 401, "invalid_refresh_token")
    assert (await refresh(anonymous, others["refresh_token"])).status_code == 200


async def test_list_has_own_live_sessions_newest_first(
    app: FastAPI, anonymous: Api, database: Database, ada: User
) -> None:
    other = await person(app, "Ben")
    await store(database, SessionFactory.build(user_id=other.id))
    body = {"username": "Ada", "password": "correct horse battery"}
    for agent in ("curl/8.5.0", "x" * 500):
        answer = await anonymous.post("/auth/login", json=body, headers={"User-Agent": agent})
    async with with_token(app, answer.json()["access_token"]) as api:
        assert (await api.get("/auth/me")).status_code == 200
        with query_budget(database, 1):
            page = (await api.get("/auth/sessions")).json()
    assert page["total"] == 2
    assert [item["is_current"] for item in page["items"]] == [True, False]
    assert [item["user_agent"] for item in page["items"]] == ["x" * 200, "curl/8.5.0"]
    assert [item["address"] for item in page["items"]] == ["127.0.0.1"] * 2
    assert set(page["items"][0]) == {
        "id", "is_current", "user_agent", "address", "created_at", "refreshed_at", "expires_at",
    }  # fmt: skip


async def test_sessions_end_one_by_one_or_all_others(app: FastAPI, anonymous: Api, ada: User) -> None:
    pairs = [await tokens_of(anonymous, "Ada") for _ in range(4)]
    apis = [with_token(app, pair["access_token"]) for pair in pairs]
    ids = [(await api.get("/auth/me")).json()["signed_in_by"]["id"] for api in apis]
    assert (await apis[0].delete(f"/auth/sessions/{ids[1]}")).status_code == 204
    assert_problem(await apis[1].get("/auth/me"), 401, "invalid_token")
    assert_problem(await apis[0].delete(f"/auth/sessions/{ids[1]}"), 404, "session_not_found")
    assert_problem(await apis[0].delete(f"/auth/sessions/{uuid7()}"), 404, "session_not_found")
    assert (await apis[2].get("/auth/me")).status_code == 200
    for _ in range(2):
        assert (await apis[0].delete("/auth/sessions")).status_code == 204
        assert [(await api.get("/auth/me")).status_code for api in apis] == [200, 401, 401, 401]
    assert [(await refresh(anonymous, pair["refresh_token"])).status_code for pair in pairs] == [200, 401, 401, 401]
    assert (await apis[0].delete(f"/auth/sessions/{ids[0]}")).status_code == 204
    assert_problem(await apis[0].get("/auth/me"), 401, "invalid_token")


async def test_session_beyond_the_limit_ends_the_oldest(settings: Settings, database: Database) -> None:
    app = create_app(settings.model_copy(update={"max_sessions": 3}))
    async with app.router.lifespan_context(app), Api(app) as anonymous:
        ada, ben = await person(app, "Ada"), await person(app, "Ben")
        await tokens_of(anonymous, "Ben")
        pairs = [await tokens_of(anonymous, "Ada") for _ in range(5)]
        answers = [await refresh(anonymous, pair["refresh_token"]) for pair in pairs]
    assert [answer.status_code for answer in answers] == [401, 401, 200, 200, 200]
    live = select(Session.user_id).where(Session.revoked_at.is_(None))
    assert [row["user_id"] for row in await database.fetch_all(live)].count(ben.id) == 1
    assert [row["user_id"] for row in await database.fetch_all(live)].count(ada.id) == 3


async def test_expired_access_token_is_refused_cached_or_not(settings: Settings, database: Database) -> None:
    app = create_app(settings)
    async with app.router.lifespan_context(app), Api(app) as anonymous:
        ada = await person(app, "Ada")
        session = (await tokens_of(anonymous, "Ada"))["access_token"]
        claims = jwt.decode(session, options={"verify_signature": False})
        ring = app.state.services[Authentication].ring
        fresh, late = (
            with_token(app, issue_access_token(ring, ada.id, UUID(claims["sid"]), seconds))
            # Long enough for what follows, even where the machine has other things to do.
            for seconds in (4, LEEWAY * -1 + 4)
        )
        assert (await fresh.get("/auth/me")).status_code == 200
        with query_budget(app.state.services[Database], 1):
            assert (await fresh.get("/auth/me")).status_code == 200
        # Within the leeway for clocks that differ it holds, but is asked about anew.
        assert (await late.get("/auth/me")).status_code == 200
        with query_budget(app.state.services[Database], 2):
            assert (await late.get("/auth/me")).status_code == 200
        await asyncio.sleep(4.1)
        assert_problem(await late.get("/auth/me"), 401, "invalid_token")
        with query_budget(app.state.services[Database], 2):
            assert (await fresh.get("/auth/me")).status_code == 200


async def test_a_session_that_has_expired_ends_its_access_tokens(app: FastAPI, anonymous: Api, ada: User) -> None:
    async with await anonymous.as_(ada) as api:
        await app.state.services[Database].fetch_all(update(Session).values(expires_at=Session.created_at))
        assert_problem(await api.get("/auth/me"), 401, "invalid_token")


async def test_token_with_somebody_elses_session_is_refused(
    app: FastAPI, anonymous: Api, database: Database, ada: User
) -> None:
    ben = await person(app, "Ben")
    session = SessionFactory.build(user_id=ben.id)
    await store(database, session)
    for user_id, session_id in ((ada.id, session.id), (ben.id, uuid7())):
        token = app.state.services[Authentication].access_tokens.issue(user_id, session_id)
        async with with_token(app, token) as api:
            assert_problem(await api.get("/auth/me"), 401, "invalid_token")


OLD, NEW, NEWEST = ("an old secret of this service " * 2, "a new secret of this service " * 2, "the newest secret " * 3)


@asynccontextmanager
async def worker(settings: Settings, current: str, *previous: str) -> AsyncGenerator[FastAPI]:
    """The application with these secrets."""
    secrets = {"jwt_secret": SecretStr(current), "jwt_previous_secrets": tuple(map(SecretStr, previous))}
    app = create_app(settings.model_copy(update=secrets))
    async with app.router.lifespan_context(app):
        yield app


async def test_keys_rotate_without_logging_anyone_out(settings: Settings, database: Database) -> None:
    async with worker(settings, OLD) as before, Api(before) as anonymous:
        await person(before, "Ada")
        first = await tokens_of(anonymous, "Ada")
    async with worker(settings, NEW, OLD) as during, Api(during) as anonymous:
        async with with_token(during, first["access_token"]) as api:
            assert (await api.get("/auth/me")).status_code == 200
        second = (await refresh(anonymous, first["refresh_token"])).json()
    kids = [jwt.get_unverified_header(pair["access_token"])["kid"] for pair in (first, second)]
    assert kids[0] != kids[1]
    async with worker(settings, NEWEST, NEW) as after, Api(after) as anonymous:
        async with with_token(after, first["access_token"]) as api:
            assert_problem(await api.get("/auth/me"), 401, "invalid_token")
        assert_problem(await refresh(anonymous, first["refresh_token"]), 401, "invalid_refresh_token")
        async with with_token(after, second["access_token"]) as api:
            assert (await api.get("/auth/me")).status_code == 200
        assert (await refresh(anonymous, second["refresh_token"])).status_code == 200


async def test_access_token_names_user_session_and_key(
    app: FastAPI, anonymous: Api, settings: Settings, ada: User
) -> None:
    tokens = await tokens_of(anonymous, "Ada")
    header = jwt.get_unverified_header(tokens["access_token"])
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert header == {"alg": "HS256", "typ": "at+jwt", "kid": app.state.services[Authentication].ring.current_id}
    assert set(claims) == {"sub", "sid", "iat", "exp", "jti", "iss", "aud"}
    assert (claims["sub"], claims["iss"], claims["aud"]) == (str(ada.id), "taller", "taller")
    assert claims["exp"] - claims["iat"] == int(tokens["expires_in"]) == settings.access_token_lifetime


async def test_token_cannot_choose_algorithm_or_key(
    app: FastAPI, anonymous: Api, database: Database, ada: User
) -> None:
    ring = app.state.services[Authentication].ring
    good = (await tokens_of(anonymous, "Ada"))["access_token"]
    claims = jwt.decode(good, options={"verify_signature": False})
    header = {"kid": ring.current_id, "typ": "at+jwt"}
    forged = [
        jwt.encode(claims, "", "none", headers=header),
        jwt.encode(claims, ring.current + ring.current, "HS512", headers=header),
        jwt.encode(claims, "another secret that is long enough", "HS256", headers=header),
        jwt.encode(claims, ring.current, "HS256"),
        jwt.encode(claims, ring.current, "HS256", headers={"kid": "000000000000"}),
        *(
            jwt.encode(
                {name: value for name, value in claims.items() if name != left_out}, ring.current, headers=header
            )
            for left_out in claims
        ),
        *(
            jwt.encode({**claims, **change}, ring.current, headers=header)
            for change in ({"aud": "other"}, {"iss": "other"}, {"sid": "x"}, {"sub": "x"}, {"exp": 1}, {"iat": 2**40})
        ),
    ]
    with query_budget(database, 0):
        for token in forged:
            async with with_token(app, token) as api:
                assert_problem(await api.get("/auth/me"), 401, "invalid_token")
    again = jwt.encode(claims, ring.current, "HS256", headers=header)
    async with with_token(app, again) as api:
        assert (await api.get("/auth/me")).status_code == 200


async def test_a_sign_in_costs_four_statements(app: FastAPI, anonymous: Api, database: Database, ada: User) -> None:
    with query_budget(database, 4):
        assert (await sign_in(anonymous, "Ada")).status_code == 200
