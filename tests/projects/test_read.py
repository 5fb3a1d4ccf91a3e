"""Reading projects with tags: a project's tag covers the counts of its tasks and the caller's own role."""

import random
from typing import Any

import pytest
from sqlalchemy import text

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Project, Role
from app.projects.schemas import ProjectRead
from tests.auth.factories import UserFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, tag_of
from tests.support.factories import store


@pytest.fixture
async def project(database: Database, user: User) -> Project:
    return await project_of(database, user, name="Workshop")


async def test_each_answer_with_a_project_has_its_tag(api: Api) -> None:
    created = await api.post("/projects/", json={"name": "Workshop"})
    address = f"/projects/{created.json()['id']}"
    first = tag_of(created)
    assert tag_of(await api.get(address)) == first
    changed = tag_of(await api.put(address, json={"name": "Studio"}))
    patched = tag_of(await api.patch(address, json={"description": "All of it"}))
    assert len({first, changed, patched}) == 3
    assert tag_of(await api.get(address)) == patched
    listed = await api.get("/projects/")
    assert [item["etag"] for item in listed.json()["items"]] == [patched]
    again = await api.get("/projects/", headers={"If-None-Match": listed.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", listed.headers["etag"])
    again = await api.get(address, headers={"If-None-Match": patched})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", patched)


async def test_every_list_has_a_tag(api: Api, database: Database, project: Project) -> None:
    for address in (f"/projects/{project.id}/members/", "/auth/sessions", "/auth/api-keys"):
        first = await api.get(address)
        again = await api.get(address, headers={"If-None-Match": first.headers["etag"]})
        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    members = await api.get(f"/projects/{project.id}/members/")
    person = UserFactory.build()
    await store(database, person)
    await add_member(database, project, person, Role.VIEWER)
    again = await api.get(f"/projects/{project.id}/members/", headers={"If-None-Match": members.headers["etag"]})
    assert again.status_code == 200


async def test_untagged_response_is_no_store(api: Api, project: Project) -> None:
    answers = [
        await api.get("/auth/me"),
        await api.get(f"/projects/{project.id}/members/{(await api.get('/auth/me')).json()['id']}"),
        await api.post("/auth/api-keys", json={"name": "nightly", "scopes": ["tasks:read"]}),
        await api.get("/projects/1"),
        await api.delete(f"/projects/{project.id}"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 201, 400, 204]
    for answer in answers:
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert "etag" not in answer.headers


async def test_tag_includes_counts_and_role(api: Api, database: Database, user: User, project: Project) -> None:
    address = f"/projects/{project.id}"
    tags = [tag_of(await api.get(address))]
    task = (await api.post(f"{address}/tasks/", json={"title": "Saw"})).json()
    tags.append(tag_of(await api.get(address)))
    await api.patch(f"/tasks/{task['id']}", json={"completed": True})
    tags.append(tag_of(await api.get(address)))
    await database.execute(text("UPDATE project_members SET role = 'editor'"))
    tags.append(tag_of(await api.get(address)))
    assert len(set(tags)) == 4
    # What it does not show is not.
    await api.patch(f"/tasks/{task['id']}", json={"title": "Sawn"})
    assert tag_of(await api.get(address)) == tags[-1]


def test_new_response_schema_needs_a_new_tag_letter() -> None:
    """Where this fails, give tags another letter in `app.projects.scopes.tag`, so that nobody takes what they have of
    the old shape for what they would get.
    """
    shape = ["id", "name", "description", "require_if_match", "is_archived", "tasks_total", "tasks_completed", "role"]
    assert list(ProjectRead.model_fields) == [*shape, "created_at", "updated_at", "etag"]


async def test_tag_changes_only_with_the_shown_members(
    api: Api, database: Database, user: User, project: Project
) -> None:
    """Random walks over changes of the project, of its tasks and of the role, of which many change nothing."""
    chance = random.Random(20261122)
    address = f"/projects/{project.id}"
    other = UserFactory.build()
    await store(database, other)
    await add_member(database, project, other, Role.OWNER)
    seen: dict[str, dict[str, Any]] = {}
    tasks: list[str] = []

    async def change_it() -> None:
        values: dict[str, list[Any]] = {
            "name": ["Workshop", "Studio"],
            "description": [None, "All"],
            "require_if_match": [True, False],
        }
        names = chance.sample(sorted(values), chance.randint(0, 2))
        body = {name: chance.choice(values[name]) for name in names}
        answer = await api.patch(address, json=body, headers={"If-Match": "*"})
        assert tag_of(answer) == tag_of(await api.get(address))

    async def add_task() -> None:
        tasks.append((await api.post(f"{address}/tasks/", json={"title": "Saw"})).json()["id"])

    async def change_task() -> None:
        body = chance.choice([{"completed": True}, {"completed": False}, {"title": "Sawn"}])
        await api.patch(f"/tasks/{chance.choice(tasks)}", json=body, headers={"If-Match": "*"})

    async def delete_task() -> None:
        task = tasks.pop(chance.randrange(len(tasks)))
        await api.delete(f"/tasks/{task}", headers={"If-Match": "*"})

    async def change_role() -> None:
        statement = text("UPDATE project_members SET role = :role WHERE user_id = :id")
        await database.execute(statement, {"role": chance.choice(["editor", "owner"]), "id": user.id})

    shown = (await api.get(address)).json()
    moved = 0
    for _ in range(200):
        await chance.choice([change_it, add_task, change_role, *([change_task, delete_task] if tasks else [])])()
        answer = await api.get(address)
        tag = tag_of(answer)
        assert (answer.json() == shown) == (tag == shown["etag"])
        assert seen.setdefault(tag, answer.json()) == answer.json()
        (listed,) = (await api.get("/projects/")).json()["items"]
        assert listed == answer.json()
        moved += tag != shown["etag"]
        shown = answer.json()
    assert 40 < moved < 190
