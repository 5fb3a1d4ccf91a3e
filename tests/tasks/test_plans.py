"""How PostgreSQL runs the list of tasks where there are many: off the index, in order, without sorting."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.core.config import Settings
from app.core.database import BY_INDEX, Database
from app.main import create_app
from tests.auth.factories import UserFactory
from tests.projects.factories import project_of
from tests.support import server
from tests.support.client import Api
from tests.support.factories import store

TASKS = 100_000
PROJECTS = 20

pytestmark = pytest.mark.xdist_group("plans")  # one worker fills the database

FILL = """
    INSERT INTO tasks (id, project_id, title, priority)
    SELECT gen_random_uuid(), (SELECT id FROM projects ORDER BY id OFFSET project LIMIT 1), 'A task', number % 7
    FROM generate_series(0, :projects - 1) AS project, generate_series(1, :tasks / :projects) AS number
"""


@pytest.fixture(scope="module")
def crowded_url(server_url: str, worker_id: str) -> Iterator[str]:
    """A database of this module's own: 100 000 rows would slow down the cleaning after other tests."""
    template = os.environ[server.TEMPLATE_VARIABLE]
    with server.database_copy(server_url, f"{server.PREFIX}plans_{worker_id}_{os.getpid()}", template) as url:
        yield url


@pytest.fixture(scope="module")
async def crowded(crowded_url: str, settings: Settings) -> AsyncIterator[FastAPI]:
    """The application on twenty projects of 5 000 tasks each."""
    app = create_app(settings.model_copy(update={**server.way_to(crowded_url), "statement_timeout": 60}))
    async with app.router.lifespan_context(app):
        database: Database = app.state.database
        user = UserFactory.build()
        await store(database, user)
        app.state.project = [await project_of(database, user) for _ in range(PROJECTS)][PROJECTS // 2]
        app.state.user = user
        await database.rows(text(FILL), {"projects": PROJECTS, "tasks": TASKS})
        await database.rows(text("ANALYZE"))
        yield app


async def plan_of(app: FastAPI, url: str, path: str, *, total: int = TASKS // PROJECTS) -> dict[str, Any]:
    """The plan of the statement that lists tasks, taken as it leaves for PostgreSQL, with its parameters."""
    sent: list[tuple[str, list[Any]]] = []

    def record(statement: str, parameters: list[Any]) -> None:
        sent.append((statement, parameters))

    database: Database = app.state.database
    database.observers.append(record)
    try:
        async with await Api(app).as_(app.state.user) as api:
            answer = await api.get(path)
    finally:
        database.observers.remove(record)
    assert (answer.status_code, answer.json()["total"]) == (200, total)
    statement, parameters = next(one for one in sent if "FROM tasks" in one[0])
    connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
    try:
        # The plan that serves any values, as in the service: what is given here does not matter.
        for name, value in BY_INDEX.items():
            await connection.execute(f"SET {name} = {value}")
        await connection.execute(f"PREPARE page AS {statement}")
        given = ", ".join("NULL" for _ in parameters)
        explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE page ({given})")
    finally:
        await connection.close()
    plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize("query", ["", "?page=2&size=100", "?page=20&size=100", "?page=1&size=1"])
async def test_a_page_among_100_000_tasks_is_read_off_the_index_without_sort_or_sequential_scan(
    crowded: FastAPI, crowded_url: str, query: str
) -> None:
    plan = await plan_of(crowded, crowded_url, f"/projects/{crowded.state.project.id}/tasks/{query}")
    found = list(nodes(plan))
    assert not [node["Node Type"] for node in found if "Sort" in node["Node Type"]]
    assert not [node for node in found if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "tasks"]
    items = next(node for node in found if node["Node Type"] == "Limit")
    scan = next(node for node in nodes(items) if "Scan" in node["Node Type"] and node.get("Relation Name") == "tasks")
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", "tasks_by_priority_idx")


async def test_without_that_index_the_same_statement_sorts(crowded: FastAPI, crowded_url: str) -> None:
    database: Database = crowded.state.database
    path = f"/projects/{crowded.state.project.id}/tasks/"
    await database.rows(text("DROP INDEX tasks_by_priority_idx"))
    try:
        plan = await plan_of(crowded, crowded_url, path)
    finally:
        await database.rows(text("CREATE INDEX tasks_by_priority_idx ON tasks (project_id, priority DESC, id DESC)"))
    assert any("Sort" in node["Node Type"] for node in nodes(plan))


async def test_where_one_project_has_all_the_tasks_its_pages_are_read_off_the_index_too(
    crowded: FastAPI, crowded_url: str
) -> None:
    """The one plan for any values must not be made for the average project. (The last test: it moves the tasks.)"""
    database: Database = crowded.state.database
    largest = crowded.state.project
    await database.rows(text("UPDATE tasks SET project_id = :id"), {"id": largest.id})
    await database.rows(text("ANALYZE"))
    async with await Api(crowded).as_(crowded.state.user) as api:
        assert (await api.get(f"/projects/{largest.id}/tasks/")).json()["total"] == TASKS
    plan = await plan_of(crowded, crowded_url, f"/projects/{largest.id}/tasks/", total=TASKS)
    found = list(nodes(plan))
    assert not [node["Node Type"] for node in found if "Sort" in node["Node Type"] or node["Node Type"] == "Seq Scan"]
