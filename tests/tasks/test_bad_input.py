"""Whatever is wrong with a request about tasks is answered clearly, and changes nothing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.core.ids import uuid7
from app.tasks.models import Task
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.samples import BAD_PAGES, FORMS, JSON, MARKER, NO_JSON, NO_OBJECTS, NOT_IDS, contents, in_short
from tests.tasks.factories import TaskFactory

WRITES = ("POST", "PUT", "PATCH")

BAD = {
    "title": [
        ('""', "string_too_short"),
        ('" \\u3000 "', "blank"),
        (f'"{MARKER}{"x" * 500}"', "string_too_long"),
        (f'"{MARKER}\\u0000"', "nul_character"),
        (f'"{MARKER}\\udfff"', "string_unicode"),
        ('"\\u200b"', "blank"),
        ('"\\u00ad\\ufe0f\\u0301"', "blank"),
        (f'"{MARKER}\\n"', "control_character"),
        (f'"\\u0085{MARKER}"', "control_character"),
        (f'"{MARKER}\\u202e"', "control_character"),
        (f'"{MARKER}{"a" + chr(0x316) * 31}"', "too_many_marks"),
        ("null", "string_type"),
        ("1", "string_type"),
        (f'["{MARKER}"]', "string_type"),
    ],
    "description": [
        (f'"{MARKER}{"x" * 10_000}"', "string_too_long"),
        (f'"\\u0000{MARKER}"', "nul_character"),
        (f'"\\u001b[31m{MARKER}"', "control_character"),
        (f'"\\ud800{MARKER}"', "string_unicode"),
        ("1", "string_type"),
    ],
    "priority": [
        ("true", "int_type"),
        ("1.5", "int_type"),
        ("1e400", "int_type"),
        ("2147483647.5", "int_type"),
        ("1e10", "less_than_equal"),
        ("-1e308", "greater_than_equal"),
        (f'"{MARKER}"', "int_type"),
        ('"1"', "int_type"),
        ("null", "int_type"),
        ("[1]", "int_type"),
        ("2147483648", "less_than_equal"),
        ("-2147483649", "greater_than_equal"),
        ("9" * 4000, "less_than_equal"),
    ],
    "completed": [
        ("1", "bool_type"),
        ("0.0", "bool_type"),
        ('"true"', "bool_type"),
        (f'"{MARKER}"', "bool_type"),
        ("null", "bool_type"),
    ],
    "due_date": [
        ('"2026-02-30"', "date_impossible"),
        ('"2026-02-29"', "date_impossible"),
        ('"2026-13-01"', "date_impossible"),
        ('"0000-01-01"', "date_impossible"),
        ('"2026-12-01T00:00:00"', "date_format"),
        ('"2026-12-01T00:00:00Z"', "date_format"),
        ('"10000-01-01"', "date_format"),
        ('"2026-1-1"', "date_format"),
        ('"20260101"', "date_format"),
        ('"2026-W01-1"', "date_format"),
        ('"01.12.2026"', "date_format"),
        ('" 2026-12-01"', "date_format"),
        ('"2026-12-01\\n"', "date_format"),
        ('"\\u0662026-12-01"', "date_format"),
        ('""', "date_format"),
        (f'"{MARKER}"', "date_format"),
        ("20261201", "date_format"),
        ("1.5", "date_format"),
        ("0", "date_format"),
        ("true", "date_format"),
        ("[2026, 12, 1]", "date_format"),
    ],
}
NOT_SETTABLE = ["id", "created_at", "updated_at", "etag", "version", "project", "Priority", "done"]


def body_with(member: str, value: str) -> str:
    title = "" if member == "title" else f'"title": "{MARKER}", '
    return f'{{{title}"{member}": {value}}}'


REFUSED = [
    *((body_with(member, value), f"/{member}", code) for member, values in BAD.items() for value, code in values),
    *((body_with(member, f'"{MARKER}"'), f"/{member}", "unknown") for member in NOT_SETTABLE),
]


@pytest.fixture
async def task(database: Database, user: User) -> Task:
    project = await project_of(database, user)
    task = TaskFactory.build(project_id=project.id)
    await store(database, task)
    return task


@pytest.fixture(autouse=True)
async def _nothing_changes(task: Task, database: Database, api: Api) -> AsyncIterator[None]:
    before = await contents(database)
    yield
    assert await contents(database) == before


def address_of(method: str, task: Task) -> str:
    return f"/projects/{task.project_id}/tasks/" if method == "POST" else f"/tasks/{task.id}"


async def refusal(api: Api, method: str, task: Task, **options: Any) -> dict[str, Any]:
    answer = await api.request(method, address_of(method, task), **options)
    assert MARKER not in answer.text
    problem = assert_problem(answer, 400, "invalid_request")
    assert problem["instance"] == address_of(method, task)
    return problem


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize(("body", "pointer", "code"), REFUSED, ids=in_short)
async def test_a_refused_value_is_named_by_pointer_and_code(
    api: Api, task: Task, method: str, body: str, pointer: str, code: str
) -> None:
    problem = await refusal(api, method, task, content=body, headers=JSON)
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    assert problem["errors"][0]["detail"] in problem["detail"]


async def test_a_task_needs_a_title(api: Api, task: Task) -> None:
    problem = await refusal(api, "POST", task, json={"description": MARKER})
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/title", "missing")]


@pytest.mark.parametrize("method", WRITES)
async def test_every_refused_value_is_named_and_the_good_ones_are_not_kept(api: Api, task: Task, method: str) -> None:
    body = {"title": " ", "priority": True, "due_date": MARKER, "completed": True, "description": MARKER, "id": MARKER}
    problem = await refusal(api, method, task, json=body)
    assert {(error["pointer"], error["code"]) for error in problem["errors"]} == {
        ("/title", "blank"),
        ("/priority", "int_type"),
        ("/due_date", "date_format"),
        ("/id", "unknown"),
    }


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
async def test_what_is_no_json_is_refused(api: Api, task: Task, method: str, body: bytes) -> None:
    answer = await api.request(method, address_of(method, task), content=body, headers=JSON)
    assert MARKER not in answer.text
    assert_problem(answer, 400, "invalid_json")


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("body", [b"", *NO_OBJECTS.values()], ids=["nothing", *NO_OBJECTS])
async def test_a_body_that_is_no_object_is_refused(api: Api, task: Task, method: str, body: bytes) -> None:
    problem = await refusal(api, method, task, content=body, headers=JSON)
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("", "object_required")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("query", "parameter", "code"), BAD_PAGES, ids=in_short)
async def test_a_refused_parameter_is_named(
    api: Api, task: Task, form: str, query: str, parameter: str, code: str
) -> None:
    answer = await api.get(f"{form.format(f'/projects/{task.project_id}/tasks')}?{query}")
    problem = assert_problem(answer, 400, "invalid_request")
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [(parameter, code)]


async def test_a_size_above_the_maximum_is_refused_with_the_maximum(api: Api, task: Task) -> None:
    problem = assert_problem(await api.get(f"/projects/{task.project_id}/tasks/?size=101"), 400, "invalid_request")
    assert problem["errors"][0]["detail"].endswith(" 100")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("not_id", NOT_IDS)
async def test_what_is_no_id_is_refused(api: Api, form: str, method: str, not_id: str) -> None:
    body: dict[str, Any] = {"json": {}} if method in WRITES else {}
    problem = assert_problem(await api.request(method, form.format(f"/tasks/{not_id}"), **body), 400, "invalid_request")
    assert problem["errors"] == [{"parameter": "task_id", "detail": "must be a UUID", "code": "uuid_parsing"}]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("not_id", NOT_IDS)
async def test_tasks_of_what_is_no_id_are_refused(api: Api, form: str, not_id: str) -> None:
    address = form.format(f"/projects/{not_id}/tasks")
    for answer in (await api.get(address), await api.post(address, json={"title": MARKER})):
        problem = assert_problem(answer, 400, "invalid_request")
        assert [error["parameter"] for error in problem["errors"]] == ["project_id"]


@pytest.mark.parametrize("method", WRITES)
async def test_another_media_type_is_refused(api: Api, task: Task, method: str) -> None:
    headers = {"Content-Type": "text/plain"}
    answer = await api.request(method, address_of(method, task), content=b'{"title": "x"}', headers=headers)
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("form", FORMS)
async def test_a_method_that_an_address_does_not_know_is_answered_with_those_it_knows(
    api: Api, task: Task, form: str, method: str
) -> None:
    answer = await api.request(method, form.format(f"/tasks/{task.id}"))
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH, PUT"


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_whoever_asks_for_a_task_that_is_not_there_is_told_that_and_not_what_is_wrong_besides(
    api: Api, method: str
) -> None:
    for request in ({"content": b"{", "headers": JSON}, {"json": {"id": 1}}, {"content": b"x"}):
        answer = await api.request(method, f"/tasks/{uuid7()}", **request)
        assert_problem(answer, 404, "task_not_found")
