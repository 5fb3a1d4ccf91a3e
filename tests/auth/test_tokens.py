"""Access tokens: what holds, and what does not."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, update

from app.auth.models import User
from app.core.config import Settings
from app.core.database import Database
from app.core.ids import uuid7
from tests.support.client import Api, assert_problem
from tests.support.queries import query_budget

LATER = datetime.now(UTC) + timedelta(hours=1)


def part(value: object) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def claims(user: User, **changes: Any) -> dict[str, Any]:
    whole = {"sub": str(user.id), "aud": ["taller"], "iss": "taller", "exp": LATER, **changes}
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture
def secret(settings: Settings) -> str:
    return settings.jwt_secret.get_secret_value()


async def ask(app: FastAPI, token: str | bytes, scheme: bytes = b"Bearer") -> Any:
    token = token if isinstance(token, bytes) else token.encode()
    async with Api(app) as api:
        return await api.get("/auth/me", headers=[(b"Authorization", scheme + b" " + token)])


async def test_a_token_holds_for_the_promised_time_and_says_who_by_whom_and_for_whom(
    app: FastAPI, settings: Settings, secret: str, api: Api, user: User
) -> None:
    token = (await api.get("/auth/me")).request.headers["authorization"].removeprefix("Bearer ")
    said = jwt.decode(token, secret, algorithms=["HS256"], audience="taller", issuer="taller")
    assert said["sub"] == str(user.id)
    assert set(said) == {"sub", "aud", "iss", "exp"}
    left = datetime.fromtimestamp(said["exp"], UTC) - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(seconds=settings.access_token_lifetime)
    assert (await ask(app, jwt.encode(claims(user), secret))).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": datetime.now(UTC) - timedelta(seconds=1)},
        {"exp": "soon"},
        {"nbf": LATER},
        {"aud": ["somebody else"]},
        {"aud": None},
        {"sub": None},
        {"sub": "admin"},
        {"sub": ""},
        {"sub": str(uuid7())},
        {"sub": "00000000-0000-0000-0000-000000000000"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_token_of_ours_that_says_something_else_does_not_hold(
    app: FastAPI, user: User, secret: str, changes: dict[str, Any]
) -> None:
    answer = await ask(app, jwt.encode(claims(user, **changes), secret))
    assert_problem(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_forged_token_does_not_hold_and_costs_no_statement(
    app: FastAPI, user: User, secret: str, database: Database
) -> None:
    good = jwt.encode(claims(user), secret)
    header, body, signature = good.split(".")
    longer = part({"alg": "HS512", "typ": "JWT"})
    forged = [
        jwt.encode(claims(user), "another secret that is long enough, too"),
        f"{longer}.{body}.{part(hmac.digest(secret.encode(), f'{longer}.{body}'.encode(), 'sha512'))}",
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        f"{part({'alg': 'None', 'typ': 'JWT'})}.{body}.{signature}",
        f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{body}.{signature}",
        f"{part({'alg': 'HS256', 'crit': ['x'], 'typ': 'JWT'})}.{body}.{signature}",
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
async def test_bytes_that_are_no_token_do_not_hold(app: FastAPI, database: Database, token: bytes) -> None:
    assert_problem(await ask(app, token), 401, "invalid_token")


@pytest.mark.parametrize("scheme", [b"Basic", b"Token", b"Digest", b""])
async def test_another_scheme_is_no_token(app: FastAPI, user: User, secret: str, scheme: bytes) -> None:
    answer = await ask(app, jwt.encode(claims(user), secret), scheme)
    assert_problem(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_no_token_at_all_is_asked_for(anonymous: Api) -> None:
    answer = await anonymous.get("/auth/me")
    assert_problem(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_scheme_may_be_written_in_any_case(app: FastAPI, user: User, secret: str) -> None:
    assert (await ask(app, jwt.encode(claims(user), secret), b"bEARER")).status_code == 200


async def test_a_token_ends_with_its_persons_account(api: Api, user: User, database: Database) -> None:
    assert (await api.get("/auth/me")).status_code == 200
    await database.rows(update(User).where(User.id == user.id).values(is_active=False))
    assert_problem(await api.get("/auth/me"), 401, "invalid_token")
    await database.rows(update(User).where(User.id == user.id).values(is_active=True))
    assert (await api.get("/auth/me")).status_code == 200
    await database.rows(delete(User).where(User.id == user.id))
    assert_problem(await api.get("/auth/me"), 401, "invalid_token")


async def test_every_operation_but_login_health_and_documentation_wants_a_token(anonymous: Api, app: FastAPI) -> None:
    open_to_all = {"login", "read_liveness", "read_readiness", "read_problem_kind"}
    asked = 0
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            if operation["operationId"] in open_to_all:
                continue
            address = path.format(project_id=uuid7(), task_id=uuid7())
            assert_problem(await anonymous.request(method.upper(), address), 401, "not_authenticated")
            asked += 1
    assert asked >= 13
