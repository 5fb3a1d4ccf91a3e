"""Reading tasks with tags: each state has its own, and what the client has is not sent again."""

import random
from typing import Any

import pytest
from sqlalchemy import text

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Project
from app.tasks.models import Task
from app.tasks.schemas import TaskRead
from tests.labels.factories import LabelFactory
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem, tag_of
from tests.support.factories import store
from tests.tasks.factories import TaskFactory


@pytest.fixture
async def project(database: Database, user: User) -> Project:
    return await project_of(database, user)


@pytest.fixture
async def task(database: Database, project: Project) -> Task:
    task = TaskFactory.build(project_id=project.id, title="Saw", completed=False)
    await store(database, task)
    return task


async def test_each_answer_with_a_task_has_its_tag(api: Api, project: Project) -> None:
    created = await api.post(f"/projects/{project.id}/tasks/", json={"title": "Saw"})
    address = f"/tasks/{created.json()['id']}"
    first = tag_of(created)
    assert tag_of(await api.get(address)) == first
    changed = tag_of(await api.put(address, json={"title": "Sawn"}))
    assert tag_of(await api.get(address)) == changed != first
    completed = tag_of(await api.patch(address, json={"completed": True}))
    for listed in (f"/projects/{project.id}/tasks/", "/tasks/"):
        assert [item["etag"] for item in (await api.get(listed)).json()["items"]] == [completed]
    assert completed not in {first, changed}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_read_with_a_current_if_none_match_is_304(api: Api, task: Task, method: str) -> None:
    address = f"/tasks/{task.id}"
    tag = tag_of(await api.get(address))
    for known in (tag, f"W/{tag}", f'"tb0", {tag}', "*"):
        answer = await api.request(method, address, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert (answer.headers["etag"], answer.headers["cache-control"]) == (tag, "private, no-cache")
        assert "content-type" not in answer.headers
    await api.patch(address, json={"title": "Sawn"})
    answer = await api.request(method, address, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag


@pytest.mark.parametrize("address", ["/projects/{}/tasks/", "/projects/{}/tasks/?page=2&size=1", "/tasks/?size=2"])
async def test_a_page_has_a_tag_of_its_own(
    api: Api, database: Database, project: Project, task: Task, address: str
) -> None:
    address = address.format(project.id)
    first = await api.get(address)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    again = await api.get(address, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    # Another page of the same list changes its total, too.
    await store(database, TaskFactory.build(project_id=project.id, priority=-100))
    changed = await api.get(address, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    await api.patch(f"/tasks/{task.id}", json={"priority": 0 if task.priority else 1})
    if "page" not in address:
        assert (await api.get(address)).headers["etag"] not in {tag, changed.headers["etag"]}


async def test_malformed_tag_on_a_list_is_400(api: Api, project: Project) -> None:
    answer = await api.get(f"/projects/{project.id}/tasks/", headers={"If-None-Match": "tb1"})
    assert_problem(answer, 400, "invalid_request")


async def test_read_with_another_if_match_is_412(api: Api, task: Task) -> None:
    assert (await api.get(f"/tasks/{task.id}", headers={"If-Match": '"tb1"'})).status_code == 200
    answer = await api.get(f"/tasks/{task.id}", headers={"If-Match": '"tb2"'})
    assert_problem(answer, 412, "precondition_failed")
    assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"tb1"', "no-store")


async def test_updating_the_version_keeps_hot_updates(database: Database, task: Task) -> None:
    # A connection of the server that others used before has counts of theirs.
    updated = text("SELECT pg_stat_get_xact_tuples_hot_updated('tasks'::regclass) AS n")
    async with database.transaction() as transaction:
        (before,) = await transaction.fetch_all(updated)
        await transaction.execute(text("UPDATE tasks SET completed = NOT completed"))
        assert await transaction.fetch_one_or_none(updated) == {"n": before["n"] + 1}


def test_new_response_schema_needs_a_new_tag_letter() -> None:
    """Where this fails, give tags another letter in `app.tasks.scopes.Subtasks.tag`, so that nobody takes what they
    have of the old shape for what they would get.
    """
    shape = [
        "id",
        "project_id",
        "title",
        "description",
        "priority",
        "completed",
        "due_date",
        "external_id",
        "parent_id",
        "label_ids",
        "assignee_ids",
        "created_by",
        "completed_at",
        "created_at",
        "updated_at",
        "subtasks_total",
        "subtasks_completed",
    ]
    assert list(TaskRead.model_fields) == [*shape, "etag"]


async def test_tag_changes_only_with_the_shown_members(api: Api, project: Project, task: Task) -> None:
    """Random walks over changes, of which many change nothing."""
    chance = random.Random(20261122)
    address = f"/tasks/{task.id}"
    values: dict[str, list[Any]] = {
        "title": ["Saw", "Oil"],
        "description": [None, "", "All of it"],
        "priority": [0, 1],
        "completed": [False, True],
        "due_date": [None, "2026-12-01", "2026-12-02"],
    }
    seen: dict[str, dict[str, Any]] = {}
    shown = (await api.get(address)).json()
    moved = 0
    for _ in range(150):
        names = chance.sample(sorted(values), chance.randint(0, 2))
        body = {name: chance.choice(values[name]) for name in names}
        answer = await api.request(chance.choice(["PUT", "PATCH"]), address, json=body)
        tag = tag_of(answer)
        assert (answer.json() == shown) == (tag == shown["etag"])
        assert seen.setdefault(tag, answer.json()) == answer.json()
        moved += tag != shown["etag"]
        shown = answer.json()
        assert (await api.get(address)).json() == shown
    assert 30 < moved < 120


@pytest.mark.parametrize("query", ["size=2", "size=2&page=2", "size=2&cursor=", "size=2&sort=title&priority_gte=-2"])
async def test_tag_of_a_page_changes_only_with_the_page(
    api: Api, database: Database, user: User, project: Project, query: str
) -> None:
    """Random walks over all that a page shows: members of tasks, lists, subtasks, neighbours and the total."""
    chance = random.Random(20261126)
    label = LabelFactory.build(project_id=project.id)
    await store(database, label)
    tasks = [await _new_task(api, project, f"Saw {number}") for number in range(4)]
    changes: list[dict[str, Any]] = [
        *({"title": title} for title in ("Saw", "Oil")),
        *({"description": description} for description in (None, "", "All of it")),
        *({"priority": priority} for priority in (0, 1)),
        *({"completed": completed} for completed in (False, True)),
        *({"due_date": day} for day in (None, "2026-12-01")),
        *({"external_id": external_id} for external_id in (None, "x")),
        *({"label_ids": ids} for ids in ([], [str(label.id)])),
        *({"assignee_ids": ids} for ids in ([], [str(user.id)])),
        *({"parent_id": parent} for parent in (None, *tasks[:1])),
    ]

    address = f"/projects/{project.id}/tasks/?{query}"
    seen: dict[str, bytes] = {}
    shown = await api.get(address)
    outcomes = set()
    for _ in range(80):
        step = chance.random()
        if step < 0.1:
            tasks.append(await _new_task(api, project, "Saw"))
        elif step < 0.2 and len(tasks) > 3:
            await api.delete(f"/tasks/{tasks.pop()}")
        else:
            body = {name: value for part in chance.sample(changes, 2) for name, value in part.items()}
            await api.patch(f"/tasks/{chance.choice(tasks)}", json=body)
        page = await api.get(address)
        tag = page.headers["etag"]
        assert seen.setdefault(tag, page.content) == page.content
        is_same = page.content == shown.content
        assert is_same == (tag == shown.headers["etag"])
        again = await api.get(address, headers={"If-None-Match": shown.headers["etag"]})
        assert (again.status_code == 304) == is_same
        outcomes.add(is_same)
        shown = page
    assert outcomes == {False, True}
    assert len(set(seen.values())) == len(seen) > 10


async def _new_task(api: Api, project: Project, title: str) -> str:
    id_: str = (await api.post(f"/projects/{project.id}/tasks/", json={"title": title})).json()["id"]
    return id_
