"""Who created a task, when it was completed, and what it is called where it came from."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, text

from app.auth.models import User
from app.core.database.database import ConstraintError, Database
from app.projects.models import Project, Role
from app.tasks.models import Task
from tests.auth.factories import UserFactory
from tests.auth.people import PASSWORD, person
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.keys import keyed
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory
from tests.tasks.test_update_move import until_one_waits


@pytest.fixture
async def project(user: User, database: Database) -> Project:
    return await project_of(database, user)


async def test_created_by_is_null_once_the_account_is_deleted(
    app: FastAPI, api: Api, project: Project, database: Database
) -> None:
    editor = await person(app, "editor")
    await add_member(database, project, editor, Role.EDITOR)
    async with await api.as_(editor) as theirs:
        one = (await theirs.post(f"/projects/{project.id}/tasks/", json={"title": "Sweep"})).json()
        operation = {"op": "create", "task": {"title": "Sand"}}
        batch = await theirs.post(f"/projects/{project.id}/tasks/batch", json={"operations": [operation]})
        other = batch.json()["results"][0]["task"]
        assert one["created_by"] == other["created_by"] == str(editor.id)
        changed = (await api.patch(f"/tasks/{one['id']}", json={"title": "Mop"})).json()
        assert changed["created_by"] == str(editor.id)
        assert (await theirs.request("DELETE", "/auth/me", json={"password": PASSWORD})).status_code == 204
    left = (await api.get(f"/tasks/{one['id']}")).json()
    assert left["created_by"] is None
    assert left["etag"] != changed["etag"]


@pytest.mark.parametrize(
    "task", [{"title": "Sweep"}, {"title": "Sweep", "external_id": "J-1"}], ids=["plain", "imported"]
)
async def test_new_task_of_an_administrator_just_deleted_is_401(
    api: Api, project: Project, database: Database, task: dict[str, str]
) -> None:
    administrator = UserFactory.build(is_superuser=True)
    await store(database, administrator)
    tasks = f"/projects/{project.id}/tasks/"
    async with await api.as_(administrator) as theirs:
        assert (await theirs.get(tasks)).status_code == 200
        # By SQL, so that the worker does not hear of it.
        await database.execute(delete(User).where(User.id == administrator.id))
        assert_problem(await theirs.post(tasks, json=task), 401, "invalid_token")
        batch = {"operations": [{"op": "create", "task": task}]}
        assert_problem(await theirs.post(f"{tasks}batch", json=batch), 401, "invalid_token")
    assert (await api.get(tasks)).json()["total"] == 0


@pytest.mark.parametrize("has_key", [False, True], ids=["plain", "keyed"])
@pytest.mark.parametrize("task", [{"title": "Saw"}, {"title": "Saw", "external_id": "J-1"}], ids=["plain", "imported"])
async def test_new_task_of_a_project_under_deletion_is_404(
    api: Api, project: Project, database: Database, task: dict[str, str], has_key: bool
) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(delete(Project).where(Project.id == project.id))
        posted = asyncio.create_task(
            api.post(f"/projects/{project.id}/tasks/", json=task, **(keyed("k") if has_key else {}))
        )
        await until_one_waits(database)
    assert_problem(await posted, 404, "project_not_found")


async def test_list_with_created_by_has_only_what_that_person_created(
    api: Api, user: User, project: Project, database: Database
) -> None:
    other = UserFactory.build()
    await store(database, other)
    mine, theirs = [TaskFactory.build(project_id=project.id, created_by=who.id) for who in (user, other)]
    await store(database, mine, theirs, TaskFactory.build(project_id=project.id))
    for place in (f"/projects/{project.id}/tasks/", "/tasks/"):
        for asked, found in (("me", mine), (str(user.id), mine), (str(other.id), theirs)):
            answer = await api.get(place, params={"created_by": asked})
            assert [item["id"] for item in answer.json()["items"]] == [str(found.id)]
    problem = assert_problem(await api.get("/tasks/", params={"created_by": "you"}), 400, "invalid_request")
    assert problem["errors"][0]["parameter"] == "created_by"


async def test_completed_at_follows_completed(api: Api, project: Project) -> None:
    tasks = f"/projects/{project.id}/tasks/"
    done = (await api.post(tasks, json={"title": "Sweep", "completed": True})).json()
    assert done["completed_at"] == done["created_at"]
    task = (await api.post(tasks, json={"title": "Sand"})).json()
    assert task["completed_at"] is None
    address = f"/tasks/{task['id']}"
    first = (await api.patch(address, json={"completed": True})).json()
    assert first["completed_at"] == first["updated_at"]
    again = (await api.patch(address, json={"completed": True, "title": "Sand it"})).json()
    assert (again["completed_at"], again["updated_at"] > first["updated_at"]) == (first["completed_at"], True)
    assert (await api.patch(address, json={"completed": False})).json()["completed_at"] is None
    assert (await api.patch(address, json={"completed": True})).json()["completed_at"] > first["completed_at"]


async def test_list_with_bounds_of_completed_at_has_what_lies_between(api: Api, project: Project) -> None:
    tasks = f"/projects/{project.id}/tasks/"
    one, two = [(await api.post(tasks, json={"title": title, "completed": True})).json() for title in ("Saw", "Oil")]
    await api.post(tasks, json={"title": "Sweep"})
    for name, value, found in (
        ("completed_at_gte", two["completed_at"], [two]),
        ("completed_at_gt", one["completed_at"], [two]),
        ("completed_at_lte", one["completed_at"], [one]),
        ("completed_at_lt", two["completed_at"], [one]),
    ):
        assert (await api.get(tasks, params={name: value})).json()["items"] == found


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tasks SET completed_at = now() WHERE NOT completed",
        "UPDATE tasks SET completed_at = NULL WHERE completed",
        "INSERT INTO tasks (id, project_id, title, completed_at) SELECT gen_random_uuid(), id, '', now() FROM projects",
        "UPDATE tasks SET created_by = gen_random_uuid()",
        "UPDATE tasks SET external_id = ''",
    ],
)
async def test_sql_that_contradicts_a_constraint_is_refused(
    database: Database, project: Project, statement: str
) -> None:
    await store(
        database,
        TaskFactory.build(project_id=project.id, completed=True),
        TaskFactory.build(project_id=project.id, completed=False),
    )
    with pytest.raises(ConstraintError):
        await database.execute(text(statement))


async def test_list_with_external_id_has_its_task(api: Api, user: User, project: Project, database: Database) -> None:
    other = await project_of(database, user)
    task = (await api.post(f"/projects/{project.id}/tasks/", json={"title": "Saw", "external_id": "J-1"})).json()
    await store(
        database, TaskFactory.build(project_id=project.id), TaskFactory.build(project_id=other.id, external_id="J-1")
    )
    found = await api.get(f"/projects/{project.id}/tasks/", params={"external_id": "J-1"})
    assert found.json()["items"] == [task]
    assert len((await api.get("/tasks/", params={"external_id": "J-1"})).json()["items"]) == 2
    cleared = await api.patch(f"/tasks/{task['id']}", json={"external_id": None})
    assert cleared.json()["external_id"] is None
    assert (await api.post(f"/projects/{project.id}/tasks/", json={"title": "x", "external_id": "J-1"})).is_success


async def create(api: Api, project: Project, task: Task) -> Any:
    return await api.post(f"/projects/{project.id}/tasks/", json={"title": "Second", "external_id": "J-1"})


async def create_once(api: Api, project: Project, task: Task) -> Any:
    return await api.post(
        f"/projects/{project.id}/tasks/",
        json={"title": "Second", "external_id": "J-1"},
        headers={"Idempotency-Key": "k-1"},
    )


async def change(api: Api, project: Project, task: Task) -> Any:
    return await api.patch(f"/tasks/{task.id}", json={"external_id": "J-1"})


async def create_in_a_batch(api: Api, project: Project, task: Task) -> Any:
    operations = [{"op": "create", "task": {"title": "Second", "external_id": "J-1"}}]
    return await api.post(f"/projects/{project.id}/tasks/batch", json={"operations": operations})


async def change_in_a_batch(api: Api, project: Project, task: Task) -> Any:
    operations = [{"op": "update", "id": str(task.id), "changes": {"external_id": "J-1"}}]
    return await api.post(f"/projects/{project.id}/tasks/batch", json={"operations": operations})


@pytest.mark.parametrize(
    ("write", "pointer"),
    [
        (create, "/external_id"),
        (create_once, "/external_id"),
        (change, "/external_id"),
        (create_in_a_batch, "/operations/0/task/external_id"),
        (change_in_a_batch, "/operations/0/changes/external_id"),
    ],
)
async def test_taken_external_id_is_409_with_its_task(
    api: Api, project: Project, database: Database, write: Any, pointer: str
) -> None:
    first, task = [TaskFactory.build(project_id=project.id, external_id=name) for name in ("J-1", "J-2")]
    await store(database, first, task)
    problem = assert_problem(await write(api, project, task), 409, "external_id_taken")
    (error,) = problem["errors"]
    assert (error["pointer"], error["code"], error["id"]) == (pointer, "external_id_taken", str(first.id))
    assert (await api.get(f"/projects/{project.id}/tasks/")).json()["total"] == 2
    assert (await api.patch(f"/tasks/{first.id}", json={"external_id": "J-1"})).status_code == 200, "it is its own"


async def test_move_to_where_the_external_id_is_taken_is_409(
    api: Api, user: User, project: Project, database: Database
) -> None:
    there = await project_of(database, user)
    task, first = [TaskFactory.build(project_id=where.id, external_id="J-1") for where in (project, there)]
    await store(database, task, first)
    answer = await api.patch(f"/tasks/{task.id}", json={"project_id": str(there.id)})
    (error,) = assert_problem(answer, 409, "external_id_taken")["errors"]
    assert (error["pointer"], error["id"]) == ("/project_id", str(first.id))
    assert (await api.get(f"/tasks/{task.id}")).json()["project_id"] == str(project.id)
    moved = await api.patch(f"/tasks/{task.id}", json={"project_id": str(there.id), "external_id": "J-2"})
    assert moved.status_code == 200


async def test_taken_external_id_fails_only_its_operation_unless_atomic(
    api: Api, project: Project, database: Database
) -> None:
    first = TaskFactory.build(project_id=project.id, external_id="J-1")
    await store(database, first)
    operations: list[dict[str, Any]] = [
        {"op": "create", "task": {"title": "a", "external_id": "J-1"}},
        {"op": "create", "task": {"title": "b", "external_id": "J-2"}},
        {"op": "create", "task": {"title": "c", "external_id": "J-2"}},
        {"op": "update", "id": str(first.id), "changes": {"title": "d"}},
    ]
    answer = await api.post(f"/projects/{project.id}/tasks/batch", json={"atomic": False, "operations": operations})
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [409, 201, 400, 200]
    assert results[2]["problem"]["errors"][0]["pointer"] == "/operations/2/task/external_id"


async def test_concurrent_creates_with_one_external_id_succeed_once(api: Api, project: Project) -> None:
    """Single requests and batches of both kinds, run many times."""
    for number in range(20):
        name = f"J-{number}"
        operations = [{"op": "create", "task": {"title": "x", "external_id": name}}]
        answers = await asyncio.gather(
            *(api.post(f"/projects/{project.id}/tasks/", json={"title": "x", "external_id": name}) for _ in range(4)),
            *(
                api.post(f"/projects/{project.id}/tasks/batch", json={"operations": operations, "atomic": atomic})
                for atomic in (True, False)
            ),
        )
        statuses = Counter(
            answer.json()["results"][0]["status"] if answer.status_code == 207 else answer.status_code
            for answer in answers
        )
        assert statuses[201] + statuses[200] == 1
        assert statuses[409] == 5
        found = (await api.get(f"/projects/{project.id}/tasks/", params={"external_id": name})).json()["items"]
        refused = [answer for answer in answers if answer.status_code == 409]
        assert {answer.json()["errors"][0]["id"] for answer in refused} == {item["id"] for item in found}


async def test_create_with_external_id_is_one_statement(api: Api, project: Project, database: Database) -> None:
    await api.get("/projects/")
    with query_budget(database, 1):
        await api.post(f"/projects/{project.id}/tasks/", json={"title": "x", "external_id": "J-1"})
