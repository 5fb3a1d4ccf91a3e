"""Blockers: which tasks a task waits for, without circles and within its project, whoever writes, and when two do."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text

from app.auth.models import User
from app.core.database.database import ConstraintError, Database
from app.core.ids import uuid7
from app.projects.models import Project
from app.tasks.models import MAX_BLOCKERS, Task
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskBlockerFactory, TaskFactory
from tests.tasks.test_listed_races import statuses

TIMES = 25

WRONG = """
    SELECT task_id FROM task_blockers AS edge
    WHERE NOT EXISTS (SELECT FROM tasks WHERE id = edge.task_id AND project_id = edge.project_id)
    OR NOT EXISTS (SELECT FROM tasks WHERE id = edge.blocker_id AND project_id = edge.project_id)
    OR EXISTS (
        WITH RECURSIVE needed AS (
            SELECT edge.blocker_id AS id
            UNION SELECT found.blocker_id FROM needed JOIN task_blockers AS found ON found.task_id = needed.id
        )
        SELECT FROM needed WHERE id = edge.task_id
    )
"""


async def wrong(database: Database) -> Sequence[Any]:
    """Blockers that close a circle or lead out of their project. There are none."""
    return await database.fetch_all(text(WRONG))


async def tasks_in(database: Database, project: Project, number: int, **values: Any) -> list[Task]:
    """New tasks of a project, in the order of their ids."""
    tasks = [TaskFactory.build(id=uuid7(), project_id=project.id, completed=False, **values) for _ in range(number)]
    await store(database, *tasks)
    return tasks


def at(task: Task, blocker: Task) -> str:
    """The address of a blocker."""
    return f"/tasks/{task.id}/blockers/{blocker.id}"


async def ids(api: Api, address: str) -> list[UUID]:
    """The ids of a list, which a walk by cursor shows in the same order, one by one."""
    page = (await api.get(address)).json()
    shown = [UUID(item["id"]) for item in page["items"]]
    assert page["total"] == len(shown)
    walked: list[UUID] = []
    cursor: str | None = ""
    while cursor is not None:
        step = (await api.get(f"{address}{'&' if '?' in address else '?'}size=1&cursor={cursor}")).json()
        walked += [UUID(item["id"]) for item in step["items"]]
        cursor = step["next_cursor"]
    assert walked == shown
    return shown


async def test_blockers_are_added_listed_and_removed(api: Api, user: User, database: Database) -> None:
    task, first, second, other = await tasks_in(database, await project_of(database, user), 4)
    before = (await api.get(f"/tasks/{task.id}")).json()
    for blocker in (second, first, first):
        with query_budget(database, 1):
            added = await api.put(at(task, blocker))
        assert (added.status_code, added.content) == (204, b"")
    await api.put(at(other, first))
    assert await ids(api, f"/tasks/{task.id}/blockers/") == [first.id, second.id]
    assert await ids(api, f"/tasks/{first.id}/blocking/") == [task.id, other.id]
    with query_budget(database, 1):
        listed = (await api.get(f"/tasks/{task.id}/blockers/")).json()
    assert listed["items"][0] == (await api.get(f"/tasks/{first.id}")).json()
    assert (await api.get(f"/tasks/{task.id}")).json() == before, "what it waits for is no part of it"
    assert (await api.delete(at(task, first))).status_code == 204
    assert_problem(await api.delete(at(task, first)), 404, "task_not_found")
    assert await ids(api, f"/tasks/{task.id}/blockers/") == [second.id]
    assert await ids(api, f"/tasks/{first.id}/blocking/") == [other.id]


async def test_blocker_outside_the_project_is_404(api: Api, user: User, database: Database) -> None:
    (task,) = await tasks_in(database, await project_of(database, user), 1)
    (elsewhere,) = await tasks_in(database, await project_of(database, user), 1)
    for address in (at(task, elsewhere), f"/tasks/{task.id}/blockers/{uuid7()}"):
        assert_problem(await api.put(address), 404, "task_not_found")
        assert_problem(await api.delete(address), 404, "task_not_found")
    assert await ids(api, f"/tasks/{task.id}/blockers/") == []


@pytest.mark.parametrize("length", [1, 2, 5])
async def test_circle_of_blockers_is_409(api: Api, user: User, database: Database, length: int) -> None:
    tasks = await tasks_in(database, await project_of(database, user), length)
    for task, blocker in pairwise(tasks):
        assert (await api.put(at(task, blocker))).status_code == 204
    assert_problem(await api.put(at(tasks[-1], tasks[0])), 409, "blocker_cycle")
    assert await ids(api, f"/tasks/{tasks[-1].id}/blockers/") == []


async def test_a_task_has_at_most_50_blockers(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    task, *blockers, beyond = await tasks_in(database, project, MAX_BLOCKERS + 3)
    most = blockers[: MAX_BLOCKERS - 1]
    await store(
        database,
        *(TaskBlockerFactory.build(task_id=task.id, blocker_id=one.id, project_id=project.id) for one in most),
    )
    # Two at once, for one place.
    assert sorted(await statuses(*(api.put(at(task, one)) for one in blockers[-2:]))) == [204, 409]
    refused = assert_problem(await api.put(at(task, beyond)), 409, "too_many_blockers")
    assert str(MAX_BLOCKERS) in refused["detail"]
    assert (await api.put(at(task, blockers[0]))).status_code == 204, "it is there"


async def test_is_blocked_asks_whether_a_blocker_is_open(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    waiting, open_, done, free = await tasks_in(database, project, 4, priority=0)
    (elsewhere,) = await tasks_in(database, await project_of(database, user), 1, priority=0)
    for blocker in (open_, done):
        await api.put(at(waiting, blocker))
    await api.put(at(free, done))
    await api.patch(f"/tasks/{done.id}", json={"completed": True})
    for address, others in ((f"/projects/{project.id}/tasks/", set()), ("/tasks/", {elsewhere.id})):
        assert await ids(api, f"{address}?is_blocked=true") == [waiting.id]
        unblocked = {open_.id, done.id, free.id} | others
        assert set(await ids(api, f"{address}?is_blocked=false")) == unblocked
    await api.patch(f"/tasks/{open_.id}", json={"completed": True})
    assert await ids(api, "/tasks/?is_blocked=true") == []
    wrong_value = assert_problem(await api.get("/tasks/?is_blocked=1"), 400, "invalid_request")
    assert wrong_value["errors"][0]["parameter"] == "is_blocked"


@pytest.mark.parametrize("goes", ["deleted", "moved"])
async def test_task_that_goes_leaves_its_blockers(api: Api, user: User, database: Database, goes: str) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    before, task, after = await tasks_in(database, project, 3)
    await api.put(at(after, task))
    await api.put(at(task, before))
    if goes == "deleted":
        assert (await api.delete(f"/tasks/{task.id}")).status_code == 204
    else:
        assert (await api.patch(f"/tasks/{task.id}", json={"project_id": str(other.id)})).status_code == 200
        assert await ids(api, f"/tasks/{task.id}/blockers/") == []
    assert await ids(api, f"/tasks/{after.id}/blockers/") == []
    assert await ids(api, f"/tasks/{before.id}/blocking/") == []
    assert (await api.put(at(before, after))).status_code == 204, "no circle is left"


async def test_concurrent_calls_that_close_a_circle_leave_it_open(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    for number in range(TIMES):
        tasks = await tasks_in(database, project, 2 + number % 3)
        pairs = zip(tasks, [*tasks[1:], tasks[0]], strict=True)
        done = await statuses(*(api.put(at(task, blocker)) for task, blocker in pairs))
        assert sorted(done) == [204] * (len(tasks) - 1) + [409]
    assert await wrong(database) == []


@pytest.mark.parametrize("goes", ["move", "delete", "project"])
async def test_blocker_added_while_a_task_goes_is_not_left(api: Api, user: User, database: Database, goes: str) -> None:
    other = await project_of(database, user)
    for _ in range(TIMES):
        project = await project_of(database, user)
        task, blocker, third = await tasks_in(database, project, 3)
        going = {
            "move": api.patch(f"/tasks/{blocker.id}", json={"project_id": str(other.id)}),
            "delete": api.delete(f"/tasks/{blocker.id}"),
            "project": api.delete(f"/projects/{project.id}"),
        }
        call = going.pop(goes)
        for unused in going.values():
            unused.close()
        done = await statuses(
            api.put(at(task, blocker)),
            call,
            api.put(at(blocker, third)),
            api.patch(f"/tasks/{third.id}", json={"title": "Plane"}),
        )
        assert set(done) <= {200, 204, 404}, done
    assert await wrong(database) == []


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("INSERT INTO task_blockers VALUES ('{0}', '{1}', '{project}'), ('{1}', '{0}', '{project}')", "cycle"),
        ("INSERT INTO task_blockers VALUES ('{0}', '{0}', '{project}')", "cycle"),
        ("INSERT INTO task_blockers VALUES ('{0}', '{2}', '{project}')", "project"),
        ("INSERT INTO task_blockers VALUES ('{0}', '{2}', '{other}')", "project"),
        ("INSERT INTO task_blockers VALUES ('{0}', '{1}', '{other}')", "project"),
    ],
)
async def test_sql_makes_no_wrong_blocker(user: User, database: Database, statement: str, constraint: str) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    here, there = await tasks_in(database, project, 2), await tasks_in(database, other, 1)
    sql = statement.format(*(task.id for task in here + there), project=project.id, other=other.id)
    with pytest.raises(ConstraintError, match=f"task_blockers_{constraint}"):
        await database.execute(text(sql))
    assert await wrong(database) == []


async def test_sql_cannot_change_blockers_or_trust_old_snapshots(user: User, database: Database) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    task, blocker = await tasks_in(database, project, 2)
    row = TaskBlockerFactory.build(task_id=task.id, blocker_id=blocker.id, project_id=project.id)
    await store(database, row)
    for isolation, statement in (
        ("read committed", f"UPDATE task_blockers SET task_id = blocker_id WHERE task_id = '{task.id}'"),
        ("repeatable read", f"INSERT INTO task_blockers VALUES ('{blocker.id}', '{task.id}', '{project.id}')"),
        ("serializable", f"UPDATE tasks SET project_id = '{other.id}' WHERE id = '{task.id}'"),
    ):
        with pytest.raises(asyncpg.FeatureNotSupportedError):
            async with database.transaction() as transaction:
                await transaction.command(f"SET LOCAL transaction_isolation = '{isolation}'; {statement}")
    assert len(await database.fetch_all(text("SELECT FROM task_blockers"))) == 1
