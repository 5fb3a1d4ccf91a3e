"""The tables of docs/api/limits.md: the numbers are those of the code, and one more is refused as they say."""

import re
from typing import Any, NamedTuple

import pytest

from app.auth.api_keys.schemas import MAX_SCOPES
from app.auth.models import User
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.migrations import ROOT
from app.core.errors import AppError
from app.core.http.protocol import CHUNK_ALLOWANCE, MAX_HEAD_BYTES
from app.core.http.routing import MAX_PARAMETERS, MAX_QUERY_BYTES
from app.core.ids import uuid7
from app.core.json_body import MAX_MEMBERS as MAX_MEMBERS_OF_OBJECT
from app.core.json_body import MAX_OBJECTS
from app.core.listing.cursors import MAX_CURSOR_LENGTH
from app.core.listing.pagination import MAX_DEPTH, MAX_SIZE
from app.core.listing.params import MAX_QUERY_LENGTH, MAX_SORT_KEYS
from app.core.preconditions.headers import MAX_HEADER_BYTES
from app.labels.models import MAX_LABELS
from app.projects.service import MAX_MEMBERS
from app.tasks.batch.schemas import MAX_ANSWERED_BYTES, MAX_OPERATIONS
from app.tasks.models import MAX_LISTED
from app.tasks.schemas import MAX_PROJECTS
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem

PAGE = (ROOT / "docs" / "api" / "limits.md").read_text()


class Row(NamedTuple):
    """A line of a table."""

    what: str
    limit: str
    beyond: str


ROWS = {
    cells[0]: Row(*cells)
    for line in PAGE.splitlines()
    if line.startswith("| ")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
    if cells[0] != "what"
}
INPUT = PAGE[PAGE.index("## What a request may hold") : PAGE.index("## What one may have")]

WRITTEN = {
    what for what in ROWS if f"| {what} |" in INPUT[INPUT.index("<!-- Written by") : INPUT.index("<!-- Up to here")]
}
"""Rows that `make docs` writes from the schemas, which decide."""

TOO_LONG, TOO_SHORT, TOO_MUCH = "string_too_long", "string_too_short", "less_than_equal"
PASSWORD = "correct horse battery"
LONG_ADDRESS = "x" * 64 + "@" + ("x" * 60 + ".") * 3 + "abc.org"

BEYOND: dict[str, list[tuple[str, str, Any, str]]] = {
    "a project's name": [
        ("POST", "/projects/", {"name": "x" * 201}, TOO_LONG),
        ("POST", "/projects/", {"name": ""}, TOO_SHORT),
        ("POST", "/projects/", {"name": " "}, "blank"),
    ],
    "a project's description": [("POST", "/projects/", {"name": "x", "description": "x" * 10_001}, TOO_LONG)],
    "a task's title": [
        ("POST", "/projects/{project}/tasks/", {"title": "x" * 501}, TOO_LONG),
        ("POST", "/projects/{project}/tasks/", {"title": ""}, TOO_SHORT),
        ("POST", "/projects/{project}/tasks/", {"title": "\n"}, "blank"),
    ],
    "a task's description": [
        ("POST", "/projects/{project}/tasks/", {"title": "x", "description": "x" * 10_001}, TOO_LONG)
    ],
    "a task's priority": [
        ("POST", "/projects/{project}/tasks/", {"title": "x", "priority": 2147483648}, TOO_MUCH),
        ("POST", "/projects/{project}/tasks/", {"title": "x", "priority": -2147483649}, "greater_than_equal"),
    ],
    "a username": [
        ("POST", "/auth/register", {"username": "x" * 33, "password": PASSWORD}, TOO_LONG),
        ("POST", "/auth/register", {"username": "xx", "password": PASSWORD}, TOO_SHORT),
        ("POST", "/auth/register", {"username": "x y", "password": PASSWORD}, "string_pattern_mismatch"),
    ],
    "an e-mail address": [
        (
            "POST",
            "/auth/register",
            {"username": "xyz", "password": PASSWORD, "email": f"{'x' * 249}@x.org"},
            TOO_LONG,
        )
    ],
    "a new password": [
        ("POST", "/auth/register", {"username": "xyz", "password": "x" * 257}, TOO_LONG),
        ("POST", "/auth/register", {"username": "xyz", "password": "x" * 7}, TOO_SHORT),
        ("POST", "/auth/register", {"username": "xyzxyzxyz", "password": "xyzxyzxyz"}, "password_is_username"),
        ("POST", "/auth/register", {"username": "xyz", "password": "password1"}, "password_common"),
    ],
    "a password to sign in with": [("POST", "/auth/login", {"username": "x", "password": "x" * 257}, TOO_LONG)],
    "a refresh token": [("POST", "/auth/refresh", {"refresh_token": "x" * 201}, TOO_LONG)],
    "an API key's name": [
        ("POST", "/auth/api-keys", {"name": "x" * 101, "scopes": ["tasks:read"]}, TOO_LONG),
        ("POST", "/auth/api-keys", {"name": "", "scopes": ["tasks:read"]}, TOO_SHORT),
    ],
    "an API key's scopes": [
        ("POST", "/auth/api-keys", {"name": "x", "scopes": ["tasks:read"] * 101}, "too_long"),
        ("POST", "/auth/api-keys", {"name": "x", "scopes": []}, "too_short"),
    ],
    "a page of a list": [
        ("GET", "/projects/?size=101", None, TOO_MUCH),
        ("GET", "/projects/?size=0", None, "greater_than_equal"),
    ],
    "a page's number": [
        ("GET", "/projects/?page=0", None, "greater_than_equal"),
    ],
    "the last row of a page by number": [("GET", "/projects/?page=201&size=50", None, "page_too_deep")],
    "a cursor": [("GET", "/projects/?cursor=" + "x" * 4609, None, TOO_LONG)],
    "what a list is sorted by": [
        ("GET", "/tasks/?sort=priority,due_date,created_at,title", None, "too_many_names"),
        ("GET", "/projects/?sort=" + ",".join(["name"] * 3_000), None, "too_many_names"),
        ("GET", "/tasks/?sort=", None, "unknown_name"),
    ],
    "what is searched for": [
        ("GET", "/tasks/?q=" + "x" * 201, None, TOO_LONG),
        ("GET", "/tasks/?q=", None, TOO_SHORT),
        ("GET", "/tasks/?q=%20", None, "blank"),
    ],
    "projects that a list of tasks is narrowed to": [
        ("GET", "/tasks/?" + "&".join([f"project_id={uuid7()}"] * 101), None, "too_long")
    ],
    "labels, and assignees, of a task": [
        ("POST", "/projects/{project}/tasks/", {"title": "x", name: [str(uuid7()) for _ in range(21)]}, "too_long")
        for name in ("label_ids", "assignee_ids")
    ],
    "labels, and people, by which a list of tasks is filtered": [
        ("GET", "/tasks/?" + "&".join([f"{name}={uuid7()}"] * 21), None, "too_long")
        for name in ("label_id", "assignee_id")
    ],
    "operations of a batch": [
        (
            "POST",
            "/projects/{project}/tasks/batch",
            {"operations": [{"op": "create", "task": {"title": "x"}}] * 501},
            "too_long",
        ),
        ("POST", "/projects/{project}/tasks/batch", {"operations": []}, "too_short"),
    ],
    "the body": [("POST", "/projects/", {"name": "x" * 131_072}, "")],
    "the body of a batch": [("POST", "/projects/{project}/tasks/batch", {"operations": "x" * 1_048_576}, "")],
    "the body under `/auth/` and `/users/`": [("POST", "/auth/login", {"username": "x" * 16_384}, "")],
    "members of one object in the body": [
        ("POST", "/projects/", {f"member {number}": 1 for number in range(33)}, "too_many_members")
    ],
    "objects in the body": [("POST", "/projects/", {"name": [{}] * 10_000}, "too_many_objects")],
    "the query string": [("GET", "/projects/?q=" + "x" * 16_383, None, "")],
    "parameters in it": [("GET", "/projects/?" + "size=1&" * 200, None, "")],
}

ELSEWHERE = {
    "the request line and the headers",
    "what is around the pieces of a chunked body",
    "`If-Match` or `If-None-Match`",
}
"""What only a real connection (`tests.core.http.test_protocol`) or headers (`tests.core.preconditions.test_headers`)
can try.
"""


def test_every_row_about_what_a_request_may_hold_is_tried() -> None:
    tried = set(BEYOND) | ELSEWHERE
    assert {what for what in ROWS if f"| {what} |" in INPUT} - WRITTEN == tried - WRITTEN


def test_every_text_of_the_schemas_has_its_row() -> None:
    assert {"a project's name", "a task's title", "a task's description", "an API key's name"} <= WRITTEN


@pytest.mark.parametrize(
    ("what", "method", "path", "body", "code"),
    [(what, *case) for what, cases in BEYOND.items() for case in cases],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
async def test_one_more_is_refused_as_the_page_says(
    api: Api, user: User, database: Database, what: str, method: str, path: str, body: Any, code: str
) -> None:
    project = await project_of(database, user)
    answer = await api.request(method, path.format(project=project.id), json=body)
    [(status, kind)] = re.findall(r"(\d+) `(\w+)`", ROWS[what].beyond)
    problem = assert_problem(answer, int(status), kind)
    assert [error["code"] for error in problem.get("errors", [])] == ([code] if code else [])


def test_the_numbers_are_those_of_the_code() -> None:
    numbers = {
        "members of a project": MAX_MEMBERS,
        "labels of a project": MAX_LABELS,
        "labels, and assignees, of a task": MAX_LISTED,
        "labels, and people, by which a list of tasks is filtered": MAX_LISTED,
        "labels, and assignees, of a task that are added one by one": MAX_LISTED,
        "a page of a list": MAX_SIZE,
        "the last row of a page by number": MAX_DEPTH,
        "a cursor": MAX_CURSOR_LENGTH,
        "operations of a batch": MAX_OPERATIONS,
        "descriptions with which a batch answers, besides those that it brings": MAX_ANSWERED_BYTES,
        "what a list is sorted by": MAX_SORT_KEYS,
        "what is searched for": MAX_QUERY_LENGTH,
        "projects that a list of tasks is narrowed to": MAX_PROJECTS,
        "an API key's scopes": MAX_SCOPES,
        "the request line and the headers": MAX_HEAD_BYTES,
        "what is around the pieces of a chunked body": CHUNK_ALLOWANCE,
        "members of one object in the body": MAX_MEMBERS_OF_OBJECT,
        "objects in the body": MAX_OBJECTS,
        "the query string": MAX_QUERY_BYTES,
        "parameters in it": MAX_PARAMETERS,
        "`If-Match` or `If-None-Match`": MAX_HEADER_BYTES,
    }
    for what, number in numbers.items():
        assert str(number) in re.findall(r"\d+", ROWS[what].limit), what


def test_the_settings_have_these_defaults() -> None:
    rates = Settings.model_construct(env="production").rate_limits
    defaults = {f"TALLER_{name.upper()}": [field.default] for name, field in Settings.model_fields.items()}
    defaults |= {"TALLER_RATE_LIMIT": [*rates["default"]], "TALLER_RATE_LIMIT_LOGIN": [*rates["login"]]}
    named = 0
    for row in ROWS.values():
        # What stands before each setting that the cell names.
        for said, name in re.findall(r"(.*?)\(`(TALLER_\w+)`\)", row.limit):
            assert [int(number) for number in re.findall(r"\d+", said)] == defaults[name], row
            named += 1
    assert named == PAGE.count("(`TALLER_") > 10


def test_every_code_exists_and_has_that_status() -> None:
    for row in ROWS.values():
        for status, code in re.findall(r"(\d{3}) `(\w+)`", row.beyond):
            assert AppError.catalogue[code].status == int(status), row
    assert all("`" in row.beyond or row.what in ELSEWHERE or row.limit == "none" for row in ROWS.values())
