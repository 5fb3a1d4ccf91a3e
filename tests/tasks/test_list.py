"""Listing tasks: the order, the pages, the cost."""

import pytest

from app.auth.models import User
from app.core.database.database import Database
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory


async def test_the_highest_priority_comes_first_and_the_newest_among_equals(
    api: Api, user: User, database: Database
) -> None:
    project = await project_of(database, user)
    tasks = [TaskFactory.build(project_id=project.id, priority=priority) for priority in (1, 5, -3, 5, 0)]
    await store(database, *tasks)
    answer = (await api.get(f"/projects/{project.id}/tasks/")).json()
    assert [item["id"] for item in answer["items"]] == [str(tasks[i].id) for i in (3, 1, 0, 4, 2)]
    assert {key: answer[key] for key in ("total", "page", "size", "pages")} == {
        "total": 5,
        "page": 1,
        "size": 50,
        "pages": 1,
    }


async def test_page_beyond_the_last_is_empty_with_the_total(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    await store(database, *TaskFactory.batch(3, project_id=project.id))
    answer = (await api.get(f"/projects/{project.id}/tasks/?page=5000&size=2")).json()
    assert answer == {"items": [], "total": 3, "page": 5000, "size": 2, "pages": 2, "next_cursor": None}


@pytest.mark.parametrize(
    "query", [*("page=5001&size=2", "page=201", "page=101&size=100"), "page=10001&size=1", f"page={'9' * 30}"]
)
async def test_page_number_beyond_the_limit_is_refused_naming_cursors(
    api: Api, user: User, database: Database, query: str
) -> None:
    project = await project_of(database, user)
    problem = assert_problem(await api.get(f"/projects/{project.id}/tasks/?{query}"), 400, "page_too_deep")
    assert [error["parameter"] for error in problem["errors"]] == ["page"]
    assert "?cursor=" in problem["detail"]


async def test_empty_project_is_an_empty_page_missing_project_is_404(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    assert (await api.get(f"/projects/{project.id}/tasks/")).json()["items"] == []
    assert_problem(await api.get(f"/projects/{TaskFactory.build().id}/tasks/"), 404, "project_not_found")


async def test_one_row_and_fifty_rows_cost_the_same_statements(api: Api, user: User, database: Database) -> None:
    small, large = await project_of(database, user), await project_of(database, user)
    await store(
        database,
        TaskFactory.build(project_id=small.id),
        *TaskFactory.batch(50, project_id=large.id),
    )
    assert (await api.get("/projects/")).status_code == 200, "the caller is known from here on"
    for project in (small, large):
        with query_budget(database, 1):
            assert (await api.get(f"/projects/{project.id}/tasks/")).status_code == 200
