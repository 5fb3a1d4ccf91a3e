"""What a project's tasks amount to."""

from datetime import UTC, date, datetime, timedelta

import pytest

from app.auth.models import User
from app.core.database.database import Database
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory


async def test_summary_counts_completed_overdue_and_due_tasks(api: Api, user: User, database: Database) -> None:
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


async def test_empty_project_sums_to_zero_missing_project_is_404(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    nothing = {"tasks_total": 0, "tasks_completed": 0, "overdue": 0, "due_soon": 0, "by_priority": []}
    assert (await api.get(f"/projects/{project.id}/summary")).json() == nothing
    assert_problem(await api.get(f"/projects/{TaskFactory.build().id}/summary"), 404, "project_not_found")


async def test_summary_lists_the_highest_priorities_and_counts_all(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    await store(database, *(TaskFactory.build(project_id=project.id, priority=number) for number in range(130)))
    answer = (await api.get(f"/projects/{project.id}/summary")).json()
    assert answer["tasks_total"] == 130
    assert [item["priority"] for item in answer["by_priority"]] == list(range(129, 29, -1))


async def test_parameter_today_sets_the_day(api: Api, user: User, database: Database) -> None:
    # 20:00 of UTC on the 1st is 09:00 on the 2nd in Auckland.
    project = await project_of(database, user)
    for day in (date.min, date(2026, 11, 30), date(2026, 12, 1), date(2026, 12, 8), date(2026, 12, 9), date.max):
        await store(database, TaskFactory.build(project_id=project.id, completed=False, due_date=day))
    for today, expected in {
        "2026-12-01": (2, 2),
        "2026-12-02": (3, 2),
        "0001-01-01": (0, 1),
        "0001-01-02": (1, 0),
        "9999-12-31": (5, 1),
    }.items():
        answer = (await api.get(f"/projects/{project.id}/summary?today={today}")).json()
        assert (answer["overdue"], answer["due_soon"]) == expected, today
        assert answer["tasks_total"] == 6
    utc = datetime.now(UTC).date()
    plain = await api.get(f"/projects/{project.id}/summary")
    assert plain.json() == (await api.get(f"/projects/{project.id}/summary?today={utc}")).json()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("today=tomorrow", "date_format"),
        ("today=2026-02-30", "date_impossible"),
        ("today=2026-12-01T00:00:00Z", "date_format"),
        ("today=", "date_format"),
        ("today=2026-12-01&today=2026-12-02", "repeated"),
        ("tomorrow=2026-12-01", "unknown"),
    ],
)
async def test_invalid_day_is_400_naming_it(api: Api, user: User, database: Database, query: str, code: str) -> None:
    project = await project_of(database, user)
    problem = assert_problem(await api.get(f"/projects/{project.id}/summary?{query}"), 400, "invalid_request")
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [(query.partition("=")[0], code)]
