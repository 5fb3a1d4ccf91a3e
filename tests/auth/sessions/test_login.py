"""Signing in by username and password."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from time import perf_counter, thread_time
from typing import Any
from unicodedata import normalize

import pytest
from fastapi import FastAPI
from fastapi_users.password import PasswordHelper
from httpx2 import Response

from app.auth.manager import Authentication
from app.auth.models import User
from app.auth.passwords import Passwords
from app.auth.queries import login_by_id
from app.core.config import Settings
from app.core.database.database import Database
from app.main import create_app
from tests.auth.factories import UserFactory
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.support.samples import JSON, MARKER

PASSWORD = "correct horse"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="session")
async def hashed(settings: Settings) -> str:
    return await Passwords(settings).hash(PASSWORD)


@pytest.fixture
async def ada(database: Database, hashed: str) -> User:
    user = UserFactory.build(username="Ada", email="ada@example.org", hashed_password=hashed)
    await store(database, user)
    return user


async def sign_in(api: Api, username: str, password: str = PASSWORD, address: str = "/auth/login") -> Response:
    return await api.post(address, json={"username": username, "password": password})


@pytest.mark.parametrize("kind", ["json", "data"])
async def test_json_and_form_give_a_token_that_works(
    anonymous: Api, app: FastAPI, settings: Settings, ada: User, kind: str
) -> None:
    extra = {} if kind == "json" else {"grant_type": "password", "scope": "", "client_id": "x", "client_secret": "y"}
    answer = await anonymous.post("/auth/login", **{kind: {"username": "Ada", "password": PASSWORD, **extra}})
    assert answer.status_code == 200
    token = answer.json()
    assert token == {
        "access_token": token["access_token"],
        "token_type": "bearer",
        "expires_in": settings.access_token_lifetime,
        "refresh_token": token["refresh_token"],
    }
    async with Api(app, {"Authorization": f"Bearer {token['access_token']}"}) as api:
        assert (await api.get("/auth/me")).json()["id"] == str(ada.id)


async def test_me_is_the_caller_without_a_hash(anonymous: Api, ada: User) -> None:
    async with await anonymous.as_(ada) as api:
        answer = await api.get("/auth/me")
    me = answer.json()
    assert me.pop("signed_in_by")["method"] == "session"
    assert me == {
        "id": str(ada.id),
        "username": "Ada",
        "email": "ada@example.org",
        "is_active": True,
        "is_superuser": False,
        "created_at": ada.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert "hash" not in answer.text
    assert "argon2" not in answer.text


@pytest.mark.parametrize("username", ["ada", "ADA", "aDa", "ada ", " Ada", "\u00a0ADA\u3000"])
async def test_neither_case_nor_blanks_around_a_username_matter(anonymous: Api, ada: User, username: str) -> None:
    assert (await sign_in(anonymous, username)).status_code == 200


@pytest.mark.parametrize(
    "username", ["ada@example.org", "A da", "Ad", "Ada%", "_da", "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a10"]
)
async def test_nothing_but_the_username_is_a_username(anonymous: Api, ada: User, username: str) -> None:
    assert_problem(await sign_in(anonymous, username), 401, "invalid_credentials")


@pytest.mark.parametrize("password", [PASSWORD.upper(), PASSWORD + " ", PASSWORD[:-1], "x"])
async def test_nothing_but_the_password_is_the_password(anonymous: Api, ada: User, password: str) -> None:
    assert_problem(await sign_in(anonymous, "Ada", password), 401, "invalid_credentials")


async def test_wrong_password_and_unknown_or_inactive_user_answer_alike(
    anonymous: Api, database: Database, ada: User, hashed: str
) -> None:
    await store(database, UserFactory.build(username="gone", hashed_password=hashed, is_active=False))
    answers = [
        await sign_in(anonymous, "Ada", "wrong"),
        await sign_in(anonymous, "nobody"),
        await sign_in(anonymous, "gone"),
    ]
    problems = [assert_problem(answer, 401, "invalid_credentials") for answer in answers]
    for problem in problems:
        problem.pop("request_id")
    assert problems[0] == problems[1] == problems[2]
    assert [answer.headers["www-authenticate"] for answer in answers] == ["Bearer"] * 3


@pytest.fixture(scope="module")
async def slow_app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with the password parameters that it has unless told otherwise."""
    real = Settings(_env_file=None, database_url=settings.database_url, pgbouncer=settings.pgbouncer)
    assert (real.argon2_time_cost, real.argon2_memory_cost) == (2, 19456)
    app = create_app(real)
    async with app.router.lifespan_context(app):
        yield app


async def test_wrong_password_and_unknown_user_take_equal_time(slow_app: FastAPI, database: Database) -> None:
    hashed = await slow_app.state.services[Authentication].passwords.hash(PASSWORD)
    await store(
        database,
        UserFactory.build(username="Ada", hashed_password=hashed),
        UserFactory.build(username="gone", hashed_password=hashed, is_active=False),
        UserFactory.build(username="robot", hashed_password="none"),
    )
    seconds: dict[str, list[float]] = {"Ada": [], "nobody": [], "gone": [], "robot": []}
    async with Api(slow_app) as api:
        for _ in range(7):
            for username, times in seconds.items():
                started = perf_counter()
                answer = await sign_in(api, username, "wrong")
                times.append(perf_counter() - started)
                assert answer.status_code == 401
    medians = {username: statistics.median(times) for username, times in seconds.items()}
    # Without the hash for show, an unknown name would be answered ten times faster.
    assert max(medians.values()) < 2.5 * min(medians.values()), medians


@pytest.mark.slow
async def test_logins_do_not_stall_other_requests(settings: Settings, database: Database) -> None:
    # Each hash takes long enough that hashing on the event loop could not be missed.
    slow = settings.model_copy(update={"argon2_time_cost": 6, "argon2_memory_cost": 65536, "password_timeout": 60})
    app = create_app(slow)
    async with app.router.lifespan_context(app), Api(app) as api:
        # What this thread itself has worked, whatever else the machine is busy with.
        started = thread_time()
        hashed = app.state.services[Authentication].passwords.helper.hash(PASSWORD)
        alone = thread_time() - started
        await store(database, UserFactory.build(username="Ada", hashed_password=hashed))
        logins = asyncio.gather(*(sign_in(api, "Ada") for _ in range(4)))
        gaps = []
        while not logins.done():
            started = thread_time()
            assert (await api.get("/health/live")).status_code == 200
            await asyncio.sleep(0.001)
            gaps.append(thread_time() - started)
        assert {answer.status_code for answer in await logins} == {200}
    assert len(gaps) > 20
    assert max(gaps) < alone / 2, f"{max(gaps):.3f} s beside hashes of {alone:.3f} s"


async def test_hash_with_old_parameters_is_replaced_at_sign_in(
    anonymous: Api, database: Database, settings: Settings
) -> None:
    old = await Passwords(settings.model_copy(update={"argon2_memory_cost": 16})).hash(PASSWORD)
    user = UserFactory.build(username="Ada", hashed_password=old)
    await store(database, user)

    async def stored() -> str:
        row = await database.fetch_one_or_none(login_by_id(), {"user_id": user.id})
        assert row is not None
        hashed: str = row["hashed_password"]
        return hashed

    assert_problem(await sign_in(anonymous, "Ada", "wrong"), 401, "invalid_credentials")
    assert await stored() == old
    # Count the attempt, read the account, keep the new hash, begin the session, refund the attempt.
    with query_budget(database, 5):
        assert (await sign_in(anonymous, "Ada")).status_code == 200
    new = await stored()
    assert "m=16," in old
    assert "m=8," in new
    with query_budget(database, 4):
        assert (await sign_in(anonymous, "Ada")).status_code == 200
    assert await stored() == new


@pytest.mark.parametrize(
    "stored",
    [
        "none",
        "!",
        "$argon2id$",
        "$argon2id$v=19$m=8,t=1,p=1$",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA",
        "1234",
        "$2b$12$x",
    ],
)
async def test_invalid_stored_hash_is_401(anonymous: Api, database: Database, stored: str) -> None:
    await store(database, UserFactory.build(username="Ada", hashed_password=stored))
    for password in (PASSWORD, stored):
        assert_problem(await sign_in(anonymous, "Ada", password), 401, "invalid_credentials")


BAD_CREDENTIALS: list[tuple[Any, str, str]] = [
    ({"username": "Ada"}, "/password", "missing"),
    ({"password": MARKER}, "/username", "missing"),
    ({"username": "", "password": MARKER}, "/username", "string_too_short"),
    ({"username": "Ada", "password": ""}, "/password", "string_too_short"),
    ({"username": MARKER + "x" * 320, "password": MARKER}, "/username", "string_too_long"),
    ({"username": "Ada", "password": MARKER + "x" * 256}, "/password", "string_too_long"),
    ({"username": "Ada\0", "password": MARKER}, "/username", "nul_character"),
    ({"username": "Ada", "password": MARKER + "\0"}, "/password", "nul_character"),
    ({"username": "Ada", "password": MARKER, "remember": MARKER}, "/remember", "unknown"),
]


@pytest.mark.parametrize("kind", ["json", "data"])
@pytest.mark.parametrize(("credentials", "pointer", "code"), BAD_CREDENTIALS)
async def test_invalid_credentials_are_named(
    anonymous: Api, kind: str, credentials: dict[str, str], pointer: str, code: str
) -> None:
    answer = await anonymous.post("/auth/login", **{kind: credentials})
    problem = assert_problem(answer, 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    assert MARKER not in answer.text


@pytest.mark.parametrize("value", [1, True, None, [MARKER], {"a": MARKER}])
async def test_credentials_are_text(anonymous: Api, value: object) -> None:
    answer = await anonymous.post("/auth/login", json={"username": value, "password": value})
    problem = assert_problem(answer, 400, "invalid_request")
    assert {(error["pointer"], error["code"]) for error in problem["errors"]} == {
        ("/username", "string_type"),
        ("/password", "string_type"),
    }
    assert MARKER not in answer.text


async def test_body_that_is_no_json_object_is_refused(anonymous: Api) -> None:
    for body in (b"", f'{{"username": "{MARKER}"'.encode(), b"[" * 7_000, f'"{MARKER}\xff"'.encode("latin-1")):
        answer = await anonymous.post("/auth/login", content=body, headers=JSON)
        assert_problem(answer, 400, "invalid_json")
        assert MARKER not in answer.text
    for body in (b"null", f'["{MARKER}"]'.encode(), b"1"):
        answer = await anonymous.post("/auth/login", content=body, headers=JSON)
        assert [error["code"] for error in assert_problem(answer, 400, "invalid_request")["errors"]] == [
            "object_required"
        ]


@pytest.mark.parametrize("password", ['"\\ud800"', '"x\\udfff"'])
async def test_unpaired_surrogate_is_refused(anonymous: Api, password: str) -> None:
    body = f'{{"username": "Ada", "password": {password}}}'
    problem = assert_problem(await anonymous.post("/auth/login", content=body, headers=JSON), 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/password", "string_unicode")]


@pytest.mark.parametrize("body", [b"", b"%", b"&&&", b"\xff=\xff", b"username=%FF&password="])
async def test_a_broken_form_is_refused(anonymous: Api, body: bytes) -> None:
    assert_problem(await anonymous.post("/auth/login", content=body, headers=FORM), 400, "invalid_request")


async def test_a_form_of_very_many_fields_is_refused(anonymous: Api) -> None:
    body = "&".join(f"field{number}=1" for number in range(1000))
    answer = await anonymous.post("/auth/login", content=body, headers=FORM)
    assert_problem(answer, 400, "invalid_request")


async def _in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("headers", [JSON, FORM], ids=["json", "form"])
async def test_too_large_body_is_refused_declared_or_not(anonymous: Api, headers: dict[str, str]) -> None:
    body = b"username=" + b"x" * (1 << 20)
    for content in (body, _in_chunks(body)):
        answer = await anonymous.post("/auth/login", content=content, headers=headers)
        assert_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    "media_type", ["text/plain", "multipart/form-data; boundary=x", "application/merge-patch+json"]
)
async def test_another_media_type_is_refused(anonymous: Api, media_type: str) -> None:
    answer = await anonymous.post("/auth/login", content=b"{}", headers={"Content-Type": media_type})
    assert_problem(answer, 415, "unsupported_media_type")


async def test_token_in_the_query_is_refused(anonymous: Api) -> None:
    problem = assert_problem(await anonymous.get("/auth/me?access_token=x"), 401, "not_authenticated")
    assert "errors" not in problem


NFC, NFD = "contraseña larga", "contrasen\u0303a larga"


@pytest.mark.parametrize("sent", [NFC, NFD, NFC.replace(" ", "\u00a0"), NFD.replace(" ", "\u3000")], ids=ascii)
@pytest.mark.parametrize("chosen", [NFC, NFD, NFC.replace(" ", "\u2003")], ids=ascii)
async def test_password_matches_in_any_unicode_form(anonymous: Api, chosen: str, sent: str) -> None:
    # RFC 8265, OpaqueString.
    account = {"username": "Ana", "password": chosen}
    assert (await anonymous.post("/auth/register", json=account)).status_code == 201
    assert (await sign_in(anonymous, "Ana", sent)).status_code == 200
    for other in (NFC.upper(), "contrasena larga", sent + " "):
        assert_problem(await sign_in(anonymous, "Ana", other), 401, "invalid_credentials")


async def test_password_hashed_before_normalisation_works_and_is_rehashed(
    anonymous: Api, database: Database, settings: Settings
) -> None:
    old = Passwords(settings).helper.hash(NFD)
    await store(database, UserFactory.build(username="Ana", hashed_password=old))
    assert_problem(await sign_in(anonymous, "Ana", NFC), 401, "invalid_credentials")
    for sent in (NFD, NFC, NFD):
        assert (await sign_in(anonymous, "Ana", sent)).status_code == 200


class CountingHelper(PasswordHelper):
    """Counts what it hashes."""

    hashes = 0

    def hash(self, password: str) -> str:
        self.hashes += 1
        return super().hash(password)

    def verify_and_update(self, plain_password: str, hashed_password: str) -> tuple[bool, str | None]:
        self.hashes += 1
        return super().verify_and_update(plain_password, hashed_password)


@pytest.mark.parametrize(("password", "hashes"), [(PASSWORD + "x", 1), (NFC, 1), (NFD, 2)], ids=ascii)
async def test_unknown_name_costs_as_many_hashes_as_wrong_password(
    settings: Settings, hashed: str, password: str, hashes: int
) -> None:
    passwords = Passwords(settings)
    helper = passwords.helper = CountingHelper(passwords.helper.password_hash)
    assert await passwords.verify(password, hashed) == (False, None)
    assert helper.hashes == hashes
    await passwords.dummy_verify(password)
    assert helper.hashes == 2 * hashes


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("correct\u0007horse", "control_character"),
        ("e\u0301" * 7, "string_too_short"),
        ("\ufb2c" * 100, "string_too_long"),
        ("p@ssw0rd", "password_common"),
    ],
)
async def test_password_policy_applies_to_the_normalised_form(anonymous: Api, password: str, code: str) -> None:
    answer = await anonymous.post("/auth/register", json={"username": "Ana", "password": password})
    assert [error["code"] for error in assert_problem(answer, 400, "invalid_request")["errors"]] == [code]


async def test_the_longest_password_works_in_either_form(anonymous: Api) -> None:
    longest = "\u1f82" * 256
    assert (await anonymous.post("/auth/register", json={"username": "Ana", "password": longest})).status_code == 201
    assert (await sign_in(anonymous, "Ana", normalize("NFD", longest))).status_code == 200
    assert_problem(await sign_in(anonymous, "Ana", longest + "x"), 400, "invalid_request")
