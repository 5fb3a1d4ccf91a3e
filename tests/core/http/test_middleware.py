"""What every request gets, whatever it asks for: an id, a log line, safe headers."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.logging import JsonFormatter
from app.main import create_app
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.keys import keyed
from tests.support.samples import JSON

SECRET = "q7zx-secret"


class Lines:
    """What was logged, as it would be written."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        # The test's own client logs, too.
        return "".join(line for line in self.stream.getvalue().splitlines(True) if '"logger":"httpx' not in line)

    def access(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["logger"] == "taller.access"]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Everything that is logged meanwhile, from DEBUG on."""
    lines = Lines()
    handler = logging.StreamHandler(lines.stream)
    handler.setFormatter(JsonFormatter())
    root, access = logging.getLogger(), logging.getLogger("taller.access")
    levels = root.level, access.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    access.setLevel(logging.INFO)
    yield lines
    root.removeHandler(handler)
    root.setLevel(levels[0])
    access.setLevel(levels[1])


@pytest.mark.parametrize("given", ["a", "7", "req-1:2.3_4", "x" * 100])
async def test_request_id_is_kept_if_safe_to_log(anonymous: Api, given: str) -> None:
    answer = await anonymous.get("/nowhere", headers={"X-Request-ID": given})
    assert answer.headers.get_list("x-request-id") == [given]
    assert assert_problem(answer, 404, "not_found")["request_id"] == given


@pytest.mark.parametrize(
    "given", ["", " ", "a b", "a\tb", 'a"b', "a\\b", "<a>", "a\r\nb", "x" * 101, "é".encode(), b"\x00", b"\xff", "{a}"]
)
async def test_any_other_request_id_is_replaced_by_a_new_one(anonymous: Api, given: str | bytes, lines: Lines) -> None:
    value = given if isinstance(given, bytes) else given.encode()
    answer = await anonymous.get("/nowhere", headers=[(b"X-Request-ID", value)])
    assert UUID(answer.headers["x-request-id"]).version == 7
    assert lines.access()[0]["request_id"] == answer.headers["x-request-id"]


async def test_each_request_gets_an_id_of_its_own(anonymous: Api) -> None:
    ids = {(await anonymous.get("/health/live")).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


async def test_each_request_logs_one_line_with_its_route_template(
    api: Api, user: User, database: Database, lines: Lines
) -> None:
    project = await project_of(database, user)
    answer = await api.get(f"/projects/{project.id}/tasks/?size=7")
    (line,) = lines.access()
    named = {"time", "level", "logger", "message", "request_id", "method", "route", "status", "ms", "caller"}
    assert set(line) == named
    assert (line["method"], line["status"], line["level"]) == ("GET", 200, "info")
    assert line["caller"] == str(user.id)
    assert line["route"] == "/api/v1/projects/{project_id}/tasks/"
    assert line["request_id"] == answer.headers["x-request-id"]
    assert 0 < line["ms"] < 10_000
    assert str(project.id) not in json.dumps(line)


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "reason", "route"),
    [
        ("GET", "/nowhere", 404, "not_found", "There is nothing", None),
        ("DELETE", "/projects/", 405, "method_not_allowed", "", None),
        ("GET", "/projects/abc", 400, "invalid_request", "uuid_parsing", "/api/v1/projects/{project_id}"),
        ("GET", f"/tasks/?{SECRET}=1", 400, "invalid_request", "unknown", "/api/v1/tasks/"),
    ],
)
async def test_a_refusal_is_logged_with_its_code_and_reason(
    api: Api, lines: Lines, method: str, path: str, status: int, code: str, reason: str, route: str | None
) -> None:
    answer = await api.request(method, path)
    (line,) = lines.access()
    assert (line["status"], line["code"], line["route"]) == (status, code, route)
    assert line["reason"].startswith(reason)
    assert line["reason"] in {answer.json()["detail"], reason}
    assert SECRET not in lines.text


async def test_a_line_names_the_key_that_a_program_used(api: Api, lines: Lines) -> None:
    key = (await api.post("/auth/api-keys", json={"name": "x", "scopes": ["tasks:read"]})).json()
    async with api.with_key(key["secret"]) as program:
        await program.get("/tasks/")
        await program.delete("/auth/me")
    _, read, refused = lines.access()
    assert (read["caller"], "reason" in read) == (key["id"], False)
    assert (refused["caller"], refused["code"]) == (key["id"], "session_required")


@pytest.mark.parametrize(("level", "count"), [(logging.INFO, 1), (logging.DEBUG, 2)])
async def test_probes_are_logged_at_debug_unless_they_fail(
    anonymous: Api, lines: Lines, level: int, count: int
) -> None:
    logging.getLogger("taller.access").setLevel(level)
    await anonymous.get("/health/live")
    await anonymous.get("/health/live?x")
    written = lines.access()
    assert [line["level"] for line in written] == ["debug", "info"][-count:]
    assert written[-1]["code"] == "invalid_request"


async def test_the_client_is_named_where_that_is_set(settings: Settings, lines: Lines) -> None:
    for named in (False, True):
        async with Api(create_app(settings.model_copy(update={"log_client": named}))) as anonymous:
            await anonymous.get("/nowhere")
    assert [line.get("client") for line in lines.access()] == [None, "127.0.0.1"]


async def test_too_large_body_is_logged_like_any_error(anonymous: Api, lines: Lines) -> None:
    await anonymous.post("/auth/login", content=b"x" * 16_385, headers=JSON)
    (line,) = lines.access()
    assert (line["status"], line["code"]) == (413, "body_too_large")


async def test_nothing_secret_is_logged_at_any_level(anonymous: Api, database: Database, lines: Lines) -> None:
    await anonymous.post("/auth/login", json={"username": SECRET, "password": SECRET})
    await anonymous.post("/auth/login", data={"username": SECRET, "password": SECRET})
    await anonymous.post("/auth/login", json={"username": SECRET, "password": SECRET, "more": SECRET})
    await anonymous.get(f"/projects/?token={SECRET}", headers={"Authorization": f"Bearer {SECRET}", "Cookie": SECRET})
    await anonymous.get(f"/projects/{SECRET}/?page={SECRET}")
    assert len(lines.access()) == 5
    assert SECRET not in lines.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/auth/me", 401),
        ("DELETE", "/health/live", 405),
    ],
)
async def test_every_answer_has_the_headers_that_keep_browsers_safe(
    anonymous: Api, method: str, path: str, status: int
) -> None:
    answer = await anonymous.request(method, path)
    assert answer.status_code == status
    for name, value in {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
    }.items():
        assert answer.headers.get_list(name) == [value]
    assert "server" not in answer.headers


async def test_a_refused_size_has_them_too(anonymous: Api) -> None:
    answer = await anonymous.post("/auth/login", content=b"x" * 16_385, headers=JSON)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"] == assert_problem(answer, 413, "body_too_large")["request_id"]


async def test_replay_is_marked_in_the_log_without_its_key(api: Api, lines: Lines) -> None:
    for _ in range(2):
        assert (await api.post("/projects/", json={"name": "Workshop"}, **keyed(SECRET))).status_code == 201
    assert [line.get("replayed") for line in lines.access()] == [None, True]
    assert SECRET not in lines.text
