"""Archived projects: who archives them, where they are listed, what follows all the same, and who comes too late."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app.auth.models import User
from app.core.database.database import Database
from app.core.errors import AppError
from app.projects.models import Project, Role
from tests.auth.factories import UserFactory
from tests.comments.factories import CommentFactory
from tests.projects.factories import add_member, project_of
from tests.support import server
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.tasks.factories import TaskFactory

TIMES = 25


@pytest.fixture
async def project(user: User, database: Database) -> Project:
    """A project of that person."""
    return await project_of(database, user, name="Workshop")


async def archive(api: Api, project: Project, *, is_archived: bool = True) -> None:
    """Set it over HTTP."""
    answer = await api.patch(f"/projects/{project.id}", json={"is_archived": is_archived})
    assert (answer.status_code, answer.json()["is_archived"]) == (200, is_archived)


async def test_owners_archive_a_project_and_take_it_back(api: Api, project: Project) -> None:
    address = f"/projects/{project.id}"
    await archive(api, project)
    # Setting it again changes nothing.
    await archive(api, project)
    problem = assert_problem(await api.put(address, json={"name": "Studio"}), 409, "project_archived")
    assert "is_archived" in problem["detail"]
    answer = await api.put(address, json={"name": "Studio", "is_archived": False})
    assert (answer.status_code, answer.json()["name"], answer.json()["is_archived"]) == (200, "Studio", False)
    assert (await api.post(f"{address}/tasks/", json={"title": "Sweep"})).status_code == 201


async def test_editors_and_strangers_cannot_set_it(
    api: Api, anonymous: Api, project: Project, database: Database
) -> None:
    editor, stranger = UserFactory.batch(2)
    await store(database, editor, stranger)
    await add_member(database, project, editor, Role.EDITOR)
    address = f"/projects/{project.id}"
    async with await anonymous.as_(editor) as as_editor, await anonymous.as_(stranger) as as_stranger:
        for is_archived in (True, False):
            answer = await as_editor.patch(address, json={"is_archived": not is_archived, "name": "Mine"})
            problem = assert_problem(answer, 403, "role_required") if is_archived is False else None
            if problem is not None:
                assert problem["errors"] == [
                    {"pointer": "/is_archived", "detail": "can only be changed by owners", "code": "role_required"}
                ]
            else:
                # What it is already may be sent by whoever may change the project.
                assert (answer.status_code, answer.json()["is_archived"]) == (200, False)
        assert_problem(await as_stranger.patch(address, json={"is_archived": True}), 404, "project_not_found")
        stale = {"If-Match": '"pb0.0.0.editor"'}
        assert_problem(
            await as_editor.patch(address, json={"is_archived": False}, headers=stale), 412, "precondition_failed"
        )
        await archive(api, project)
        assert_problem(await as_editor.patch(address, json={"is_archived": False}), 403, "role_required")
        assert (await as_editor.get(address)).json()["is_archived"] is True


async def test_lists_have_archived_projects_only_if_asked(
    api: Api, user: User, project: Project, database: Database
) -> None:
    other = await project_of(database, user)
    for place, number in ((project, 2), (other, 3)):
        await store(database, *(TaskFactory.build(project_id=place.id, completed=False) for _ in range(number)))
    await archive(api, project)
    for asked, place, tasks in (("", other, 3), ("?is_archived=false", other, 3), ("?is_archived=true", project, 2)):
        projects = (await api.get(f"/projects/{asked}")).json()
        assert ([item["id"] for item in projects["items"]], projects["total"]) == ([str(place.id)], 1)
        found = (await api.get(f"/tasks/{asked}")).json()
        assert ({item["project_id"] for item in found["items"]}, found["total"]) == ({str(place.id)}, tasks)
        more = f"{asked}&completed=false" if asked else "?completed=false"
        assert (await api.get(f"/tasks/{more}")).json()["total"] == tasks
    # Whoever names the project sees what is in it.
    assert (await api.get(f"/projects/{project.id}/tasks/")).json()["total"] == 2


async def test_a_task_moves_neither_out_nor_in(api: Api, user: User, project: Project, database: Database) -> None:
    other = await project_of(database, user)
    inside, outside = TaskFactory.build(project_id=project.id), TaskFactory.build(project_id=other.id)
    await store(database, inside, outside)
    await archive(api, project)
    for task, target in ((inside, other), (outside, project)):
        answer = await api.patch(f"/tasks/{task.id}", json={"project_id": str(target.id)})
        assert_problem(answer, 409, "project_archived")
    assert (await api.get(f"/tasks/{outside.id}")).json()["project_id"] == str(other.id)


async def test_a_deleted_account_leaves_archived_projects_too(
    api: Api, anonymous: Api, user: User, project: Project, database: Database
) -> None:
    colleague = UserFactory.build()
    await store(database, colleague)
    await add_member(database, project, colleague, Role.EDITOR)
    task = TaskFactory.build(project_id=project.id, assignee_ids=[colleague.id], created_by=colleague.id)
    await store(database, task, CommentFactory.build(task_id=task.id, author_id=colleague.id))
    await archive(api, project)
    await database.execute(text("DELETE FROM users WHERE id = :id").bindparams(id=colleague.id))
    found = (await api.get(f"/tasks/{task.id}")).json()
    assert (found["assignee_ids"], found["created_by"]) == ([], None)
    (comment,) = (await api.get(f"/tasks/{task.id}/comments/")).json()["items"]
    assert comment["author_id"] is None
    # And its owner may delete it, with all that is in it.
    assert (await api.delete(f"/projects/{project.id}")).status_code == 204


RAW = {
    "insert": "INSERT INTO tasks (id, project_id, title) VALUES (gen_random_uuid(), '{project}', 'Raw')",
    "update": "UPDATE tasks SET title = 'Raw' WHERE id = '{task}'",
    "delete": "DELETE FROM tasks WHERE id = '{task}'",
    "assign": "INSERT INTO task_assignees (task_id, user_id, project_id) VALUES ('{task}', '{user}', '{project}')",
    "rename": "UPDATE projects SET name = 'Raw' WHERE id = '{project}'",
}


@pytest.mark.parametrize("statement", RAW.values(), ids=RAW)
async def test_raw_sql_is_refused_unless_it_says_otherwise(
    api: Api, user: User, project: Project, database: Database, database_url: str, statement: str
) -> None:
    task = TaskFactory.build(project_id=project.id)
    await store(database, task)
    await archive(api, project)
    statement = statement.format(project=project.id, task=task.id, user=user.id)
    connection = await asyncpg.connect(server.plain_url(database_url))
    try:
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await connection.execute(statement)
        assert vars(refused.value)["constraint_name"] == "project_archived"
        async with connection.transaction():
            await connection.execute(f"SET LOCAL taller.changes_archived = on; {statement}")
    finally:
        await connection.close()


async def test_database_error_of_the_constraint_is_the_refusal(api: Api, project: Project, database: Database) -> None:
    await archive(api, project)
    with pytest.raises(AppError) as refused:
        await database.execute(text(RAW["rename"].format(project=project.id)))
    assert refused.value.code == "project_archived"


Write = Callable[[Api, dict[str, Any]], Awaitable[Any]]

WRITES: dict[str, Write] = {
    "create": lambda api, at: api.post(f"/projects/{at['project']}/tasks/", json={"title": "Late"}),
    "update": lambda api, at: api.patch(f"/tasks/{at['task']}", json={"title": f"Late {at['number']}"}),
    "move in": lambda api, at: api.patch(f"/tasks/{at['outside']}", json={"project_id": at["project"]}),
    "move out": lambda api, at: api.patch(f"/tasks/{at['leaving']}", json={"project_id": at["other"]}),
    "delete": lambda api, at: api.delete(f"/tasks/{at['deleted']}"),
    "label": lambda api, at: api.post(f"/projects/{at['project']}/labels/", json={"name": f"Late {at['number']}"}),
    "comment": lambda api, at: api.post(f"/tasks/{at['task']}/comments/", json={"body": "Late"}),
    "member": lambda api, at: api.put(f"/projects/{at['project']}/members/{at['person']}", json={"role": "viewer"}),
    "batch": lambda api, at: api.post(
        f"/projects/{at['project']}/tasks/batch",
        json={"operations": [{"op": "create", "task": {"title": "Late"}}, {"op": "delete", "id": at["batched"]}]},
    ),
}


async def everything_in(api: Api, project: Project) -> list[Any]:
    """What a reader sees of a project and of what is in it."""
    pages = [(await api.get(f"/projects/{project.id}{part}")).json() for part in ("", "/tasks/", "/labels/")]
    members = (await api.get(f"/projects/{project.id}/members/")).json()
    comments = [(await api.get(f"/tasks/{task['id']}/comments/")).json()["items"] for task in pages[1]["items"]]
    return [*pages, members, comments]


async def test_a_write_is_before_the_archiving_or_refused(
    api: Api, user: User, project: Project, database: Database
) -> None:
    """Once archiving is answered, nothing changes, and whoever was not refused is there."""
    other = await project_of(database, user)
    outcomes: set[tuple[str, bool]] = set()
    for number in range(TIMES):
        names = ("task", "outside", "leaving", "deleted", "batched")
        tasks = {name: TaskFactory.build(project_id=(other if name == "outside" else project).id) for name in names}
        person = UserFactory.build()
        await store(database, person, *tasks.values())
        at: dict[str, Any] = {name: str(task.id) for name, task in tasks.items()}
        at |= {"project": str(project.id), "other": str(other.id), "number": number, "person": str(person.id)}

        async def archived(place: dict[str, Any] = at, steps: int = number) -> Any:
            for _ in range(steps % 8):
                await asyncio.sleep(0)
            answer = await api.patch(f"/projects/{place['project']}", json={"is_archived": True})
            return answer, await everything_in(api, project)

        (done, seen), *answers = await asyncio.gather(archived(), *(write(api, at) for write in WRITES.values()))
        assert done.status_code == 200, done.text
        assert await everything_in(api, project) == seen
        for name, answer in zip(WRITES, answers, strict=True):
            if not answer.is_success:
                assert_problem(answer, 409, "project_archived")
            outcomes.add((name, answer.is_success))
        await archive(api, project, is_archived=False)
    # Both were met, or the race was none.
    assert {is_success for _, is_success in outcomes} == {True, False}
