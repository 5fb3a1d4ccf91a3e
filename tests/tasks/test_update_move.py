"""Moving a task to another project by PATCH: who may, what it changes, and what those are told who may not.

PUT does the same, as test_update.py shows.
"""

import asyncio
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import delete, text

from app.auth.models import User
from app.auth.tokens import hashed, new_api_key
from app.core.database.database import Database
from app.core.ids import uuid7
from app.projects.models import Project, Role
from app.tasks.models import Task
from app.tasks.queries import wrong_counts
from tests.auth.factories import ApiKeyFactory, UserFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.keys import keyed
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory


@pytest.fixture
async def source(database: Database, user: User) -> Project:
    return await project_of(database, user)


@pytest.fixture
async def target(database: Database, user: User) -> Project:
    return await project_of(database, user)


@pytest.fixture
async def task(database: Database, source: Project) -> Task:
    task = TaskFactory.build(project_id=source.id, completed=True)
    await store(database, task)
    return task


async def counts_of(api: Api, *projects: Project) -> list[tuple[int, int]]:
    found = [(await api.get(f"/projects/{project.id}")).json() for project in projects]
    return [(one["tasks_total"], one["tasks_completed"]) for one in found]


async def project_shared_with(database: Database, person: User, role: Role) -> Project:
    """A project of somebody else, in which this person has a role."""
    owner = UserFactory.build()
    await store(database, owner)
    project = await project_of(database, owner)
    await add_member(database, project, person, role)
    return project


async def until_one_waits(database: Database) -> None:
    """Return when a statement waits for a lock."""
    waiting = text(
        "SELECT count(*) AS found FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(500):
        if (await database.fetch_all(waiting))[0]["found"]:
            return
        await asyncio.sleep(0.01)


def assert_refused(answer: Any, status: int, code: str, reason: str) -> None:
    """The refusal names the member at fault."""
    problem = assert_problem(answer, status, code)
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/project_id", reason)]


async def test_move_is_one_statement_and_counts_follow(
    api: Api, database: Database, source: Project, target: Project, task: Task
) -> None:
    assert await counts_of(api, source, target) == [(1, 1), (0, 0)]
    before = (await api.get(f"/tasks/{task.id}")).json()
    with query_budget(database, 1):
        answer = await api.patch(f"/tasks/{task.id}", json={"project_id": str(target.id)})
    moved = answer.json()
    assert moved == before | {"project_id": str(target.id), "updated_at": moved["updated_at"], "etag": moved["etag"]}
    assert moved["etag"] != before["etag"]
    assert (await api.get(f"/tasks/{task.id}")).json() == moved
    assert await counts_of(api, source, target) == [(0, 0), (1, 1)]
    assert [item["id"] for item in (await api.get(f"/projects/{target.id}/tasks/")).json()["items"]] == [str(task.id)]
    assert (await api.get(f"/projects/{source.id}/tasks/")).json()["items"] == []
    assert await database.fetch_all(wrong_counts()) == []


async def test_move_sets_other_members_too(api: Api, source: Project, target: Project, task: Task) -> None:
    body = {"project_id": str(target.id), "completed": False, "title": "Oil"}
    answer = (await api.patch(f"/tasks/{task.id}", json=body)).json()
    assert {name: answer[name] for name in body} == body
    assert await counts_of(api, source, target) == [(0, 0), (1, 0)]


async def test_move_to_the_same_project_changes_nothing(api: Api, source: Project, task: Task) -> None:
    before = (await api.get(f"/tasks/{task.id}")).json()
    answer = await api.patch(f"/tasks/{task.id}", json={"project_id": str(source.id)})
    assert (answer.status_code, answer.json()) == (200, before)


@pytest.mark.parametrize("role", [Role.EDITOR, Role.OWNER])
async def test_editor_of_both_may_move(api: Api, user: User, database: Database, task: Task, role: Role) -> None:
    elsewhere = await project_shared_with(database, user, role)
    answer = await api.patch(f"/tasks/{task.id}", json={"project_id": str(elsewhere.id)})
    assert answer.json()["project_id"] == str(elsewhere.id)


async def test_viewer_of_the_target_may_not_move(api: Api, user: User, database: Database, task: Task) -> None:
    elsewhere = await project_shared_with(database, user, Role.VIEWER)
    answer = await api.patch(f"/tasks/{task.id}", json={"project_id": str(elsewhere.id), "title": "Oil"})
    assert_refused(answer, 403, "role_required", "role_required")
    assert "the role editor" in answer.json()["detail"]
    assert (await api.get(f"/tasks/{task.id}")).json()["title"] == task.title


async def test_viewer_of_the_source_may_not_move(api: Api, user: User, database: Database, target: Project) -> None:
    elsewhere = await project_shared_with(database, user, Role.VIEWER)
    task = TaskFactory.build(project_id=elsewhere.id)
    await store(database, task)
    for project_id in (target.id, uuid7()):
        answer = await api.patch(f"/tasks/{task.id}", json={"project_id": str(project_id)})
        assert "errors" not in assert_problem(answer, 403, "role_required")


async def test_hidden_target_is_answered_as_a_missing_one(api: Api, database: Database, task: Task) -> None:
    stranger = UserFactory.build()
    await store(database, stranger)
    hidden = await project_of(database, stranger)
    assert (await api.get(f"/tasks/{task.id}")).status_code == 200
    said = []
    for project_id in (hidden.id, uuid7()):
        with query_budget(database, 3):
            answer = await api.patch(f"/tasks/{task.id}", json={"project_id": str(project_id)})
        assert_refused(answer, 404, "project_not_found", "unknown_project")
        said.append({name: value for name, value in answer.json().items() if name != "request_id"})
    assert said[0] == said[1]


async def test_stranger_learns_nothing_by_naming_a_target(
    api: Api, database: Database, target: Project, task: Task
) -> None:
    stranger = UserFactory.build()
    await store(database, stranger)
    own = await project_of(database, stranger)
    async with await api.as_(stranger) as other:
        for project_id in (own.id, target.id, uuid7()):
            answer = await other.patch(f"/tasks/{task.id}", json={"project_id": str(project_id)})
            assert "errors" not in assert_problem(answer, 404, "task_not_found")


async def test_administrator_may_move_but_not_to_a_missing_project(
    api: Api, database: Database, target: Project, task: Task
) -> None:
    admin = UserFactory.build(is_superuser=True)
    await store(database, admin)
    async with await api.as_(admin) as other:
        # With a key, the violated constraint must not take the transaction along in which the reason is asked for.
        for options in ({}, keyed()):
            answer = await other.patch(f"/tasks/{task.id}", json={"project_id": str(uuid7())}, **options)
            assert_refused(answer, 404, "project_not_found", "unknown_project")
        answer = await other.patch(f"/tasks/{task.id}", json={"project_id": str(target.id)})
        assert answer.json()["project_id"] == str(target.id)
        missing = await other.patch(f"/tasks/{uuid7()}", json={"project_id": str(target.id)})
        assert_problem(missing, 404, "task_not_found")


@pytest.mark.parametrize("bound_to", ["source", "target"])
async def test_key_bound_to_one_project_cannot_move(
    api: Api, user: User, database: Database, source: Project, target: Project, task: Task, bound_to: str
) -> None:
    secret = new_api_key()
    project = {"source": source, "target": target}[bound_to]
    await store(
        database,
        ApiKeyFactory.build(user_id=user.id, secret_hash=hashed(secret), scopes=["tasks:write"], project_id=project.id),
    )
    async with api.with_key(secret) as key:
        answer = await key.patch(f"/tasks/{task.id}", json={"project_id": str(target.id)})
        if bound_to == "target":
            assert_problem(answer, 404, "task_not_found")
        else:
            assert_refused(answer, 404, "project_not_found", "unknown_project")
            stayed = await key.patch(f"/tasks/{task.id}", json={"project_id": str(source.id)})
            assert stayed.json()["project_id"] == str(source.id)


async def test_move_depends_on_preconditions_like_any_change(api: Api, target: Project, task: Task) -> None:
    address, body = f"/tasks/{task.id}", {"project_id": str(target.id)}
    answer = await api.patch(address, json=body, headers={"If-Match": '"tb7"'})
    assert_problem(answer, 412, "precondition_failed")
    assert answer.headers["etag"] == '"tb1"'
    # What would be refused anyway is not refused for its precondition (RFC 9110, 13.2.1).
    answer = await api.patch(address, json={"project_id": str(uuid7())}, headers={"If-Match": '"tb7"'})
    assert_refused(answer, 404, "project_not_found", "unknown_project")
    answer = await api.patch(address, json=body, headers={"If-Match": '"tb1"'})
    assert answer.json()["project_id"] == str(target.id)


async def test_source_decides_whether_if_match_is_required(
    api: Api, source: Project, target: Project, task: Task
) -> None:
    await api.patch(f"/projects/{source.id}", json={"require_if_match": True})
    out = await api.patch(f"/tasks/{task.id}", json={"project_id": str(target.id)})
    assert_problem(out, 428, "precondition_required")
    out = await api.patch(f"/tasks/{task.id}", json={"project_id": str(target.id)}, headers={"If-Match": "*"})
    assert out.status_code == 200
    back = await api.patch(f"/tasks/{task.id}", json={"project_id": str(source.id)})
    assert back.status_code == 200


async def test_malformed_id_of_a_project_is_refused(api: Api, task: Task) -> None:
    for value, code in ((None, "uuid_type"), ("x", "uuid_parsing")):
        answer = await api.patch(f"/tasks/{task.id}", json={"project_id": value})
        assert_refused(answer, 400, "invalid_request", code)


async def test_move_that_waited_for_the_targets_deletion_is_404(
    api: Api, database: Database, target: Project, task: Task
) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(delete(Project).where(Project.id == target.id))
        move = asyncio.create_task(api.patch(f"/tasks/{task.id}", json={"project_id": str(target.id)}))
        await until_one_waits(database)
        assert not move.done()
    assert_refused(await move, 404, "project_not_found", "unknown_project")
    assert (await api.get(f"/tasks/{task.id}")).json()["project_id"] == str(task.project_id)


async def test_counts_are_right_after_many_moves_at_once(
    api: Api, user: User, database: Database, source: Project, target: Project
) -> None:
    third = await project_of(database, user)
    projects = [source, target, third]
    tasks = TaskFactory.batch(12, project_id=source.id)
    await store(database, *tasks)
    for turn in range(4):
        answers = await asyncio.gather(
            *(
                api.patch(f"/tasks/{task.id}", json={"project_id": str(projects[(turn + number) % 3].id)})
                for number, task in enumerate(tasks)
            )
        )
        assert {answer.status_code for answer in answers} == {200}
    assert await database.fetch_all(wrong_counts()) == []
    assert sum(total for total, _ in await counts_of(api, *projects)) == len(tasks)


async def while_it_moves(api: Api, database: Database, task: Task, target: Project, body: Any) -> Response:
    """What is answered to a change that waits for another one to move the task."""
    async with database.transaction() as transaction:
        await transaction.execute(text("UPDATE tasks SET project_id = :target"), {"target": target.id})
        change = asyncio.create_task(api.patch(f"/tasks/{task.id}", json=body))
        await until_one_waits(database)
        assert not change.done()
    return await change


@pytest.mark.parametrize("moves_back", [False, True])
async def test_update_that_waited_for_a_move_follows_the_task(
    api: Api, database: Database, source: Project, target: Project, task: Task, moves_back: bool
) -> None:
    body = {"project_id": str(source.id)} if moves_back else {"title": "Oil"}
    answer = await while_it_moves(api, database, task, target, body)
    assert {name: answer.json()[name] for name in body} == body
    assert answer.json()["project_id"] == str(source.id if moves_back else target.id)


async def test_update_after_a_move_out_of_sight_is_404(api: Api, database: Database, task: Task) -> None:
    stranger = UserFactory.build()
    await store(database, stranger)
    hidden = await project_of(database, stranger)
    assert_problem(await while_it_moves(api, database, task, hidden, {"title": "Oil"}), 404, "task_not_found")
    async with await api.as_(stranger) as other:
        assert (await other.get(f"/tasks/{task.id}")).json()["title"] == task.title
