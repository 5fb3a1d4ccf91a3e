"""Updating and deleting tasks that were seen: preconditions, so that nothing unseen is overwritten."""

import asyncio
from typing import Any

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.core.ids import uuid7
from app.projects.models import Project, Role
from app.tasks.models import Task
from tests.auth.factories import UserFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem, tag_of
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory

# PUT answers as PATCH does: test_update.py.
WRITES: list[tuple[str, dict[str, Any]]] = [
    ("PATCH", {"json": {"title": "Oil"}}),
    ("DELETE", {}),
]
each_write = pytest.mark.parametrize(("method", "options"), WRITES, ids=[method for method, _ in WRITES])


@pytest.fixture
async def project(database: Database, user: User) -> Project:
    return await project_of(database, user)


@pytest.fixture
async def task(database: Database, project: Project) -> Task:
    task = TaskFactory.build(project_id=project.id, title="Saw", completed=False)
    await store(database, task)
    return task


@each_write
async def test_write_with_the_current_tag_is_one_statement(
    api: Api, database: Database, task: Task, method: str, options: dict[str, Any]
) -> None:
    tag = tag_of(await api.get(f"/tasks/{task.id}"))
    for wanted in (f'"tb0", {tag}', "*"):
        other = TaskFactory.build(project_id=task.project_id)
        await store(database, other)
        with query_budget(database, 1):
            answer = await api.request(method, f"/tasks/{other.id}", headers={"If-Match": wanted}, **options)
        assert answer.status_code == (204 if method == "DELETE" else 200)
        assert answer.status_code == 204 or tag_of(answer) != tag


@each_write
@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": '"tb0"'},
        {"If-Match": '"tb0", "tb7"'},
        {"If-Match": 'W/"tb1"'},
        {"If-Match": '"T1"'},
        {"If-None-Match": "*"},
        {"If-None-Match": '"tb1"'},
        {"If-None-Match": 'W/"tb1"'},
        {"If-Match": '"tb1"', "If-None-Match": '"tb1"'},
    ],
    ids=str,
)
async def test_write_with_another_tag_is_412_and_does_nothing(
    api: Api, database: Database, task: Task, method: str, options: dict[str, Any], headers: dict[str, str]
) -> None:
    before = await api.get(f"/tasks/{task.id}")
    assert tag_of(before) == '"tb1"'
    with query_budget(database, 2):
        answer = await api.request(method, f"/tasks/{task.id}", headers=headers, **options)
    assert_problem(answer, 412, "precondition_failed")
    assert answer.headers["etag"] == '"tb1"'
    assert (await api.get(f"/tasks/{task.id}")).json() == before.json()


@each_write
async def test_write_with_if_none_match_of_other_tags_is_done(
    api: Api, task: Task, method: str, options: dict[str, Any]
) -> None:
    answer = await api.request(method, f"/tasks/{task.id}", headers={"If-None-Match": '"tb0", W/"tb2"'}, **options)
    assert answer.is_success


@each_write
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
async def test_malformed_tag_is_400_and_names_the_header(
    api: Api, task: Task, method: str, options: dict[str, Any], header: str
) -> None:
    for asked, address in (((method, options), f"/tasks/{task.id}"), (("GET", {}), f"/tasks/{task.id}")):
        answer = await api.request(asked[0], address, headers={header: "tb1"}, **asked[1])
        problem = assert_problem(answer, 400, "invalid_request")
        assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [(header, "entity_tags")]
    assert (await api.get(f"/tasks/{task.id}")).json()["title"] == "Saw"


async def test_patch_without_changes_keeps_and_checks_the_tag(api: Api, task: Task) -> None:
    address = f"/tasks/{task.id}"
    tag = tag_of(await api.get(address))
    for nothing in ({}, {"title": "Saw"}):
        assert tag_of(await api.patch(address, json=nothing, headers={"If-Match": tag})) == tag
        assert_problem(
            await api.patch(address, json=nothing, headers={"If-Match": '"tb7"'}), 412, "precondition_failed"
        )


async def test_writers_without_tags_overwrite_only_sent_members(api: Api, task: Task) -> None:
    address = f"/tasks/{task.id}"
    bodies = ({"title": "Oil"}, {"priority": 7}, {"completed": True}, {"description": "All of it"})
    answers = await asyncio.gather(*(api.patch(address, json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    found = (await api.get(address)).json()
    assert [found[name] for body in bodies for name in body] == ["Oil", 7, True, "All of it"]


@each_write
@pytest.mark.parametrize("value", ["tb1", '"tb1"', '"tb0"', "*"])
async def test_strangers_and_viewers_learn_nothing_by_preconditions(
    api: Api, database: Database, project: Project, task: Task, method: str, options: dict[str, Any], value: str
) -> None:
    await api.patch(f"/projects/{project.id}", json={"require_if_match": True})
    stranger, viewer = UserFactory.build(), UserFactory.build()
    await store(database, stranger, viewer)
    await add_member(database, project, viewer, Role.VIEWER)
    for person, status, code in ((stranger, 404, "task_not_found"), (viewer, 403, "role_required")):
        async with await api.as_(person) as other:
            for headers in ({"If-Match": value}, {"If-None-Match": value}, {}):
                answer = await other.request(method, f"/tasks/{task.id}", headers=headers, **options)
                assert_problem(answer, status, code)
                assert "etag" not in answer.headers
    missing = await api.request(method, f"/tasks/{uuid7()}", headers={"If-Match": value}, **options)
    assert_problem(missing, 404, "task_not_found")


@each_write
async def test_write_without_tag_is_428_if_required(
    api: Api, database: Database, project: Project, task: Task, method: str, options: dict[str, Any]
) -> None:
    await api.patch(f"/projects/{project.id}", json={"require_if_match": True})
    address = f"/tasks/{task.id}"
    for headers in ({}, {"If-None-Match": '"tb0"'}):
        with query_budget(database, 2):
            answer = await api.request(method, address, headers=headers, **options)
        assert_problem(answer, 428, "precondition_required")
    if method != "DELETE":
        assert_problem(await api.request(method, address, json={}), 428, "precondition_required")
    assert_problem(
        await api.request(method, address, headers={"If-Match": '"tb7"'}, **options), 412, "precondition_failed"
    )
    assert (await api.get(address)).json()["title"] == "Saw"
    with query_budget(database, 1):
        answer = await api.request(method, address, headers={"If-Match": '"tb1"'}, **options)
    assert answer.is_success
    assert (await api.post(f"/projects/{project.id}/tasks/", json={"title": "Oil"})).status_code == 201
