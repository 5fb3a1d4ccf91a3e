"""Creating, reading, changing and deleting tasks, at every form of the address."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, text

from app.auth.models import User
from app.core.database.database import Database
from app.core.ids import uuid7
from app.projects.models import Project
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.support.samples import FORMS, contents
from tests.tasks.factories import TaskFactory

pytestmark = pytest.mark.parametrize("form", FORMS)

FULL = {
    "title": "Buy a workbench",
    "description": "A heavy one",
    "priority": -7,
    "completed": True,
    "due_date": "2028-02-29",
}
MEMBERS = ["id", "project_id", *FULL, "created_at", "updated_at", "etag"]
MOVED = ("updated_at", "etag")
"""Members that change whenever another does."""


async def test_a_task_lives_from_post_to_delete(api: Api, user: User, database: Database, form: str) -> None:
    project = await project_of(database, user)
    created = await api.post(form.format(f"/projects/{project.id}/tasks"), json=FULL)
    assert created.status_code == 201
    task = created.json()
    assert list(task) == MEMBERS
    assert {name: task[name] for name in FULL} == FULL
    assert task["project_id"] == str(project.id)
    assert UUID(task["id"]).version == 7
    assert created.headers["location"] == f"/api/v1/tasks/{task['id']}"
    assert (await api.get(created.headers["location"])).json() == task

    address = form.format(f"/tasks/{task['id']}")
    assert (await api.get(address)).json() == task
    changed = await api.put(address, json={"priority": 2**31 - 1})
    assert changed.status_code == 200
    assert changed.json() == task | {"priority": 2**31 - 1} | {name: changed.json()[name] for name in MOVED}
    assert (await api.patch(address, json={"completed": False})).json()["completed"] is False

    deleted = await api.delete(address)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body: dict[str, Any] = {"json": {}} if method in ("PUT", "PATCH") else {}
        assert_problem(await api.request(method, address, **body), 404, "task_not_found")


async def test_what_a_new_task_leaves_out_has_its_default(api: Api, user: User, database: Database, form: str) -> None:
    project = await project_of(database, user)
    task = (await api.post(form.format(f"/projects/{project.id}/tasks"), json={"title": "Sweep"})).json()
    assert {name: task[name] for name in FULL} == {
        "title": "Sweep",
        "description": None,
        "priority": 0,
        "completed": False,
        "due_date": None,
    }


async def test_a_project_that_is_not_there_takes_no_tasks(api: Api, database: Database, form: str) -> None:
    answer = await api.post(form.format(f"/projects/{uuid7()}/tasks"), json=FULL)
    assert_problem(answer, 404, "project_not_found")
    assert (await contents(database))["tasks"] == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", "Sell it"),
        ("description", "Not so heavy"),
        ("description", None),
        ("priority", 0),
        ("priority", -(2**31)),
        ("completed", False),
        ("due_date", "2026-12-31"),
        ("due_date", None),
    ],
)
async def test_an_update_changes_what_the_body_names_and_nothing_else(
    api: Api, user: User, database: Database, form: str, method: str, name: str, value: object
) -> None:
    project = await project_of(database, user)
    task = TaskFactory.build(project_id=project.id, **FULL | {"due_date": date(2028, 2, 29)})
    await store(database, task)
    address = form.format(f"/tasks/{task.id}")
    before = (await api.get(address)).json()
    answer = await api.request(method, address, json={name: value})
    assert answer.status_code == 200
    assert answer.json() == before | {name: value} | {moved: answer.json()[moved] for moved in MOVED}
    assert answer.json()["updated_at"] > before["updated_at"]
    assert (await api.get(address)).json() == answer.json()


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_updated_at_stays_where_nothing_changed(
    api: Api, user: User, database: Database, form: str, method: str
) -> None:
    project = await project_of(database, user)
    task = TaskFactory.build(project_id=project.id, **FULL | {"due_date": date(2028, 2, 29)})
    await store(database, task)
    address = form.format(f"/tasks/{task.id}")
    before = (await api.get(address)).json()
    for nothing in ({}, FULL):
        answer = await api.request(method, address, json=nothing)
        assert (answer.status_code, answer.json()) == (200, before)


async def test_a_merge_patch_is_read_under_its_own_media_type(
    api: Api, user: User, database: Database, form: str
) -> None:
    project = await project_of(database, user)
    task = TaskFactory.build(project_id=project.id, description="A heavy one", completed=False)
    await store(database, task)
    answer = await api.patch(
        form.format(f"/tasks/{task.id}"),
        content=b'{"completed": true, "description": null}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200
    assert (answer.json()["completed"], answer.json()["description"]) == (True, None)
    assert answer.json()["title"] == task.title


async def test_fifty_created_at_once_are_fifty_tasks(api: Api, user: User, database: Database, form: str) -> None:
    project = await project_of(database, user)
    address = form.format(f"/projects/{project.id}/tasks")
    answers = await asyncio.gather(*(api.post(address, json={"title": f"Task {n}"}) for n in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    page = (await api.get(f"{address}?size=100")).json()
    assert page["total"] == 50
    assert {item["id"] for item in page["items"]} == {answer.json()["id"] for answer in answers}


async def test_tasks_created_while_their_project_is_deleted_are_kept_or_refused_and_never_an_error(
    api: Api, user: User, database: Database, form: str
) -> None:
    for pause in (0, 0.002, 0.004, 0.006, 0.008):
        project = await project_of(database, user)
        create = form.format(f"/projects/{project.id}/tasks")
        early = [asyncio.create_task(api.post(create, json={"title": "Sweep"})) for _ in range(12)]
        await asyncio.sleep(pause)
        deletion = asyncio.create_task(api.delete(form.format(f"/projects/{project.id}")))
        late = [asyncio.create_task(api.post(create, json={"title": "Sweep"})) for _ in range(12)]
        assert (await deletion).status_code == 204
        for answer in await asyncio.gather(*early, *late):
            if answer.status_code != 201:
                assert_problem(answer, 404, "project_not_found")
        assert (await contents(database))["tasks"] == []


async def test_a_task_that_waits_for_its_projects_deletion_finds_no_project(
    api: Api, user: User, database: Database, form: str
) -> None:
    project = await project_of(database, user)
    waiting = text(
        "SELECT count(*) AS found FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with database.unit() as unit:
        await unit.rows(delete(Project).where(Project.id == project.id))
        create = asyncio.create_task(api.post(form.format(f"/projects/{project.id}/tasks"), json={"title": "Sweep"}))
        for _ in range(200):
            if (await database.rows(waiting))[0]["found"]:
                break
            await asyncio.sleep(0.01)
        assert not create.done()
    assert_problem(await create, 404, "project_not_found")


async def test_each_operation_costs_one_statement_once_the_caller_is_known(
    api: Api, user: User, database: Database, form: str
) -> None:
    with query_budget(database, 2):
        assert (await api.get("/projects/")).status_code == 200
    project = await project_of(database, user)
    with query_budget(database, 1):
        created = await api.post(form.format(f"/projects/{project.id}/tasks"), json=FULL)
    address = form.format(f"/tasks/{created.json()['id']}")
    with query_budget(database, 1):
        assert (await api.get(address)).status_code == 200
    for body in ({"priority": 3}, {}):
        with query_budget(database, 1):
            assert (await api.patch(address, json=body)).status_code == 200
    with query_budget(database, 1):
        assert (await api.delete(address)).status_code == 204
