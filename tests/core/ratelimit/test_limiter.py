"""How many requests a caller may send: told with every answer, counted once each, refused before they cost anything."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from fastapi import FastAPI
from httpx2 import Response
from sqlalchemy import text

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.guards import DEFAULT
from app.main import create_app
from tests.auth.factories import UserFactory
from tests.auth.people import PASSWORD, key_of, person, sign_in
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem, bearer_of
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.support.samples import JSON

# Windows begin at the same moment for all callers: these end once a day, and so never in the middle of a test.
DAY = 86_400
HERE, THERE = "192.0.2.1", "192.0.2.2"
NOBODYS = "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11"


def left(answer: Response, policy: str = DEFAULT) -> int:
    """How many requests the answer says are left."""
    assert re.fullmatch(rf'"{policy}";q=\d+;w=\d+', answer.headers["ratelimit-policy"])
    found = re.fullmatch(rf'"{policy}";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert found is not None, answer.headers["ratelimit"]
    assert 0 < int(found[2]) <= int(answer.headers["ratelimit-policy"].rpartition("=")[2])
    return int(found[1])


def assert_refused(answer: Response, policy: str = DEFAULT) -> None:
    """Too many requests by this policy, and when to come again."""
    assert_problem(answer, 429, "too_many_requests")
    assert left(answer, policy) == 0
    # Not earlier than the moment from which there are requests left again.
    assert int(answer.headers["retry-after"]) >= int(answer.headers["ratelimit"].rpartition("=")[2])
    assert f"in {answer.headers['retry-after']} seconds" in answer.json()["detail"]


@pytest.fixture
async def limited(settings: Settings, database: Database) -> AsyncIterator[FastAPI]:
    """Twenty requests for each caller, three attempts for each address."""
    limits = {"rate_limit": f"20/{DAY}", "rate_limit_login": f"3/{DAY}"}
    app = create_app(settings.model_copy(update=limits))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def here(limited: FastAPI, stack: AsyncExitStack) -> Api:
    """Nobody in particular, from one address."""
    return await stack.enter_async_context(Api(limited, address=HERE))


@pytest.fixture
async def caller(limited: FastAPI, stack: AsyncExitStack, here: Api, user: User) -> Api:
    """Somebody who was seen before."""
    api = await stack.enter_async_context(await here.as_(user))
    assert left(await api.get("/projects/")) == 19
    return api


async def spend(api: Api, path: str = "/docs/docs.js") -> None:
    """Ask until nothing is left."""
    for _ in range(21):
        answer = await api.get(path)
        if answer.status_code == 429:
            return
    raise AssertionError("never refused")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/problems/not_found", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/projects/", 405),
        ("GET", "/projects/", 401),
        ("GET", "/projects/?wrong=1", 401),
        ("GET", "/problems/not_found?wrong=1", 400),
    ],
)
async def test_every_answer_to_nobody_counts_for_the_address(here: Api, method: str, path: str, status: int) -> None:
    for remaining in (19, 18):
        answer = await here.request(method, path)
        assert (answer.status_code, left(answer)) == (status, remaining)
        assert answer.headers["ratelimit-policy"] == f'"default";q=20;w={DAY}'
        for name in ("ratelimit", "ratelimit-policy"):
            assert len(answer.headers.get_list(name)) == 1


async def test_a_body_that_is_too_large_counts_too(caller: Api) -> None:
    for remaining in (18, 17):
        answer = await caller.post("/projects/", content=b"x" * ((1 << 20) + 1), headers=JSON)
        assert (answer.status_code, left(answer)) == (413, remaining)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/projects/", None, 200),
        ("POST", "/projects/", b'{"name": "Workshop"}', 201),
        ("POST", "/projects/", b'{"name": 7}', 400),
        ("POST", "/projects/", b"{", 400),
        ("POST", "/projects/", None, 400),
        ("GET", "/projects/?wrong=1", None, 400),
        ("GET", "/projects/?page=0", None, 400),
        ("GET", "/projects/abc", None, 400),
        ("GET", f"/projects/{NOBODYS}", None, 404),
        ("GET", f"/projects/{NOBODYS}?wrong=1", None, 404),
        ("GET", "/users/", None, 403),
        ("GET", "/users/?wrong=1", None, 403),
        ("HEAD", "/projects/", None, 200),
    ],
)
async def test_every_answer_to_somebody_counts_once_for_them(
    caller: Api, here: Api, method: str, path: str, body: bytes | None, status: int
) -> None:
    headers = {"Content-Type": "application/json"} if body is not None or method == "POST" else {}
    for remaining in (18, 17):
        answer = await caller.request(method, path, content=body, headers=headers)
        assert (answer.status_code, left(answer)) == (status, remaining)
    assert left(await here.get("/docs")) == 19


async def test_request_over_the_quota_is_429_with_retry_after(caller: Api) -> None:
    remaining = [left(await caller.get("/projects/")) for _ in range(19)]
    assert remaining == list(range(18, -1, -1))
    for path in ("/projects/", "/projects/?wrong=1", "/auth/me"):
        assert_refused(await caller.get(path))


async def test_the_first_request_after_retry_after_is_served(settings: Settings, database: Database) -> None:
    app = create_app(settings.model_copy(update={"rate_limit": "3/2"}))
    async with app.router.lifespan_context(app), Api(app) as api:
        # From its beginning, so that the window does not end before it is spent. A little later, because the event loop
        # wakes up to a millisecond early, which would still be the window before.
        await asyncio.sleep(2.02 - time.time() % 2)
        answers = [await api.get("/docs") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert_refused(answers[-1])
        await asyncio.sleep(int(answers[-1].headers["retry-after"]))
        answer = await api.get("/docs")
        assert (answer.status_code, left(answer)) == (200, 2)


async def test_nobody_pays_for_another(
    limited: FastAPI, stack: AsyncExitStack, caller: Api, here: Api, user: User, database: Database
) -> None:
    await spend(caller, "/projects/")
    other = UserFactory.build()
    await store(database, other)
    _, secret = await key_of(limited, user)
    for api in (await here.as_(other), here.with_key(secret), Api(limited, address=THERE)):
        api = await stack.enter_async_context(api)  # noqa: PLW2901 - the same, to be closed
        assert (await api.get("/projects/")).status_code in {200, 401}
    # A new sign-in does not make another person of somebody.
    assert_refused(await (await stack.enter_async_context(await here.as_(user))).get("/projects/"))


async def test_a_token_that_is_none_counts_for_the_address(here: Api) -> None:
    for name, value in ((b"Authorization", b"Bearer x"), (b"X-API-Key", b"tlr_x"), (b"X-API-Key", b"\xe9")):
        assert (await here.get("/projects/", headers=[(name, value)])).status_code == 401
    both = {"Authorization": "Bearer x", "X-API-Key": "tlr_x"}
    assert (await here.get("/projects/", headers=both)).status_code == 400
    assert left(await here.get("/docs")) == 15


async def test_refusing_costs_no_statement(limited: FastAPI, caller: Api, here: Api, user: User) -> None:
    database: Database = limited.state.services[Database]
    await spend(caller, "/projects/")
    await spend(here)
    project = await project_of(database, user)
    with query_budget(database, 0):
        assert_refused(await caller.get(f"/projects/{project.id}"))
        assert_refused(await caller.put(f"/projects/{project.id}", json={"name": "x"}))
        assert_refused(await caller.put(f"/projects/{project.id}", json={"wrong": "x"}))
        assert_refused(await here.get("/projects/", headers={"Authorization": "Bearer x"}))
        assert_refused(await here.get("/nowhere"))


async def test_who_is_known_is_served_whatever_their_address_did(caller: Api, here: Api) -> None:
    await spend(here)
    assert (await caller.get("/projects/")).status_code == 200


async def test_signed_in_caller_is_served_from_an_exhausted_address(limited: FastAPI, here: Api, user: User) -> None:
    _, secret = await key_of(limited, user)
    _, revoked = await key_of(limited, user)
    await limited.state.services[Database].fetch_all(
        text("UPDATE api_keys SET revoked_at = now() WHERE secret_hash = sha256(cast(:secret AS bytea))"),
        {"secret": revoked.encode()},
    )
    await person(limited, "Ada")
    tokens = (await sign_in(here, "Ada")).json()
    await spend(here)
    for path in ("/auth/login", "/auth/register"):
        while (await here.post(path, json={})).status_code != 429:
            pass
    for headers in (await bearer_of(limited, user), {"X-API-Key": secret}):
        assert (await here.get("/projects/", headers=headers)).status_code == 200
    refreshed = await here.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert (refreshed.status_code, left(refreshed)) == (200, 19)
    assert_refused(await here.post("/auth/refresh", json={"refresh_token": "x"}), "login")
    assert_refused(await here.post("/auth/refresh", json={"wrong": "x"}), "login")
    assert_refused(await here.get("/projects/", headers={"X-API-Key": revoked}))


async def test_a_wildcard_is_not_given_back(here: Api, caller: Api) -> None:
    for api, path in ((here, "/openapi.json"), (caller, "/projects/")):
        before = left(await api.get(path))
        answer = await api.get(path, headers={"If-None-Match": "*"})
        assert (answer.status_code, left(answer)) == (304, before - 1)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs/docs.js"])
async def test_what_the_client_has_already_is_free(here: Api, path: str) -> None:
    first = await here.get(path)
    assert left(first) == 19
    for _ in range(30):
        answer = await here.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (answer.status_code, left(answer)) == (304, 19)
    assert left(await here.get(path)) == 18


async def test_probes_are_free_and_never_refused(here: Api) -> None:
    await spend(here)
    for path in ("/health/live", "/health/ready"):
        answer = await here.get(path)
        assert (answer.status_code, left(answer)) == (200, 0)


async def test_signing_in_has_a_stricter_policy_for_each_address(
    limited: FastAPI, stack: AsyncExitStack, here: Api
) -> None:
    await person(limited, "Ada")
    assert left(await sign_in(here, "Ada"), "login") == 2
    assert left(await here.post("/auth/refresh", json={"refresh_token": "x"}), "login") == 1
    assert left(await here.post("/auth/register", json={}), "login") == 0
    with query_budget(limited.state.services[Database], 0):
        for headers in ({}, {"Authorization": "Bearer x"}):
            answer = await here.post("/auth/login", json={"username": "Ada", "password": PASSWORD}, headers=headers)
            assert_refused(answer, "login")
    assert left(await here.get("/docs")) == 19
    there = await stack.enter_async_context(Api(limited, address=THERE))
    assert (await sign_in(there, "Ada")).status_code == 200


async def test_too_many_attempts_are_refused_in_the_same_words(settings: Settings, database: Database) -> None:
    limits = {"rate_limit_login": f"50/{DAY}", "login_failures_per_account": 1}
    app = create_app(settings.model_copy(update=limits))
    async with app.router.lifespan_context(app), Api(app) as api:
        assert left(await sign_in(api, "nobody"), "login") == 49
        answer = await sign_in(api, "nobody")
        assert_problem(answer, 429, "too_many_attempts")
        assert left(answer, "login") == 48
        assert int(answer.headers["retry-after"]) > 0
        # No policy is set for the others.
        assert "ratelimit" not in (await api.get("/docs")).headers


async def test_where_no_limit_is_set_nothing_is_said_or_counted(api: Api, database: Database) -> None:
    for path in ("/docs", "/projects/", "/nowhere"):
        assert not {"ratelimit", "ratelimit-policy"} & set((await api.get(path)).headers)
    assert await database.fetch_all(text("SELECT FROM rate_counts")) == []


async def test_a_page_of_another_origin_can_read_the_headers(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit": "9/60", "cors_origins": ("http://page.test",)}))
    async with app.router.lifespan_context(app), Api(app, {"Origin": "http://page.test"}) as api:
        exposed = (await api.get("/docs")).headers["access-control-expose-headers"]
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed.split(", "))
