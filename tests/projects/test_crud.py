"""Creating, reading, changing and deleting projects, at every form of the address."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.auth.models import User
from app.core.database.database import Database
from tests.projects.factories import ProjectFactory, project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.support.samples import FORMS, contents
from tests.tasks.factories import TaskFactory

pytestmark = pytest.mark.parametrize("form", FORMS)


async def test_a_project_lives_from_post_to_delete(api: Api, form: str) -> None:
    created = await api.post(form.format("/projects"), json={"name": "Workshop", "description": "All of it"})
    assert created.status_code == 201
    project = created.json()
    assert list(project) == [
        "id",
        "name",
        "description",
        "require_if_match",
        "tasks_total",
        "tasks_completed",
        "role",
        "created_at",
        "updated_at",
        "etag",
    ]
    assert (project["name"], project["description"]) == ("Workshop", "All of it")
    assert created.headers["location"] == f"/api/v1/projects/{project['id']}"
    assert (await api.get(created.headers["location"])).json() == project

    address = form.format(f"/projects/{project['id']}")
    assert (await api.get(address)).json() == project
    changed = await api.put(address, json={"name": "Studio"})
    assert changed.status_code == 200
    assert changed.json() == project | {"name": "Studio"} | {
        name: changed.json()[name] for name in ("updated_at", "etag")
    }
    patched = await api.patch(address, json={"description": None})
    assert patched.status_code == 200
    assert (patched.json()["name"], patched.json()["description"]) == ("Studio", None)

    deleted = await api.delete(address)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        body: dict[str, Any] = {"json": {}} if method in ("PUT", "PATCH") else {}
        assert_problem(await api.request(method, address, **body), 404, "project_not_found")


async def test_its_id_is_a_uuid_of_version_7_made_now(api: Api, form: str) -> None:
    project = (await api.post(form.format("/projects"), json={"name": "Workshop"})).json()
    made = UUID(project["id"])
    assert made.version == 7
    milliseconds = made.int >> 80
    assert abs(datetime.fromtimestamp(milliseconds / 1000, UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert datetime.fromisoformat(project["created_at"]).utcoffset() == timedelta(0)
    assert project["created_at"] == project["updated_at"]


async def test_the_newest_comes_first_page_by_page(api: Api, user: User, database: Database, form: str) -> None:
    projects = [await project_of(database, user) for _ in range(5)]
    newest_first = [str(project.id) for project in reversed(projects)]
    pages = [(await api.get(form.format("/projects") + f"?page={page}&size=2")).json() for page in (1, 2, 3, 4)]
    assert [[item["id"] for item in page["items"]] for page in pages] == [
        newest_first[:2],
        newest_first[2:4],
        newest_first[4:],
        [],
    ]
    for number, page in enumerate(pages, start=1):
        assert (page["total"], page["page"], page["size"], page["pages"]) == (5, number, 2, 3)


async def test_without_projects_the_list_is_an_empty_page(api: Api, form: str) -> None:
    assert (await api.get(form.format("/projects"))).json() == {
        "items": [],
        "total": 0,
        "page": 1,
        "size": 50,
        "pages": 0,
        "next_cursor": None,
    }


async def test_deleting_it_takes_its_tasks_along_and_no_others(
    api: Api, user: User, database: Database, form: str
) -> None:
    doomed, spared = await project_of(database, user), await project_of(database, user)
    lost = TaskFactory.batch(3, project_id=doomed.id)
    kept = TaskFactory.build(project_id=spared.id)
    await store(database, *lost, kept)
    assert (await api.delete(form.format(f"/projects/{doomed.id}"))).status_code == 204
    for task in lost:
        assert_problem(await api.get(f"/tasks/{task.id}"), 404, "task_not_found")
    assert (await api.get(f"/tasks/{kept.id}")).status_code == 200
    assert len((await contents(database))["tasks"]) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_update_changes_what_the_body_names_and_nothing_else(
    api: Api, user: User, database: Database, form: str, method: str
) -> None:
    project = await project_of(database, user, name="Workshop", description="All of it")
    address = form.format(f"/projects/{project.id}")
    answer = (await api.request(method, address, json={"description": "Some of it"})).json()
    assert (answer["name"], answer["description"]) == ("Workshop", "Some of it")
    answer = (await api.request(method, address, json={"name": "Studio"})).json()
    assert (answer["name"], answer["description"]) == ("Studio", "Some of it")
    answer = (await api.request(method, address, json={"description": None})).json()
    assert (answer["name"], answer["description"]) == ("Studio", None)
    assert (await api.get(address)).json() == answer


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_updated_at_moves_when_a_value_changed_and_only_then(
    api: Api, user: User, database: Database, form: str, method: str
) -> None:
    project = await project_of(database, user, name="Workshop")
    address = form.format(f"/projects/{project.id}")
    before = (await api.get(address)).json()
    for nothing in ({}, {"name": "Workshop"}):
        answer = await api.request(method, address, json=nothing)
        assert (answer.status_code, answer.json()) == (200, before)
    after = (await api.request(method, address, json={"name": "Studio"})).json()
    assert after["updated_at"] > before["updated_at"]
    assert after["created_at"] == before["created_at"]


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/merge-patch+json", "Application/JSON; charset=utf-8"]
)
async def test_a_patch_is_read_as_merge_patch_and_as_plain_json(
    api: Api, user: User, database: Database, form: str, media_type: str
) -> None:
    project = await project_of(database, user)
    answer = await api.patch(
        form.format(f"/projects/{project.id}"), content=b'{"name": "Studio"}', headers={"Content-Type": media_type}
    )
    assert (answer.status_code, answer.json()["name"]) == (200, "Studio")


async def test_names_and_descriptions_may_be_as_long_as_promised_in_any_script(api: Api, form: str) -> None:
    body = {"name": "\U0001f6e0" * 200, "description": "ж" * 10_000}
    created = await api.post(form.format("/projects"), json=body)
    assert created.status_code == 201
    assert {name: created.json()[name] for name in body} == body


async def test_fifty_created_at_once_are_fifty_projects(api: Api, form: str) -> None:
    answers = await asyncio.gather(
        *(api.post(form.format("/projects"), json={"name": f"Project {number}"}) for number in range(50))
    )
    assert {answer.status_code for answer in answers} == {201}
    ids = {answer.json()["id"] for answer in answers}
    page = (await api.get("/projects/?size=100")).json()
    assert page["total"] == len(ids) == 50
    assert {item["id"] for item in page["items"]} == ids


async def test_two_updates_at_once_lose_neither(api: Api, user: User, database: Database, form: str) -> None:
    project = await project_of(database, user)
    address = form.format(f"/projects/{project.id}")
    for number in range(5):
        await asyncio.gather(
            api.put(address, json={"name": f"name {number}"}),
            api.put(address, json={"description": f"description {number}"}),
        )
        answer = (await api.get(address)).json()
        assert (answer["name"], answer["description"]) == (f"name {number}", f"description {number}")


async def test_each_operation_costs_one_statement_once_the_caller_is_known(
    api: Api, user: User, database: Database, form: str
) -> None:
    with query_budget(database, 2):
        assert (await api.get("/projects/")).status_code == 200
    with query_budget(database, 1):
        created = await api.post(form.format("/projects"), json={"name": "Workshop"})
    address = form.format(f"/projects/{created.json()['id']}")
    with query_budget(database, 1):
        assert (await api.get(address)).status_code == 200
    for body in ({"name": "Studio"}, {}):
        with query_budget(database, 1):
            assert (await api.put(address, json=body)).status_code == 200
    with query_budget(database, 1):
        assert (await api.delete(address)).status_code == 204
    for count in (1, 50):
        await store(database, *ProjectFactory.batch(count))
        with query_budget(database, 1):
            assert (await api.get(form.format("/projects"))).status_code == 200
