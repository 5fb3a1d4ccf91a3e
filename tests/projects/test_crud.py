"""A project's life, at every form of its address, and what each operation costs."""

from typing import Any

import pytest

from app.core.database.database import Database
from tests.projects.factories import ProjectFactory
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.support.samples import FORMS


@pytest.mark.parametrize("form", FORMS)
async def test_a_project_lives_from_post_to_delete(api: Api, form: str) -> None:
    created = await api.post(form.format("/projects"), json={"name": "Workshop", "description": "All of it"})
    assert created.status_code == 201
    project = created.json()
    assert list(project) == [
        "id",
        "name",
        "description",
        "require_if_match",
        "is_archived",
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


async def test_each_operation_costs_one_statement_once_the_caller_is_known(api: Api, database: Database) -> None:
    with query_budget(database, 2):
        assert (await api.get("/projects/")).status_code == 200
    with query_budget(database, 1):
        created = await api.post("/projects", json={"name": "Workshop"})
    address = f"/projects/{created.json()['id']}"
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
            assert (await api.get("/projects")).status_code == 200
