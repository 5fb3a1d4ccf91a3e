"""Updating tasks: PUT and PATCH set what the body names, and nothing else."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.core.ids import uuid7
from app.tasks.models import Task
from tests.projects.factories import project_of
from tests.support.client import Api
from tests.support.factories import store
from tests.support.samples import JSON
from tests.support.updates import differences
from tests.tasks.factories import TaskFactory

FULL: dict[str, Any] = {
    "title": "Buy a workbench",
    "description": "A heavy one",
    "priority": -7,
    "completed": True,
    "due_date": "2028-02-29",
}
MOVED = ("updated_at", "etag")
"""Members that change whenever another does."""

VALUES: list[tuple[str, object]] = [
    ("title", "Sell it"),
    ("description", "Not so heavy"),
    ("description", None),
    ("priority", 0),
    ("priority", -(2**31)),
    ("completed", False),
    ("due_date", "2026-12-31"),
    ("due_date", None),
]


@pytest.fixture
async def task(database: Database, user: User) -> Task:
    project = await project_of(database, user)
    task = TaskFactory.build(project_id=project.id, **FULL | {"due_date": date(2028, 2, 29)})
    await store(database, task)
    return task


async def test_patch_answers_as_put(api: Api, user: User, database: Database) -> None:
    project, other = await project_of(database, user), await project_of(database, user)
    requests: list[dict[str, Any]] = [
        *({"json": {name: value}} for name, value in VALUES),
        {"json": {}},
        {"json": FULL},
        {"json": FULL | {"title": "Sell it", "due_date": None}},
        {"json": {"project_id": str(other.id), "title": "Sell it"}},
        {"json": {"project_id": str(project.id)}},
        {"json": {"project_id": str(uuid7())}},
        {"json": {"title": " ", "priority": True, "due_date": "soon", "id": "x", "completed": True}},
        {"json": {"title": None}},
        {"json": []},
        {"content": b"{", "headers": JSON},
        *(
            {"json": body, "headers": headers}
            for body in ({}, {"title": "Sell it"}, {"project_id": str(other.id)}, {"project_id": str(uuid7())})
            for headers in (
                {"If-Match": '"tb1"'},
                {"If-Match": '"tb7"'},
                {"If-Match": "tb1"},
                {"If-Match": "*"},
                {"If-None-Match": '"tb1"'},
                {"If-None-Match": '"tb7"'},
            )
        ),
    ]

    async def pairs() -> AsyncIterator[tuple[str, str]]:
        while True:
            tasks = TaskFactory.batch(2, project_id=project.id, **FULL | {"due_date": date(2028, 2, 29)})
            await store(database, *tasks)
            yield f"/tasks/{tasks[0].id}", f"/tasks/{tasks[1].id}"

    assert await differences(api, database, pairs(), requests) == []
    await api.patch(f"/projects/{project.id}", json={"require_if_match": True})
    assert await differences(api, database, pairs(), [{"json": {}}, {"json": {"title": "Sell it"}}]) == []


@pytest.mark.parametrize(("name", "value"), VALUES)
async def test_update_changes_what_the_body_names_and_nothing_else(
    api: Api, task: Task, name: str, value: object
) -> None:
    address = f"/tasks/{task.id}"
    before = (await api.get(address)).json()
    answer = await api.patch(address, json={name: value})
    assert answer.status_code == 200
    moved = {*MOVED, "completed_at"} if name == "completed" else MOVED
    assert answer.json() == before | {name: value} | {member: answer.json()[member] for member in moved}
    assert answer.json()["updated_at"] > before["updated_at"]
    assert (await api.get(address)).json() == answer.json()


async def test_updated_at_stays_where_nothing_changed(api: Api, task: Task) -> None:
    address = f"/tasks/{task.id}"
    before = (await api.get(address)).json()
    for nothing in ({}, FULL):
        answer = await api.patch(address, json=nothing)
        assert (answer.status_code, answer.json()) == (200, before)


async def test_merge_patch_is_read_under_its_own_media_type(api: Api, task: Task) -> None:
    answer = await api.patch(
        f"/tasks/{task.id}",
        content=b'{"completed": false, "description": null}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200
    assert (answer.json()["completed"], answer.json()["description"]) == (False, None)
    assert answer.json()["title"] == task.title
