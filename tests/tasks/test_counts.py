"""The totals that the database keeps are the truth, whatever is done to the tasks."""

import asyncio
import random
import re
from typing import Any

import pytest
from sqlalchemy import text

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Project
from app.tasks.queries import wrong_counts
from tests.projects.factories import project_of
from tests.support.client import Api
from tests.support.factories import store
from tests.tasks.factories import TaskFactory


async def counts_of(api: Api, project: Project) -> tuple[int, int]:
    answer = (await api.get(f"/projects/{project.id}")).json()
    return answer["tasks_total"], answer["tasks_completed"]


async def test_project_has_counts_of_all_and_completed_tasks(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    assert await counts_of(api, project) == (0, 0)
    tasks = [(await api.post(f"/projects/{project.id}/tasks/", json={"title": "Saw"})).json() for _ in range(3)]
    assert await counts_of(api, project) == (3, 0)
    await api.patch(f"/tasks/{tasks[0]['id']}", json={"completed": True})
    await api.patch(f"/tasks/{tasks[0]['id']}", json={"title": "Sawn"})
    assert await counts_of(api, project) == (3, 1)
    await api.delete(f"/tasks/{tasks[0]['id']}")
    assert await counts_of(api, project) == (2, 0)
    listed = (await api.get("/projects/")).json()["items"]
    assert [(item["tasks_total"], item["tasks_completed"]) for item in listed] == [(2, 0)]
    assert (await api.get(f"/projects/{project.id}/tasks/?page=7")).json()["total"] == 2
    assert (await api.get("/tasks/")).json()["total"] == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tasks SET completed = NOT completed",
        "UPDATE tasks SET project_id = (SELECT min(id::text)::uuid FROM projects)",
        "UPDATE tasks SET title = 'x', priority = 7",
        "DELETE FROM tasks WHERE completed",
        "TRUNCATE tasks CASCADE",
        "WITH gone AS (DELETE FROM tasks RETURNING *) INSERT INTO tasks SELECT * FROM gone",
        "DELETE FROM projects WHERE id = (SELECT min(id::text)::uuid FROM projects)",
        "INSERT INTO tasks (id, project_id, title, completed) SELECT gen_random_uuid(), id, 'x', true FROM projects",
        "UPDATE tasks SET id = id WHERE false",
    ],
)
async def test_counts_are_right_after_raw_sql(database: Database, user: User, statement: str) -> None:
    for size in (3, 5):
        project = await project_of(database, user)
        await store(database, *TaskFactory.batch(size, project_id=project.id))
    await database.execute(text(statement))
    assert await database.fetch_all(wrong_counts()) == []


async def test_rolled_back_tasks_are_not_counted(database: Database, user: User) -> None:
    project = await project_of(database, user)

    async def break_off() -> None:
        async with database.transaction() as transaction:
            await store(transaction, TaskFactory.build(project_id=project.id))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await break_off()
    assert await database.fetch_all(wrong_counts()) == []
    assert await database.fetch_one_or_none(
        text("SELECT coalesce(sum(total), 0)::int AS n FROM project_task_counts")
    ) == {"n": 0}


async def test_counts_are_right_after_concurrent_writes(api: Api, user: User, database: Database) -> None:
    projects = [await project_of(database, user) for _ in range(2)]
    chance = random.Random(20261122)
    alive: list[str] = []

    async def write(number: int) -> None:
        what = chance.random()
        if what < 0.5 or not alive:
            body: dict[str, Any] = {"title": f"Task {number}", "completed": chance.random() < 0.3}
            answer = await api.post(f"/projects/{chance.choice(projects).id}/tasks/", json=body)
            alive.append(answer.json()["id"])
        elif what < 0.75:
            await api.patch(f"/tasks/{chance.choice(alive)}", json={"completed": chance.random() < 0.5})
        elif what < 0.85:
            target = chance.choice(projects).id
            move = text("UPDATE tasks SET project_id = :target WHERE id = :id")
            await database.execute(move, {"target": target, "id": chance.choice(alive)})
        else:
            await api.delete(f"/tasks/{alive.pop(chance.randrange(len(alive)))}")

    for _ in range(12):
        await asyncio.gather(*(write(number) for number in range(25)))
    assert await database.fetch_all(wrong_counts()) == []
    totals = [await counts_of(api, project) for project in projects]
    assert sum(total for total, _ in totals) == len(alive)


async def test_a_wrong_count_is_found(database: Database, user: User) -> None:
    project = await project_of(database, user)
    await store(database, TaskFactory.build(project_id=project.id))
    plant = text("INSERT INTO project_task_counts VALUES (:id, 15, 1, 0) ON CONFLICT DO NOTHING")
    await database.execute(text("UPDATE project_task_counts SET slot = -1"))
    await database.execute(plant, {"id": project.id})
    (found,) = await database.fetch_all(wrong_counts())
    assert (found["project_id"], found["kept_total"], found["true_total"]) == (project.id, 2, 1)


async def test_new_title_fires_two_triggers_and_counts_nothing(database: Database, user: User) -> None:
    project = await project_of(database, user)
    await store(database, TaskFactory.build(project_id=project.id))
    versions = text("SELECT xmin::text, ctid::text FROM project_task_counts ORDER BY project_id, slot")
    before = await database.fetch_all(versions)
    rows = await database.fetch_all(text("EXPLAIN (ANALYZE) UPDATE tasks SET title = 'Sawn', priority = 7"))
    fired = {name for row in rows for name in re.findall(r"^Trigger (\w+)", row["QUERY PLAN"])}
    assert fired == {"tasks_touch_updated_at", "tasks_count_on_update"}
    assert await database.fetch_all(versions) == before
    await database.execute(text("UPDATE tasks SET completed = NOT completed"))
    assert await database.fetch_all(versions) != before
