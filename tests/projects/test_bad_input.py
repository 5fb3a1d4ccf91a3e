"""Whatever is wrong with a request about projects is answered clearly, and changes nothing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Project
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.samples import BAD_PAGES, FORMS, JSON, MARKER, NO_JSON, NO_OBJECTS, NOT_IDS, contents, in_short

WRITES = ("POST", "PUT", "PATCH")

BAD_NAMES = [
    ('""', "string_too_short"),
    ('"   "', "blank"),
    ('"\\t\\n\\u00a0\\u2003"', "blank"),
    (f'"{MARKER}{"x" * 200}"', "string_too_long"),
    (f'"{MARKER}\\u0000"', "nul_character"),
    (f'"{MARKER}\\ud800"', "string_unicode"),
    (f'"\\udc00{MARKER}"', "string_unicode"),
    ("null", "string_type"),
    ("1", "string_type"),
    ("true", "string_type"),
    (f'["{MARKER}"]', "string_type"),
    (f'{{"{MARKER}": "{MARKER}"}}', "string_type"),
]
BAD_DESCRIPTIONS = [
    (f'"{MARKER}{"x" * 10_000}"', "string_too_long"),
    (f'"{MARKER}\\u0000"', "nul_character"),
    (f'"{MARKER}\\ud83d"', "string_unicode"),
    ("1", "string_type"),
    ("false", "string_type"),
    (f'["{MARKER}"]', "string_type"),
]
NOT_SETTABLE = ["id", "created_at", "updated_at", "etag", "version", "owner", "Name", "name ", "__class__", ""]

REFUSED = [
    *((f'{{"name": {value}}}', "/name", code) for value, code in BAD_NAMES),
    *((f'{{"name": "{MARKER}", "description": {value}}}', "/description", code) for value, code in BAD_DESCRIPTIONS),
    *((f'{{"name": "{MARKER}", "{member}": "{MARKER}"}}', f"/{member}", "unknown") for member in NOT_SETTABLE),
    (f'{{"name": "{MARKER}", "a/b~c": 1}}', "/a~1b~0c", "unknown"),
]


@pytest.fixture
async def project(database: Database, user: User) -> Project:
    return await project_of(database, user, name="Workshop")


@pytest.fixture(autouse=True)
async def _nothing_changes(project: Project, database: Database, api: Api) -> AsyncIterator[None]:
    before = await contents(database)
    yield
    assert await contents(database) == before


def address_of(method: str, project: Project) -> str:
    return "/projects/" if method == "POST" else f"/projects/{project.id}"


async def refusal(api: Api, method: str, project: Project, **options: Any) -> dict[str, Any]:
    answer = await api.request(method, address_of(method, project), **options)
    assert MARKER not in answer.text
    problem = assert_problem(answer, 400, "invalid_request")
    assert problem["instance"] == address_of(method, project)
    return problem


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize(("body", "pointer", "code"), REFUSED, ids=in_short)
async def test_a_refused_value_is_named_by_pointer_and_code(
    api: Api, project: Project, method: str, body: str, pointer: str, code: str
) -> None:
    problem = await refusal(api, method, project, content=body, headers=JSON)
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    assert problem["errors"][0]["detail"] in problem["detail"]


async def test_a_project_needs_a_name(api: Api, project: Project) -> None:
    problem = await refusal(api, "POST", project, json={"description": MARKER})
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/name", "missing")]


@pytest.mark.parametrize("method", WRITES)
async def test_a_length_that_is_too_much_is_answered_with_the_length_that_is_allowed(
    api: Api, project: Project, method: str
) -> None:
    problem = await refusal(api, method, project, json={"name": "x" * 201, "description": "x" * 10_001})
    assert [error["detail"] for error in problem["errors"]] == [
        "String should have at most 200 characters",
        "String should have at most 10000 characters",
    ]
    assert "1 more" in problem["detail"]


@pytest.mark.parametrize("method", WRITES)
async def test_no_answer_lists_more_than_twenty_values(api: Api, project: Project, method: str) -> None:
    problem = await refusal(api, method, project, json={f"member {number}": MARKER for number in range(32)})
    assert len(problem["errors"]) == 20


@pytest.mark.parametrize("method", WRITES)
async def test_a_member_whose_name_is_no_text_is_refused(api: Api, project: Project, method: str) -> None:
    problem = await refusal(api, method, project, content=b'{"name": "x", "\\ud800": 1}', headers=JSON)
    assert len(problem["errors"]) == 1


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
async def test_what_is_no_json_is_refused(api: Api, project: Project, method: str, body: bytes) -> None:
    answer = await api.request(method, address_of(method, project), content=body, headers=JSON)
    assert MARKER not in answer.text
    assert "errors" not in assert_problem(answer, 400, "invalid_json")


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("body", [b"", *NO_OBJECTS.values()], ids=["nothing", *NO_OBJECTS])
async def test_a_body_that_is_no_object_is_refused(api: Api, project: Project, method: str, body: bytes) -> None:
    problem = await refusal(api, method, project, content=body, headers=JSON)
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("", "object_required")]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("query", "parameter", "code"), BAD_PAGES, ids=in_short)
async def test_a_refused_parameter_is_named(api: Api, form: str, query: str, parameter: str, code: str) -> None:
    problem = assert_problem(await api.get(f"{form.format('/projects')}?{query}"), 400, "invalid_request")
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [(parameter, code)]


async def test_a_size_above_the_maximum_is_refused_with_the_maximum(api: Api) -> None:
    problem = assert_problem(await api.get("/projects/?size=101"), 400, "invalid_request")
    assert problem["errors"][0]["detail"].endswith(" 100")
    assert (await api.get("/projects/?size=100")).json()["size"] == 100


async def test_the_last_page_that_a_number_reaches_is_empty_and_no_error(api: Api) -> None:
    answer = await api.get("/projects/?page=100&size=100")
    assert (answer.status_code, answer.json()["items"], answer.json()["total"]) == (200, [], 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("form", FORMS)
async def test_a_parameter_that_an_operation_does_not_know_is_refused(
    api: Api, project: Project, form: str, method: str
) -> None:
    body: dict[str, Any] = {"json": {"name": MARKER}} if method in WRITES else {}
    answer = await api.request(method, form.format(f"/projects/{project.id}") + f"?force={MARKER}", **body)
    assert MARKER not in answer.text
    problem = assert_problem(answer, 400, "invalid_request")
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [("force", "unknown")]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("not_id", NOT_IDS)
async def test_what_is_no_id_is_refused(api: Api, form: str, method: str, not_id: str) -> None:
    body: dict[str, Any] = {"json": {}} if method in WRITES else {}
    answer = await api.request(method, form.format(f"/projects/{not_id}"), **body)
    problem = assert_problem(answer, 400, "invalid_request")
    assert problem["errors"] == [{"parameter": "project_id", "detail": "must be a UUID", "code": "uuid_parsing"}]


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", "application/jsonl", "json", ""],
)
async def test_another_media_type_is_refused(api: Api, project: Project, method: str, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    answer = await api.request(
        method, address_of(method, project), content=f'{{"name": "{MARKER}"}}'.encode(), headers=headers
    )
    assert "application/json" in assert_problem(answer, 415, "unsupported_media_type")["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_only_a_patch_may_be_a_merge_patch(api: Api, project: Project, method: str) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = await api.request(method, address_of(method, project), content=b'{"name": "x"}', headers=headers)
    assert_problem(answer, 415, "unsupported_media_type")


async def _in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("method", WRITES)
async def test_a_body_above_one_mebibyte_is_refused_whether_its_length_is_declared_or_not(
    api: Api, project: Project, method: str
) -> None:
    body = f'{{"name": "{MARKER}"{" " * (1 << 20)}}}'.encode()
    for content in (body, _in_chunks(body)):
        answer = await api.request(method, address_of(method, project), content=content, headers=JSON)
        assert_problem(answer, 413, "body_too_large")


async def test_a_body_of_exactly_one_mebibyte_is_read(api: Api, project: Project) -> None:
    body = b'{"name": "Workshop"' + b" " * ((1 << 20) - 20) + b"}"
    assert len(body) == 1 << 20
    for content in (body, _in_chunks(body)):
        answer = await api.put(f"/projects/{project.id}", content=content, headers=JSON)
        assert answer.status_code == 200


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/projects", "DELETE", "GET, HEAD, POST"),
        ("/projects", "PUT", "GET, HEAD, POST"),
        ("/projects", "OPTIONS", "GET, HEAD, POST"),
        ("/projects", "BREW", "GET, HEAD, POST"),
        ("/projects/{id}", "POST", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/projects/{id}/tasks", "DELETE", "GET, HEAD, POST"),
    ],
)
async def test_a_method_that_an_address_does_not_know_is_answered_with_those_it_knows(
    api: Api, project: Project, form: str, path: str, method: str, allowed: str
) -> None:
    answer = await api.request(method, form.format(path.format(id=project.id)))
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["", "/project", "/projects/x/y", "/projects/x/tasks/z", "/api", "/docs/nothing.js"])
async def test_where_nothing_is_the_answer_is_404(api: Api, form: str, path: str) -> None:
    address = form.format(path) or "/"
    problem = assert_problem(await api.get(address), 404, "not_found")
    assert problem["instance"] == address


async def test_a_stranger_learns_nothing_of_what_is_wrong_with_the_request(anonymous: Api, project: Project) -> None:
    for request in (
        {"content": b"{", "headers": JSON},
        {"json": {"id": 1}},
        {"content": b"x", "headers": {"Content-Type": "text/plain"}},
        {"params": {"force": "yes"}, "json": {}},
    ):
        for method in WRITES:
            answer = await anonymous.request(method, address_of(method, project), **request)
            assert_problem(answer, 401, "not_authenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
