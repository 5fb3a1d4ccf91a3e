"""Who calls is known before a byte of the body is read, and no more of it is read than may be."""

import json
import re
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.guards import guards_of
from app.features import ROUTERS
from app.main import create_app
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem, bearer_of
from tests.support.samples import JSON

BODIES = [route for router in ROUTERS for route in router.routes if route.accepts]
GUARDED = [route for route in BODIES if any(guard.security for guard in guards_of(route))]
NOBODY = "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11"


def address_of(route: APIRoute) -> tuple[str, str]:
    """The method and a path of an operation."""
    return min(route.methods or ()), re.sub(r"\{\w+\}", NOBODY, route.path)


class CountedRequest:
    """A request as the server hands it over, which counts how much of its body is asked for."""

    def __init__(self, app: FastAPI, chunks: Iterator[bytes]) -> None:
        self._app, self._chunks = app, chunks
        self.chunks_read = 0

    async def send(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The status and the problem of the answer."""
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            self.chunks_read += 1
            return {"type": "http.request", "body": next(self._chunks), "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "root_path": "",
            "query_string": b"",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "client": ("127.0.0.1", 1),
            "headers": [(name.lower().encode(), value.encode()) for name, value in (JSON | headers).items()],
        }
        await self._app(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.name)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"X-API-Key": "tlr_x"}], ids=str)
async def test_the_body_of_somebody_unknown_is_not_read(
    app: FastAPI, database: Database, route: APIRoute, headers: dict[str, str]
) -> None:
    request = CountedRequest(app, repeat(b"x"))
    status, _ = await request.send(*address_of(route), headers)
    assert (status, request.chunks_read) == (401, 0)


async def test_closed_registration_refuses_before_the_body(settings: Settings, database: Database) -> None:
    app = create_app(settings.model_copy(update={"registration": "closed"}))
    async with app.router.lifespan_context(app):
        request = CountedRequest(app, repeat(b"x"))
        status, problem = await request.send("POST", "/auth/register", {})
    assert (status, problem["code"], request.chunks_read) == (403, "registration_closed", 0)


async def test_key_without_permission_is_refused_before_the_body(api: Api, app: FastAPI) -> None:
    key = (await api.post("/auth/api-keys", json={"name": "k", "scopes": ["tasks:read"]})).json()["secret"]
    for path, code in (("/projects/", "insufficient_scope"), ("/auth/api-keys", "session_required")):
        request = CountedRequest(app, repeat(b"x"))
        status, problem = await request.send("POST", path, {"X-API-Key": key})
        assert (status, problem["code"], request.chunks_read) == (403, code, 0)


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register", "/auth/refresh"])
async def test_a_small_bound_holds_where_anybody_may_send_something(
    app: FastAPI, database: Database, path: str
) -> None:
    for headers, chunks in (({"Content-Length": "16385"}, 0), ({"Transfer-Encoding": "chunked"}, 17)):
        request = CountedRequest(app, repeat(b" " * 1_024))
        status, problem = await request.send("POST", path, headers)
        assert (status, problem["code"], request.chunks_read) == (413, "body_too_large", chunks)


@pytest.mark.parametrize(
    ("path", "piece"), [("/projects/", 8_192), ("/projects/{}/tasks/batch", 65_536)], ids=["any", "batch"]
)
async def test_no_more_of_a_body_is_read_than_may_be(
    app: FastAPI, database: Database, user: User, path: str, piece: int
) -> None:
    signed_in = await bearer_of(app, user)
    path = path.format((await project_of(database, user)).id)
    for headers, chunks in (
        ({"Content-Length": str(16 * piece + 1)}, 0),
        ({"Transfer-Encoding": "chunked"}, 17),
        # What was declared does not bind.
        ({"Transfer-Encoding": "chunked", "Content-Length": "2"}, 17),
    ):
        request = CountedRequest(app, repeat(b" " * piece))
        status, problem = await request.send("POST", path, signed_in | headers)
        assert (status, problem["code"], request.chunks_read) == (413, "body_too_large", chunks)


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x"])
@pytest.mark.parametrize("path", ["/projects/", "/auth/login"])
async def test_a_coded_body_is_refused_and_told_what_is_read(
    api: Api, app: FastAPI, user: User, path: str, coding: str
) -> None:
    answer = await api.post(path, content=b"\x1f\x8b", headers={**JSON, "Content-Encoding": coding})
    assert_problem(answer, 415, "unsupported_media_type")
    assert answer.headers["accept-encoding"] == "identity"


async def test_no_coding_may_be_said(api: Api) -> None:
    answer = await api.post("/projects/", json={"name": "Workshop"}, headers={"Content-Encoding": "Identity"})
    assert answer.status_code == 201


async def test_a_repeated_member_is_named_and_nothing_is_changed(api: Api, database: Database, user: User) -> None:
    project = await project_of(database, user)
    body = b'{"name": "a", "description": "b", "name": "c"}'
    problem = assert_problem(
        await api.patch(f"/projects/{project.id}", content=body, headers=JSON), 400, "invalid_request"
    )
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/name", "repeated")]
    assert (await api.get(f"/projects/{project.id}")).json()["name"] == project.name


async def test_malformed_form_or_repeated_field_is_refused(anonymous: Api) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"username=\xff&password=x", b"username=%FF&password=x", b"a=&" * 30, b"username=a&username=b"):
        assert_problem(await anonymous.post("/auth/login", content=body, headers=form), 400, "invalid_request")
