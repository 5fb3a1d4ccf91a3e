"""What a project's tasks amount to."""

from datetime import UTC, datetime, timedelta

from app.auth.models import User
from app.core.database import Database
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory


async def test_it_counts_what_is_done_late_and_due(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    today = datetime.now(UTC).date()
    days = [None, -1, 0, 7, 8]
    for completed in (True, False):
        for number, days_left in enumerate(days):
            due_date = None if days_left is None else today + timedelta(days_left)
            await store(
                database,
                TaskFactory.build(project_id=project.id, completed=completed, due_date=due_date, priority=number % 2),
            )
    await api.get("/auth/me")
    with query_budget(database, 1):
        answer = (await api.get(f"/projects/{project.id}/summary")).json()
    assert answer == {
        "tasks_total": 10,
        "tasks_completed": 5,
        "overdue": 1,
        "due_soon": 2,
        "by_priority": [
            {"priority": 1, "tasks_total": 4, "tasks_completed": 2},
            {"priority": 0, "tasks_total": 6, "tasks_completed": 3},
        ],
    }


async def test_without_tasks_all_is_zero_and_without_a_project_it_is_not_there(
    api: Api, user: User, database: Database
) -> None:
    project = await project_of(database, user)
    nothing = {"tasks_total": 0, "tasks_completed": 0, "overdue": 0, "due_soon": 0, "by_priority": []}
    assert (await api.get(f"/projects/{project.id}/summary")).json() == nothing
    assert_problem(await api.get(f"/projects/{TaskFactory.build().id}/summary"), 404, "project_not_found")


async def test_of_many_priorities_the_highest_are_listed_and_all_are_counted(
    api: Api, user: User, database: Database
) -> None:
    project = await project_of(database, user)
    await store(database, *(TaskFactory.build(project_id=project.id, priority=number) for number in range(130)))
    answer = (await api.get(f"/projects/{project.id}/summary")).json()
    assert answer["tasks_total"] == 130
    assert [item["priority"] for item in answer["by_priority"]] == list(range(129, 29, -1))
