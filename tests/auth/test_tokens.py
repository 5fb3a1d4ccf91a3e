"""Access tokens: what holds, and what does not."""

import asyncio
import base64
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from app.auth.manager import Authentication
from app.auth.models import Session, User
from app.auth.tokens import LEEWAY
from app.core.config import Settings
from app.core.database.database import Database
from app.core.ids import uuid7
from app.core.signing import KeyRing
from app.main import create_app
from tests.auth.factories import SessionFactory
from tests.auth.people import person, tokens_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget

LATER = datetime.now(UTC) + timedelta(hours=1)


def part(value: object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def claims(session: Session, **changes: Any) -> dict[str, Any]:
    whole = {
        "sub": str(session.user_id),
        "sid": str(session.id),
        "iat": datetime.now(UTC),
        "exp": LATER,
        "jti": str(uuid7()),
        "iss": "taller",
        "aud": "taller",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture
def secret(settings: Settings) -> str:
    return settings.jwt_secret.get_secret_value()


@pytest.fixture
def key_id(settings: Settings) -> dict[str, str]:
    return {"kid": KeyRing(settings).current_id}


@pytest.fixture
async def session(database: Database, user: User) -> Session:
    session = SessionFactory.build(user_id=user.id)
    await store(database, session)
    return session


async def ask(app: FastAPI, token: str | bytes, scheme: bytes = b"Bearer") -> Any:
    token = token if isinstance(token, bytes) else token.encode()
    async with Api(app) as api:
        return await api.get("/auth/me", headers=[(b"Authorization", scheme + b" " + token)])


async def test_access_token_has_lifetime_issuer_and_audience(
    app: FastAPI, settings: Settings, secret: str, key_id: dict[str, str], session: Session, user: User
) -> None:
    token = app.state.services[Authentication].access_tokens.issue(user.id, session.id)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "at+jwt", **key_id}
    said = jwt.decode(token, secret, algorithms=["HS256"], audience="taller", issuer="taller")
    assert said["sub"] == str(user.id)
    assert set(said) == {"sub", "sid", "iat", "exp", "jti", "iss", "aud"}
    assert said["sid"] == str(session.id)
    left = datetime.fromtimestamp(said["exp"], UTC) - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(seconds=settings.access_token_lifetime)
    assert (await ask(app, jwt.encode(claims(session), secret, headers=key_id))).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": datetime.now(UTC) - timedelta(seconds=LEEWAY + 1)},
        {"exp": "soon"},
        {"nbf": LATER},
        {"aud": ["somebody else"]},
        {"aud": None},
        {"iss": "somebody else"},
        {"iss": None},
        {"iat": None},
        {"exp": None},
        {"jti": None},
        {"sid": None},
        {"sid": "x"},
        {"sid": str(uuid7())},
        {"sub": None},
        {"sub": "admin"},
        {"sub": ""},
        {"sub": str(uuid7())},
        {"sub": "00000000-0000-0000-0000-000000000000"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_signed_token_with_wrong_claims_is_refused(
    app: FastAPI, session: Session, secret: str, key_id: dict[str, str], changes: dict[str, Any]
) -> None:
    answer = await ask(app, jwt.encode(claims(session, **changes), secret, headers=key_id))
    assert_problem(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_forged_token_does_not_hold_and_costs_no_statement(
    app: FastAPI, user: User, session: Session, secret: str, key_id: dict[str, str], database: Database
) -> None:
    good = jwt.encode(claims(session), secret, headers=key_id)
    header, body, signature = good.split(".")
    longer = part({"alg": "HS512", "typ": "at+jwt", **key_id})
    forged = [
        jwt.encode(claims(session), "another secret that is long enough, too", headers=key_id),
        jwt.encode(claims(session), secret),
        jwt.encode(claims(session), secret, headers={"kid": "0123456789ab"}),
        f"{longer}.{body}.{part(hmac.digest(secret.encode(), f'{longer}.{body}'.encode(), 'sha512'))}",
        f"{part({'alg': 'none', 'typ': 'at+jwt', **key_id})}.{body}.",
        f"{part({'alg': 'None', 'typ': 'at+jwt', **key_id})}.{body}.{signature}",
        f"{part({'alg': 'RS256', 'typ': 'at+jwt', **key_id})}.{body}.{signature}",
        f"{part({'alg': 'HS256', 'crit': ['x'], **key_id})}.{body}.{signature}",
        f"{header}.{part({'sub': str(user.id), 'aud': ['taller'], 'exp': 2**33})}.{signature}",
        f"{header}.{part([])}.{signature}",
        f"{header}.{body}.",
        f"{header}.{body}",
        good[:-1] + ("A" if good[-1] != "A" else "Q"),
        good[1:],
        good + ".x",
        "garbage",
        ".",
        "..",
        "a.b.c",
        "null",
        "x" * 5000,
    ]
    with query_budget(database, 0):
        for token in forged:
            answer = await ask(app, token)
            assert_problem(answer, 401, "invalid_token")
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert (await ask(app, good)).status_code == 200


@pytest.mark.parametrize("token", [b"\xff\xfe", b"\xc3\xa9.\xc3\xa9.\xc3\xa9", b"a\tb", b"%00"])
async def test_arbitrary_bytes_are_no_token(app: FastAPI, database: Database, token: bytes) -> None:
    assert_problem(await ask(app, token), 401, "invalid_token")


@pytest.mark.parametrize(("padding", "status"), [(100, 200), (1_000, 401), (40_000, 401)])
async def test_overlong_token_is_refused_without_decoding(
    app: FastAPI, session: Session, secret: str, key_id: dict[str, str], padding: int, status: int
) -> None:
    token = jwt.encode(claims(session, padding="x" * padding), secret, headers=key_id)
    assert (await ask(app, token)).status_code == status


@pytest.mark.parametrize("scheme", [b"Basic", b"Token", b"Digest", b""])
async def test_another_scheme_is_no_token(
    app: FastAPI, session: Session, secret: str, key_id: dict[str, str], scheme: bytes
) -> None:
    answer = await ask(app, jwt.encode(claims(session), secret, headers=key_id), scheme)
    assert_problem(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_missing_token_is_401_with_www_authenticate(anonymous: Api) -> None:
    answer = await anonymous.get("/auth/me")
    assert_problem(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_bearer_scheme_is_case_insensitive(
    app: FastAPI, session: Session, secret: str, key_id: dict[str, str]
) -> None:
    assert (await ask(app, jwt.encode(claims(session), secret, headers=key_id), b"bEARER")).status_code == 200


async def test_every_private_operation_requires_a_token(anonymous: Api, app: FastAPI) -> None:
    open_to_all = {"register", "login", "refresh_tokens", "read_liveness", "read_readiness", "read_problem_kind"}
    tried = 0
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            if operation["operationId"] in open_to_all:
                continue
            address = re.sub(r"{\w+}", str(uuid7()), path)
            assert_problem(await anonymous.request(method.upper(), address), 401, "not_authenticated")
            tried += 1
    assert tried >= 25


async def test_token_lifetime_does_not_exceed_its_session(settings: Settings, database: Database) -> None:
    longer = settings.model_copy(update={"access_token_lifetime": 86_400, "refresh_token_lifetime": 3_600})
    app = create_app(longer)
    async with app.router.lifespan_context(app), Api(app) as api:
        await person(app, "ada")
        tokens: dict[str, Any] = await tokens_of(api, "ada")
        assert tokens["expires_in"] == 3_600
        claims = app.state.services[Authentication].access_tokens.claims(tokens["access_token"])
        assert claims.expires_at - datetime.now(UTC).timestamp() <= 3_600


async def test_token_ends_with_its_session_cached_or_not(
    app: FastAPI, anonymous: Api, user: User, database: Database
) -> None:
    async with await anonymous.as_(user) as remembered, await anonymous.as_(user) as other:
        ends = datetime.now(UTC) + timedelta(seconds=0.5)
        await database.execute(update(Session).values(expires_at=ends))
        told = (await remembered.get("/auth/me")).json()["signed_in_by"]["expires_at"]
        assert datetime.fromisoformat(told) == ends
        await asyncio.sleep(0.6)
        for api in (remembered, other):
            assert_problem(await api.get("/auth/me"), 401, "invalid_token")
