"""Subtasks: what a task consists of, in a tree within its project, whoever writes, and when two do."""

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
from app.projects.models import Project, Role
from app.tasks.models import MAX_LEVELS, Task
from tests.auth.factories import UserFactory
from tests.labels.factories import LabelFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem, tag_of
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.test_blockers import ids, tasks_in
from tests.tasks.test_listed_races import statuses

TIMES = 25

WRONG = f"""
    SELECT child.id FROM tasks AS child LEFT JOIN tasks AS parent ON parent.id = child.parent_id
    WHERE child.parent_id IS NOT NULL AND (
        parent.id IS NULL OR parent.project_id <> child.project_id OR NOT parent.is_parent OR {MAX_LEVELS} < (
            WITH RECURSIVE above AS (
                SELECT child.id, 1 AS level
                UNION ALL SELECT tasks.parent_id, level + 1 FROM above JOIN tasks USING (id)
                WHERE tasks.parent_id IS NOT NULL AND level <= {MAX_LEVELS}
            )
            SELECT max(level) FROM above
        )
    )
"""


async def wrong(database: Database) -> Sequence[Any]:
    """Tasks in circles, on too deep a level, or below a task of another project. There are none."""
    return await database.fetch_all(text(WRONG))


async def chain(api: Api, database: Database, project: Project, length: int) -> list[Task]:
    """New tasks of a project, each below the one before."""
    tasks = await tasks_in(database, project, length)
    for parent, task in pairwise(tasks):
        assert (await api.patch(f"/tasks/{task.id}", json={"parent_id": str(parent.id)})).status_code == 200
    return tasks


async def counts(api: Api, task_id: object) -> tuple[int, int]:
    """How many subtasks a task has, and how many are completed; a list and a single answer say the same."""
    one = (await api.get(f"/tasks/{task_id}")).json()
    page = (await api.get(f"/projects/{one['project_id']}/tasks/?size=100")).json()
    assert one in page["items"]
    assert one in (await api.get("/tasks/?size=100")).json()["items"]
    return one["subtasks_total"], one["subtasks_completed"]


async def test_counts_and_tag_of_a_parent_follow_its_subtasks(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    parent, other = await tasks_in(database, project, 2)
    tags = [tag_of(await api.get(f"/tasks/{parent.id}"))]
    created = await api.post(f"/projects/{project.id}/tasks/", json={"title": "Saw", "parent_id": str(parent.id)})
    assert (created.status_code, created.json()["parent_id"]) == (201, str(parent.id))
    child = f"/tasks/{created.json()['id']}"
    for change, expected in (
        ({}, (1, 0)),
        ({"completed": True}, (1, 1)),
        ({"completed": False}, (1, 0)),
        ({"parent_id": None}, (0, 0)),
        ({"parent_id": str(parent.id), "completed": True}, (1, 1)),
        ({"parent_id": str(other.id)}, (0, 0)),
    ):
        if change:
            assert (await api.patch(child, json=change)).status_code == 200
        assert await counts(api, parent.id) == expected
        tags.append(tag_of(await api.get(f"/tasks/{parent.id}")))
        assert tags[-1] != tags[-2]
        stale = await api.patch(f"/tasks/{parent.id}", json={"priority": 3}, headers={"If-Match": tags[-2]})
        assert_problem(stale, 412, "precondition_failed")
    assert await counts(api, other.id) == (1, 1)
    assert (await api.delete(child)).status_code == 204
    assert await counts(api, other.id) == (0, 0)
    fresh = await api.patch(f"/tasks/{parent.id}", json={"priority": 3}, headers={"If-Match": tags[-1]})
    assert fresh.status_code == 200


async def test_create_below_a_parent_is_one_statement(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    (parent,) = await tasks_in(database, project, 1)
    await api.get(f"/tasks/{parent.id}")
    for _ in range(2):
        with query_budget(database, 1):
            body = {"title": "Saw", "parent_id": str(parent.id)}
            assert (await api.post(f"/projects/{project.id}/tasks/", json=body)).status_code == 201


async def test_parent_that_is_not_in_the_project_is_named(api: Api, user: User, database: Database) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    (task,) = await tasks_in(database, project, 1)
    (elsewhere,) = await tasks_in(database, other, 1)
    address = f"/projects/{project.id}/tasks/"
    for wrong_id in (str(elsewhere.id), str(uuid7())):
        body = {"title": "Saw", "parent_id": wrong_id}
        batch = {"operations": [{"op": "create", "task": body}]}
        for method, path, json, pointer in (
            ("POST", address, body, "/parent_id"),
            ("PUT", f"/tasks/{task.id}", body, "/parent_id"),
            ("PATCH", f"/tasks/{task.id}", body, "/parent_id"),
            ("POST", f"{address}batch", batch, "/operations/0/task/parent_id"),
        ):
            problem = assert_problem(await api.request(method, path, json=json), 400, "invalid_request")
            assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, "unknown_parent")]
    assert (await api.get(address)).json()["total"] == 1


async def test_task_below_itself_is_409(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    tasks = await chain(api, database, project, 4)
    for below in (0, 1, 3):
        change = {"parent_id": str(tasks[below].id)}
        problem = assert_problem(await api.patch(f"/tasks/{tasks[0].id}", json=change), 409, "task_cycle")
        assert problem["errors"][0]["pointer"] == "/parent_id"
        operation = {"op": "update", "id": str(tasks[0].id), "changes": change}
        batch = await api.post(f"/projects/{project.id}/tasks/batch", json={"operations": [operation]})
        assert assert_problem(batch, 409, "task_cycle")["errors"][0]["pointer"] == "/operations/0/changes/parent_id"


async def test_there_are_at_most_10_levels(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    address = f"/projects/{project.id}/tasks/"
    tasks = await chain(api, database, project, MAX_LEVELS)
    top, below = await chain(api, database, project, 2)
    deepest = {"title": "Saw", "parent_id": str(tasks[-1].id)}
    place = {"parent_id": str(tasks[-2].id)}
    for refused, pointer in (
        (await api.post(address, json=deepest), "/parent_id"),
        (await api.patch(f"/tasks/{top.id}", json=place), "/parent_id"),
        (
            await api.post(f"{address}batch", json={"operations": [{"op": "create", "task": deepest}]}),
            "/operations/0/task/parent_id",
        ),
        (
            await api.post(
                f"{address}batch", json={"operations": [{"op": "update", "id": str(top.id), "changes": place}]}
            ),
            "/operations/0/changes/parent_id",
        ),
    ):
        error = assert_problem(refused, 409, "too_many_levels")["errors"][0]
        assert error["pointer"] == pointer
        assert str(MAX_LEVELS) in error["detail"]
    assert (await api.patch(f"/tasks/{below.id}", json=place)).status_code == 200
    assert await wrong(database) == []


async def test_batch_judges_each_operation_after_those_before(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    first, second, third, gone = await chain(api, database, project, 4)

    def put(task: Task, parent: Task | None) -> dict[str, Any]:
        return {"op": "update", "id": str(task.id), "changes": {"parent_id": parent and str(parent.id)}}

    # Turns the first two round; the third stays where it is, below the second.
    operations = [put(second, None), put(first, second), {"op": "delete", "id": str(gone.id)}]
    operations.append({"op": "update", "id": str(third.id), "changes": {"completed": True}})
    operations.append({"op": "create", "task": {"title": "Oil", "parent_id": str(third.id)}})
    done = await api.post(f"/projects/{project.id}/tasks/batch", json={"operations": operations})
    assert done.status_code == 200, done.json()
    results = done.json()["results"]
    assert [result["status"] for result in results] == [200, 200, 204, 200, 201]
    for result in results[:2] + results[3:]:
        assert result["task"] == (await api.get(f"/tasks/{result['task']['id']}")).json()
    assert await counts(api, second.id) == (2, 1)
    each = await api.post(
        f"/projects/{project.id}/tasks/batch",
        json={"atomic": False, "operations": [put(second, third), put(first, None), put(third, first)]},
    )
    assert [result["status"] for result in each.json()["results"]] == [409, 200, 200]
    assert await wrong(database) == []


async def test_deleted_task_takes_along_what_is_below(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    tasks = await chain(api, database, project, 4)
    (other,) = await tasks_in(database, project, 1)
    assert (await api.delete(f"/tasks/{tasks[1].id}")).status_code == 204
    assert set(await ids(api, f"/projects/{project.id}/tasks/")) == {tasks[0].id, other.id}
    assert (await api.get(f"/projects/{project.id}")).json()["tasks_total"] == 2
    assert await counts(api, tasks[0].id) == (0, 0)


async def test_first_subtask_is_no_change_of_the_parent(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    (parent,) = await tasks_in(database, project, 1)
    before = (await api.get(f"/tasks/{parent.id}")).json()
    await api.post(f"/projects/{project.id}/tasks/", json={"title": "Saw", "parent_id": str(parent.id)})
    after = (await api.get(f"/tasks/{parent.id}")).json()
    assert {name for name in after if after[name] != before[name]} == {"subtasks_total", "etag"}


async def test_moved_subtasks_keep_labels_of_the_same_name_and_members(
    api: Api, user: User, database: Database
) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    here, only, there = (
        LabelFactory.build(project_id=place.id, name=name)
        for place, name in ((project, "Rare"), (project, "Only here"), (other, "rare"))
    )
    stranger = UserFactory.build()
    await store(database, here, only, there, stranger)
    await add_member(database, project, stranger, Role.VIEWER)
    top, below = await chain(api, database, project, 2)
    lists = {"label_ids": [str(here.id), str(only.id)], "assignee_ids": [str(user.id), str(stranger.id)]}
    assert (await api.patch(f"/tasks/{below.id}", json=lists)).status_code == 200
    await api.post(f"/tasks/{below.id}/comments/", json={"body": "Blunt"})
    assert (await api.put(f"/tasks/{below.id}/blockers/{top.id}")).status_code == 204
    assert (await api.patch(f"/tasks/{top.id}", json={"project_id": str(other.id)})).status_code == 200
    moved = (await api.get(f"/tasks/{below.id}")).json()
    assert (moved["project_id"], moved["parent_id"]) == (str(other.id), str(top.id))
    assert (moved["label_ids"], moved["assignee_ids"]) == ([str(there.id)], [str(user.id)])
    left = [(await api.get(f"/tasks/{below.id}/{part}/")).json()["total"] for part in ("comments", "blockers")]
    assert left == [1, 0]


async def test_moved_task_takes_along_what_is_below(api: Api, user: User, database: Database) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    tasks = await chain(api, database, project, 4)
    moved = await api.patch(f"/tasks/{tasks[1].id}", json={"project_id": str(other.id)})
    assert (moved.json()["parent_id"], moved.json()["subtasks_total"]) == (None, 1)
    assert await ids(api, f"/projects/{project.id}/tasks/") == [tasks[0].id]
    assert set(await ids(api, f"/projects/{other.id}/tasks/")) == {task.id for task in tasks[1:]}
    assert await counts(api, tasks[0].id) == (0, 0)
    assert await counts(api, tasks[2].id) == (1, 0)
    back = {"project_id": str(project.id), "parent_id": str(tasks[0].id)}
    assert (await api.patch(f"/tasks/{tasks[1].id}", json=back)).json()["parent_id"] == str(tasks[0].id)
    totals = [(await api.get(f"/projects/{one.id}")).json()["tasks_total"] for one in (project, other)]
    assert totals == [4, 0]
    assert await wrong(database) == []


async def test_lists_are_filtered_by_parent(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    top, below, lowest = await chain(api, database, project, 3)
    for address in (f"/projects/{project.id}/tasks/", "/tasks/"):
        assert await ids(api, f"{address}?parent_id={top.id}") == [below.id]
        assert await ids(api, f"{address}?parent_id={lowest.id}") == []
        assert await ids(api, f"{address}?parent_id_is_null=true") == [top.id]
        assert set(await ids(api, f"{address}?parent_id_is_null=false")) == {below.id, lowest.id}
        contradiction = await api.get(f"{address}?parent_id={top.id}&parent_id_is_null=true")
        assert_problem(contradiction, 400, "invalid_request")


async def test_concurrent_moves_make_no_circle(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    for number in range(TIMES):
        tasks = await tasks_in(database, project, 2 + number % 3)
        pairs = zip(tasks, [*tasks[1:], tasks[0]], strict=True)
        done = await statuses(
            *(api.patch(f"/tasks/{task.id}", json={"parent_id": str(parent.id)}) for task, parent in pairs)
        )
        assert sorted(done) == [200] * (len(tasks) - 1) + [409]
    assert await wrong(database) == []


async def test_concurrent_moves_do_not_exceed_the_levels(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    for _ in range(TIMES):
        upper, lower = [await chain(api, database, project, MAX_LEVELS // 2) for _ in range(2)]
        (middle,) = await tasks_in(database, project, 1)
        done = await statuses(
            api.patch(f"/tasks/{middle.id}", json={"parent_id": str(upper[-1].id)}),
            api.patch(f"/tasks/{lower[0].id}", json={"parent_id": str(middle.id)}),
        )
        assert sorted(done) == [200, 409]
    assert await wrong(database) == []


@pytest.mark.parametrize("goes", ["move", "delete"])
async def test_subtasks_written_while_the_parent_goes_go_along(
    api: Api, user: User, database: Database, goes: str
) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    address = f"/projects/{project.id}/tasks/"
    for _ in range(TIMES):
        top, parent, child = await chain(api, database, project, 3)
        (free,) = await tasks_in(database, project, 1)
        operation = {"op": "update", "id": str(child.id), "changes": {"completed": True}}
        done = await statuses(
            api.delete(f"/tasks/{parent.id}")
            if goes == "delete"
            else api.patch(f"/tasks/{parent.id}", json={"project_id": str(other.id)}),
            api.patch(f"/tasks/{child.id}", json={"completed": True}),
            api.post(address, json={"title": "Saw", "parent_id": str(parent.id)}),
            api.patch(f"/tasks/{free.id}", json={"parent_id": str(child.id)}),
            api.post(f"{address}batch", json={"operations": [operation]}),
            api.delete(f"/tasks/{top.id}"),
        )
        assert set(done) <= {200, 201, 204, 400, 404, 409}, done
    assert await wrong(database) == []


async def test_changes_of_trees_do_not_deadlock(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    batch = f"/projects/{project.id}/tasks/batch"
    for _ in range(TIMES):
        # Each below the one after, so that trees are locked against the order of their ids unless it is kept.
        lowest, middle, top, other = await tasks_in(database, project, 4)
        for task, parent in ((middle, top), (lowest, middle)):
            assert (await api.patch(f"/tasks/{task.id}", json={"parent_id": str(parent.id)})).status_code == 200
        changes = [
            {"op": "update", "id": str(task.id), "changes": {"completed": True}}
            for task in (lowest, middle, top, other)
        ]
        place = {"op": "update", "id": str(lowest.id), "changes": {"parent_id": str(other.id)}}
        done = await statuses(
            api.delete(f"/tasks/{top.id}"),
            api.post(batch, json={"atomic": False, "operations": changes}),
            api.post(batch, json={"atomic": False, "operations": [{"op": "delete", "id": str(middle.id)}]}),
            api.post(batch, json={"atomic": False, "operations": [place]}),
            api.patch(f"/tasks/{other.id}", json={"parent_id": str(lowest.id)}),
            api.patch(f"/tasks/{lowest.id}", json={"parent_id": str(other.id)}),
        )
        assert set(done) <= {200, 204, 207, 400, 404, 409}, done
    assert await wrong(database) == []


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE tasks SET parent_id = '{2}' WHERE id = '{0}'", "tasks_parent_id_project"),
        ("UPDATE tasks SET parent_id = id WHERE id = '{0}'", "tasks_parent_id_cycle"),
        (
            "UPDATE tasks SET parent_id = one.id FROM tasks AS one WHERE one.id <> tasks.id AND one.id <> '{2}'",
            "tasks_parent_id_cycle",
        ),
        ("UPDATE tasks SET parent_id = '01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a12'", "tasks_parent_id_fkey"),
    ],
)
async def test_sql_makes_no_wrong_tree(user: User, database: Database, statement: str, constraint: str) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    tasks = [*await tasks_in(database, project, 2), *await tasks_in(database, other, 1)]
    with pytest.raises(ConstraintError, match=constraint):
        await database.execute(text(statement.format(*(task.id for task in tasks))))
    assert await wrong(database) == []


async def test_sql_cannot_hide_subtasks_or_trust_old_snapshots(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    top, below = await chain(api, database, project, 2)
    (free,) = await tasks_in(database, project, 1)
    await database.execute(text("UPDATE tasks SET is_parent = false"))
    assert await counts(api, top.id) == (1, 0)
    await database.execute(text(f"UPDATE tasks SET completed = true WHERE id = '{below.id}'"))
    assert await counts(api, top.id) == (1, 1)
    with pytest.raises(asyncpg.FeatureNotSupportedError):
        async with database.transaction() as transaction:
            await transaction.command(
                "SET LOCAL transaction_isolation = 'repeatable read'; "
                f"UPDATE tasks SET parent_id = '{below.id}' WHERE id = '{free.id}'"
            )
    assert UUID((await api.get(f"/tasks/{below.id}")).json()["parent_id"]) == top.id
