"""Updating and deleting projects with preconditions, and projects that require `If-Match`."""

from typing import Any

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Project, Role
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
