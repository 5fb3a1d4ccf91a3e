"""Asking for some tasks: what the parameters let through is what they say, alone and together, and what is refused."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Project
from app.tasks.models import Task
from tests.auth.factories import UserFactory
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
MOMENT = "2026-11-04T12:00:00Z"
DAY = date(2026, 12, 3)

CASES: dict[str, Callable[[Task], bool]] = {
    "completed=true": lambda task: task.completed,
    "completed=false": lambda task: not task.completed,
    "priority=1": lambda task: task.priority == 1,
    "priority_gte=1": lambda task: task.priority >= 1,
    "priority_gt=1": lambda task: task.priority > 1,
    "priority_lte=0": lambda task: task.priority <= 0,
    "priority_lt=0": lambda task: task.priority < 0,
    "priority_gte=-1&priority_lt=2": lambda task: -1 <= task.priority < 2,
    "due_date=2026-12-03": lambda task: task.due_date == DAY,
    "due_date_is_null=true": lambda task: task.due_date is None,
    "due_date_is_null=false": lambda task: task.due_date is not None,
    "due_date_is_null=false&due_date_lt=2026-12-03": lambda task: task.due_date is not None and task.due_date < DAY,
    "due_date_gte=2026-12-03": lambda task: task.due_date is not None and task.due_date >= DAY,
    "due_date_gt=2026-12-03": lambda task: task.due_date is not None and task.due_date > DAY,
    "due_date_lte=2026-12-03": lambda task: task.due_date is not None and task.due_date <= DAY,
    "due_date_lt=2026-12-03": lambda task: task.due_date is not None and task.due_date < DAY,
    f"created_at_gte={MOMENT}": lambda task: task.created_at >= datetime.fromisoformat(MOMENT),
    "created_at_gt=2026-11-04T13:00:00%2B01:00": lambda task: task.created_at > datetime.fromisoformat(MOMENT),
    f"created_at_lte={MOMENT}": lambda task: task.created_at <= datetime.fromisoformat(MOMENT),
    f"created_at_lt={MOMENT}": lambda task: task.created_at < datetime.fromisoformat(MOMENT),
    f"updated_at_gte={MOMENT}": lambda task: task.updated_at >= datetime.fromisoformat(MOMENT),
    f"updated_at_lt={MOMENT}&completed=true&due_date_is_null=true": lambda task: (
        task.updated_at < datetime.fromisoformat(MOMENT) and task.completed and task.due_date is None
    ),
    "q=saw": lambda task: "saw" in task.title.lower(),
    "q=saw&completed=false": lambda task: "saw" in task.title.lower() and not task.completed,
}


async def varied_tasks(database: Database, project: Project, count: int) -> list[Task]:
    chance = random.Random(count)
    tasks = [
        TaskFactory.build(
            project_id=project.id,
            title=chance.choice(("Saw the oak", "Plane the oak", "SAW it")),
            description=None,
            priority=chance.randint(-2, 2),
            completed=chance.random() < 0.5,
            due_date=chance.choice((None, DAY - timedelta(1), DAY, DAY + timedelta(1))),
            created_at=START + timedelta(days=chance.randint(0, 6)),
            updated_at=START + timedelta(days=chance.randint(0, 6)),
        )
        for _ in range(count)
    ]
    await store(database, *tasks)
    return tasks


@pytest.mark.parametrize("sort", ["", "&sort=due_date"])
async def test_filter_selects_the_matching_tasks(api: Api, user: User, database: Database, sort: str) -> None:
    project, other = await project_of(database, user), await project_of(database, user)
    tasks, more = await varied_tasks(database, project, 40), await varied_tasks(database, other, 5)
    for query, matches in CASES.items():
        wanted = {str(task.id) for task in tasks if matches(task)}
        assert 0 < len(wanted) < 40
        page = (await api.get(f"/projects/{project.id}/tasks/?{query}{sort}&size=100")).json()
        assert {item["id"] for item in page["items"]} == wanted, query
        assert (page["total"], page["pages"]) == (len(wanted), 1), query
        everywhere = (await api.get(f"/tasks/?{query}{sort}&size=100")).json()
        assert {item["id"] for item in everywhere["items"]} == wanted | {str(t.id) for t in more if matches(t)}, query
        assert everywhere["total"] == len(everywhere["items"]), query
        by_cursor: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            page = (await api.get(f"/projects/{project.id}/tasks/?{query}{sort}&size=9&cursor={cursor}")).json()
            by_cursor |= {item["id"] for item in page["items"]}
            cursor = page["next_cursor"]
        assert by_cursor == wanted, query


async def test_list_of_all_tasks_can_be_filtered_by_projects(
    api: Api, anonymous: Api, user: User, database: Database
) -> None:
    ben = UserFactory.build()
    await store(database, ben)
    mine = [await project_of(database, user) for _ in range(3)]
    theirs = await project_of(database, ben)
    for project in (*mine, theirs):
        await store(database, *TaskFactory.batch(2, project_id=project.id, completed=True))
    named = f"project_id={mine[0].id}&project_id={mine[1].id}&project_id={theirs.id}"
    assert (await api.get("/tasks/")).status_code == 200
    for more in ("", "&completed=true", "&priority_gte=-2147483648"):
        with query_budget(database, 1):
            page = (await api.get(f"/tasks/?{named}{more}")).json()
        assert {item["project_id"] for item in page["items"]} == {str(mine[0].id), str(mine[1].id)}, "never theirs"
        assert page["total"] == len(page["items"]) == 4
    answer = await api.get("/tasks/?" + "&".join(f"project_id={mine[0].id}" for _ in range(101)))
    problem = assert_problem(answer, 400, "invalid_request")
    assert [error["parameter"] for error in problem["errors"]] == ["project_id"]


BAD = [
    ("completed=1", "completed", "bool_parsing"),
    ("completed=", "completed", "bool_parsing"),
    ("priority=1.0", "priority", "int_parsing"),
    ("priority_gte=", "priority_gte", "int_parsing"),
    ("priority_gte=2147483648", "priority_gte", "less_than_equal"),
    ("priority_ne=1", "priority_ne", "unknown"),
    ("priority_gte=1&priority_gte=2", "priority_gte", "repeated"),
    ("priority_gte=2&priority_lte=1", "priority_gte", "contradiction"),
    ("priority_gt=1&priority_lt=2", "priority_gt", "contradiction"),
    ("priority_gt=1&priority=1", "priority_gt", "contradiction"),
    ("due_date=none", "due_date", "date_format"),
    ("due_date=2026-02-30", "due_date", "date_impossible"),
    ("due_date_gte=null", "due_date_gte", "date_format"),
    ("due_date_gt=2026-12-03&due_date_lt=2026-12-04", "due_date_gt", "contradiction"),
    ("due_date_gt=9999-12-31", "due_date_gt", "contradiction"),
    ("due_date_lt=0001-01-01", "due_date_lt", "contradiction"),
    ("due_date=null", "due_date", "date_format"),
    ("due_date_is_null=null", "due_date_is_null", "bool_parsing"),
    ("due_date_is_null=true&due_date_lte=2026-12-03", "due_date_lte", "contradiction"),
    ("due_date_is_null=true&due_date=2026-12-03", "due_date", "contradiction"),
    ("priority_is_null=true", "priority_is_null", "unknown"),
    ("priority[gte]=1", "priority[gte]", "unknown"),
    ("created_at_gte=2026-11-04", "created_at_gte", "datetime_format"),
    ("created_at_gte=2026-11-04T12:00:00", "created_at_gte", "datetime_format"),
    ("created_at_gte=2026-11-04T12:00:00+01:00", "created_at_gte", "datetime_format"),
    ("created_at_gte=2026-11-31T12:00:00Z", "created_at_gte", "datetime_impossible"),
    ("created_at_lt=0000-01-01T00:00:00Z", "created_at_lt", "datetime_impossible"),
    ("created_at=2026-11-04T12:00:00Z", "created_at", "unknown"),
    ("updated_at_gt=2026-11-04T12:00:00Z&updated_at_lt=2026-11-04T12:00:00Z", "updated_at_gt", "contradiction"),
    ("project_id=01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11", "project_id", "unknown"),
    ("q=", "q", "string_too_short"),
    ("q=%20", "q", "blank"),
    ("q=%00", "q", "nul_character"),
    ("q=" + "a" * 201, "q", "string_too_long"),
    ("sort=", "sort", "unknown_name"),
    ("sort=id", "sort", "unknown_name"),
    ("sort=--title", "sort", "unknown_name"),
    ("sort=title,", "sort", "unknown_name"),
    ("sort=title,-title", "sort", "repeated_name"),
    ("sort=-relevance", "sort", "contradiction"),
    ("fields=id", "fields", "unknown"),
]


@pytest.mark.parametrize(("query", "parameter", "code"), BAD)
async def test_malformed_or_contradictory_filter_is_400_naming_it(
    api: Api, user: User, database: Database, query: str, parameter: str, code: str
) -> None:
    project = await project_of(database, user)
    problem = assert_problem(await api.get(f"/projects/{project.id}/tasks/?{query}"), 400, "invalid_request")
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [(parameter, code)]


async def test_unknown_parameter_is_400_listing_the_known_ones(api: Api) -> None:
    problem = assert_problem(await api.get("/tasks/?sort=prio"), 400, "invalid_request")
    assert all(name in problem["detail"] for name in ("priority", "due_date", "relevance"))


async def test_stranger_gets_404_even_if_a_filter_is_malformed(anonymous: Api, user: User, database: Database) -> None:
    ben = UserFactory.build()
    await store(database, ben)
    project = await project_of(database, user)
    async with await anonymous.as_(ben) as stranger:
        for query in ("sort=prio", "priority_gt=1&priority_lt=2", "page=201", "cursor=abc"):
            assert_problem(await stranger.get(f"/projects/{project.id}/tasks/?{query}"), 404, "project_not_found")


async def test_links_keep_the_filters(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    await store(database, *TaskFactory.batch(3, project_id=project.id, title="Saw & plane", completed=True))
    query = f"completed=true&q={quote('saw & plane')}&sort=due_date,-priority&priority_gte=-2147483648"
    answer: Any = await api.get(f"/projects/{project.id}/tasks/?{query}&size=2")
    target = answer.headers["link"].rpartition("<")[2].partition(">")[0]
    assert " " not in target
    following = await api.get(target)
    assert len(following.json()["items"]) == 1
    assert following.json()["total"] == 3
