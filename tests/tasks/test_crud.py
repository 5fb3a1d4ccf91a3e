"""A task's life, at every form of its address, and what each operation costs."""

from typing import Any
from uuid import UUID

import pytest

from app.auth.models import User
from app.core.database.database import Database
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.queries import query_budget
from tests.support.samples import FORMS

FULL = {
    "title": "Buy a workbench",
    "description": "A heavy one",
    "priority": -7,
    "completed": True,
    "due_date": "2028-02-29",
    "external_id": "JIRA-17",
}
MEMBERS = [
    *("id", "project_id", *FULL, "parent_id", "label_ids", "assignee_ids", "created_by", "completed_at"),
    *("created_at", "updated_at", "subtasks_total", "subtasks_completed", "etag"),
]
MOVED = ("updated_at", "etag")
"""Members that change whenever another does."""


@pytest.mark.parametrize("form", FORMS)
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


async def test_each_operation_costs_one_statement_once_the_caller_is_known(
    api: Api, user: User, database: Database
) -> None:
    with query_budget(database, 2):
        assert (await api.get("/projects/")).status_code == 200
    project = await project_of(database, user)
    with query_budget(database, 1):
        created = await api.post(f"/projects/{project.id}/tasks", json=FULL)
    address = f"/tasks/{created.json()['id']}"
    with query_budget(database, 1):
        assert (await api.get(address)).status_code == 200
    for body in ({"priority": 3}, {}):
        with query_budget(database, 1):
            assert (await api.patch(address, json=body)).status_code == 200
    with query_budget(database, 1):
        assert (await api.delete(address)).status_code == 204
