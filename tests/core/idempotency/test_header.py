"""How the header `Idempotency-Key` may be written, and where it says something."""

from typing import Any

import pytest
from fastapi import Depends

from app.auth.access import SignedIn
from app.auth.models import User
from app.auth.scopes import ACCOUNT_WRITE
from app.core.config import Settings
from app.core.database.database import Database, DatabaseDep
from app.core.guards import Public
from app.core.http.routing import ApiRoute, SecretRoute
from app.main import create_app
from tests.auth.people import somebody
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.keys import REPLAYED, assert_replay, keyed
from tests.support.samples import number_of


async def test_quoted_and_bare_are_the_same_key(api: Api, database: Database) -> None:
    for bare, quoted in (("k-1", '"k-1"'), (r"a\b", r'"a\\b"'), ("x" * 255, f'"{"x" * 255}"'), ("!#~", ' "!#~" ')):
        first = await api.post("/projects/", json={"name": "Workshop"}, **keyed(bare))
        assert first.status_code == 201
        assert_replay(await api.post("/projects/", json={"name": "Workshop"}, **keyed(quoted)), first)
    for quoted in ('"a key, with; all"', r'"\""', '" "'):
        first = await api.post("/projects/", json={"name": "Workshop"}, **keyed(quoted))
        assert first.status_code == 201
        assert_replay(await api.post("/projects/", json={"name": "Workshop"}, **keyed(quoted)), first)
    assert await number_of(database, "projects") == 7


@pytest.mark.parametrize(
    "key",
    [
        "",
        '""',
        " ",
        "a b",
        "a,b",
        "a;b",
        'a"b',
        '"a',
        'a"',
        '"a"b"',
        '"a";p=1',
        '"a", "b"',
        r'"a\b"',
        "x" * 256,
        f'"{"x" * 256}"',
        "tab\there",
        '"tab\there"',
        "naïve",
        "\x7f",
    ],
    ids=ascii,
)
async def test_a_malformed_key_is_refused_by_name(api: Api, user: User, database: Database, key: str) -> None:
    path = f"/projects/{(await project_of(database, user, name='Before')).id}"
    problem = assert_problem(
        await api.patch(path, json={"name": "After"}, headers=[(b"Idempotency-Key", key.encode("latin-1"))]),
        400,
        "invalid_request",
    )
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [("Idempotency-Key", "malformed")]
    assert (await api.get(path)).json()["name"] == "Before"
    assert await number_of(database, "idempotency_keys") == 0


async def test_a_key_given_twice_is_refused(api: Api, database: Database) -> None:
    twice = [(b"Idempotency-Key", b"a"), (b"idempotency-key", b"a")]
    problem = assert_problem(
        await api.post("/projects/", json={"name": "Workshop"}, headers=twice), 400, "invalid_request"
    )
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [("Idempotency-Key", "repeated")]
    assert await number_of(database, "projects") == 0


async def test_a_malformed_key_tells_a_stranger_nothing(anonymous: Api, api: Api, database: Database) -> None:
    path = f"/projects/{(await project_of(database, await somebody(database))).id}"
    assert_problem(await anonymous.patch(path, json={"name": "x"}, **keyed("")), 401, "not_authenticated")
    assert_problem(await api.patch(path, json={"name": "x"}, **keyed("")), 404, "project_not_found")


async def test_where_repeating_is_harmless_anyway_the_header_says_nothing(
    api: Api, user: User, database: Database
) -> None:
    path = f"/projects/{(await project_of(database, user)).id}"
    for key in ("k-1", "not, a key"):
        for name in ("Garage", "Workshop"):
            answer = await api.put(path, json={"name": name}, **keyed(key))
            assert (answer.status_code, answer.json()["name"], REPLAYED in answer.headers) == (200, name, False)
        assert (await api.get(path, **keyed(key))).status_code == 200
    assert (await api.delete(path, **keyed())).status_code == 204
    assert_problem(await api.delete(path, **keyed()), 404, "project_not_found")
    assert await number_of(database, "idempotency_keys") == 0


async def work(database: DatabaseDep) -> None:
    """Done in the transaction that keeps the answer."""


@pytest.mark.parametrize(
    ("route_class", "guard", "accepts_idempotency_key"),
    [
        (ApiRoute, Depends(SignedIn(ACCOUNT_WRITE)), True),
        (SecretRoute, Depends(SignedIn(ACCOUNT_WRITE)), False),
        (ApiRoute, Public, False),
    ],
    ids=["ordinary", "answers with secrets", "for nobody in particular"],
)
def test_keys_are_accepted_by_authenticated_non_secret_operations(
    route_class: type[ApiRoute], guard: Any, accepts_idempotency_key: bool
) -> None:
    for method in ("POST", "PATCH", "PUT", "DELETE", "GET"):
        route = route_class("/api/v1/things/", work, methods=[method], dependencies=[guard])
        assert route.accepts_idempotency_key == (accepts_idempotency_key and method in {"POST", "PATCH"})


async def test_pages_of_other_origins_may_send_keys_and_see_replays(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"cors_origins": ("https://taller.test",)}))
    asks = {"Origin": "https://taller.test", "Access-Control-Request-Method": "POST"}
    async with Api(app) as api:
        wanted = {**asks, "Access-Control-Request-Headers": "Idempotency-Key"}
        assert (await api.request("OPTIONS", "/projects/", headers=wanted)).status_code == 200
        answer = await api.get("/health/live", headers={"Origin": "https://taller.test"})
    assert "Idempotent-Replayed" in answer.headers["access-control-expose-headers"].split(", ")
