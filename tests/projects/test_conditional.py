"""A project's tag, which tells of its tasks and of one's role as well; and projects that take no blind writes."""

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
from tests.support.client import Api, assert_problem, tag_of
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory

# PUT answers as PATCH does: test_update.py.
WRITES: list[tuple[str, dict[str, Any]]] = [
    ("PATCH", {"json": {"name": "Studio"}}),
    ("DELETE", {}),
]
each_write = pytest.mark.parametrize(("method", "options"), WRITES, ids=[method for method, _ in WRITES])


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


async def test_tag_differs_by_role_and_each_allows_changes(api: Api, database: Database, project: Project) -> None:
    address = f"/projects/{project.id}"
    editor, admin = UserFactory.build(), UserFactory.build(is_superuser=True)
    await store(database, editor, admin)
    await add_member(database, project, editor, Role.EDITOR)
    owners = tag_of(await api.get(address))
    tags = {owners}
    for person, name in ((editor, "Studio"), (admin, "Atelier")):
        async with await api.as_(person) as other:
            own = tag_of(await other.get(address))
            tags.add(own)
            refused = await other.patch(address, json={"name": name}, headers={"If-Match": owners})
            assert_problem(refused, 412, "precondition_failed")
            assert refused.headers["etag"] == own
            assert tag_of(await other.patch(address, json={"name": name}, headers={"If-Match": own})) != own
    assert len(tags) == 3


@each_write
async def test_conditional_write_is_one_statement(
    api: Api, database: Database, project: Project, method: str, options: dict[str, Any]
) -> None:
    address = f"/projects/{project.id}"
    old = tag_of(await api.get(address))
    await store(database, TaskFactory.build(project_id=project.id))
    tag = tag_of(await api.get(address))
    for headers in ({"If-Match": old}, {"If-Match": f"W/{tag}"}, {"If-None-Match": "*"}, {"If-None-Match": tag}):
        with query_budget(database, 2):
            answer = await api.request(method, address, headers=headers, **options)
        assert_problem(answer, 412, "precondition_failed")
        assert answer.headers["etag"] == tag
    assert tag_of(await api.get(address)) == tag
    with query_budget(database, 1):
        answer = await api.request(method, address, headers={"If-Match": f"{old}, {tag}"}, **options)
    assert answer.is_success
    assert answer.status_code == 204 or tag_of(answer) == tag_of(await api.get(address)) != tag


@each_write
async def test_malformed_tag_is_refused_once_the_caller_is_admitted(
    api: Api, database: Database, project: Project, method: str, options: dict[str, Any]
) -> None:
    address, headers = f"/projects/{project.id}", {"If-Match": "p1"}
    problem = assert_problem(await api.request(method, address, headers=headers, **options), 400, "invalid_request")
    assert [error["parameter"] for error in problem["errors"]] == ["If-Match"]
    stranger, viewer = UserFactory.build(), UserFactory.build()
    await store(database, stranger, viewer)
    await add_member(database, project, viewer, Role.VIEWER)
    for person, status, code in ((stranger, 404, "project_not_found"), (viewer, 403, "role_required")):
        async with await api.as_(person) as other:
            for value in ("p1", '"p0"', "*"):
                answer = await other.request(method, address, headers={"If-Match": value}, **options)
                assert_problem(answer, status, code)


async def test_write_without_tag_is_allowed_by_default(api: Api) -> None:
    assert (await api.post("/projects/", json={"name": "Workshop"})).json()["require_if_match"] is False
    strict = await api.post("/projects/", json={"name": "Workshop", "require_if_match": True})
    assert strict.json()["require_if_match"] is True
    answer = await api.patch(f"/projects/{strict.json()['id']}", json={"name": "Studio"})
    assert_problem(answer, 428, "precondition_required")


@each_write
async def test_write_without_tag_is_428_for_writers_only(
    api: Api, database: Database, project: Project, method: str, options: dict[str, Any]
) -> None:
    address = f"/projects/{project.id}"
    tag = tag_of(await api.patch(address, json={"require_if_match": True}))
    assert_problem(await api.request(method, address, **options), 428, "precondition_required")
    answer = await api.request(method, address, headers={"If-None-Match": '"p0"'}, **options)
    assert_problem(answer, 428, "precondition_required")
    answer = await api.request(method, address, headers={"If-Match": '"p0"'}, **options)
    assert_problem(answer, 412, "precondition_failed")
    stranger, viewer = UserFactory.build(), UserFactory.build()
    await store(database, stranger, viewer)
    await add_member(database, project, viewer, Role.VIEWER)
    for person, status, code in ((stranger, 404, "project_not_found"), (viewer, 403, "role_required")):
        async with await api.as_(person) as other:
            assert_problem(await other.request(method, address, **options), status, code)
    for wanted in [tag] if method == "DELETE" else [tag, "*"]:
        assert (await api.request(method, address, headers={"If-Match": wanted}, **options)).is_success


async def test_clearing_require_if_match_needs_if_match(api: Api, project: Project) -> None:
    address = f"/projects/{project.id}"
    before = tag_of(await api.get(address))
    tag = tag_of(await api.patch(address, json={"require_if_match": True}))
    assert tag != before
    assert_problem(await api.patch(address, json={"require_if_match": False}), 428, "precondition_required")
    assert (await api.patch(address, json={"require_if_match": False}, headers={"If-Match": tag})).status_code == 200
    assert (await api.patch(address, json={"name": "Studio"})).status_code == 200


def test_new_response_schema_needs_a_new_tag_letter() -> None:
    """Where this fails, give tags another letter in `app.projects.scopes.tag`, so that nobody takes what they have of
    the old shape for what they would get.
    """
    shape = ["id", "name", "description", "require_if_match", "tasks_total", "tasks_completed", "role"]
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
