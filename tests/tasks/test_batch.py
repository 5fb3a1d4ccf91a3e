"""Many changes at once: all or nothing, or each for itself; in few statements; and only within the project."""

import asyncio
from time import process_time
from typing import Any

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.core.errors import InvalidRequestError
from app.core.ids import uuid7
from app.projects.models import Project, Role
from app.tasks.batch.schemas import MAX_ANSWERED_BYTES, MalformedOperation, TaskBatch
from app.tasks.models import Task
from app.tasks.queries import wrong_counts
from tests.auth.factories import UserFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.queries import query_budget, recorded_statements
from tests.support.samples import contents
from tests.tasks.factories import TaskFactory


@pytest.fixture
async def project(user: User, database: Database) -> Project:
    return await project_of(database, user)


@pytest.fixture
async def tasks(project: Project, database: Database) -> list[Task]:
    made = [TaskFactory.build(project_id=project.id, title=f"Task {n}", completed=False) for n in range(3)]
    await store(database, *made)
    return made


async def send(api: Api, project: Project, operations: list[Any], **more: Any) -> Any:
    return await api.post(f"/projects/{project.id}/tasks/batch", json={"operations": operations, **more})


def create(title: str = "New", **values: Any) -> dict[str, Any]:
    return {"op": "create", "task": {"title": title, **values}}


def update(task: Any, changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"op": "update", "id": str(getattr(task, "id", task)), "changes": changes, **more}


def delete(task: Any, **more: Any) -> dict[str, Any]:
    return {"op": "delete", "id": str(getattr(task, "id", task)), **more}


async def test_results_are_in_order_and_stored(
    api: Api, database: Database, project: Project, tasks: list[Task]
) -> None:
    answer = await send(
        api,
        project,
        [
            create("First", priority=3, due_date="2026-12-01", description="More", completed=True),
            delete(tasks[0]),
            update(tasks[1], {"completed": True, "description": None}),
            create("Second"),
            update(tasks[2], {}),
        ],
    )
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 204, 200, 201, 200]
    assert results[1] == {"status": 204}
    assert not any("problem" in result for result in results)
    shown = [result["task"] for result in results if "task" in result]
    assert [task["title"] for task in shown] == ["First", "Task 1", "Second", "Task 2"]
    assert (shown[0]["due_date"], shown[0]["description"], shown[0]["completed"]) == ("2026-12-01", "More", True)
    assert (shown[1]["completed"], shown[1]["description"]) == (True, None)
    for task in shown:
        assert (await api.get(f"/tasks/{task['id']}")).json() == task
    assert shown[3]["etag"] == '"tb1"', "nothing was changed"
    assert (await api.get(f"/tasks/{tasks[0].id}")).status_code == 404
    assert (await api.get(f"/projects/{project.id}")).json()["tasks_total"] == 4
    assert await database.fetch_all(wrong_counts()) == []


async def test_what_only_some_operations_set_is_stored(api: Api, project: Project, tasks: list[Task]) -> None:
    label = (await api.post(f"/projects/{project.id}/labels/", json={"name": "Wood", "color": "#aa7700"})).json()["id"]
    given: list[dict[str, Any]] = [
        {},
        {"description": ""},
        {"label_ids": [label]},
        {"external_id": "JIRA-17"},
        {"parent_id": str(tasks[0].id)},
        {"priority": 0, "completed": False, "due_date": None, "assignee_ids": []},
    ]
    answer = await send(api, project, [create("New", **values) for values in given])
    shown = [result["task"] for result in answer.json()["results"]]
    for values, task in zip(given, shown, strict=True):
        assert task == (await api.get(f"/tasks/{task['id']}")).json()
        assert task | values == task

    answer = await send(api, project, [update(tasks[0], {"priority": 5}), update(tasks[1], {"title": "Other"})])
    changed = [result["task"] for result in answer.json()["results"]]
    assert [(task["title"], task["priority"]) for task in changed] == [("Task 0", 5), ("Other", tasks[1].priority)]


async def test_batch_of_empty_changes_changes_nothing(api: Api, project: Project, tasks: list[Task]) -> None:
    before = [(await api.get(f"/tasks/{task.id}")).json() for task in tasks]
    answer = await send(api, project, [update(task, {}) for task in tasks])
    assert answer.json() == {"results": [{"status": 200, "task": task} for task in before]}


async def test_batch_of_500_takes_as_many_statements_as_six(api: Api, database: Database, project: Project) -> None:
    async def statements(number: int) -> int:
        operations = [create(f"Task {n}", priority=n) for n in range(number)]
        made = (await send(api, project, operations)).json()["results"]
        assert [result["task"]["priority"] for result in made] == list(range(number))
        ids = [result["task"]["id"] for result in made]
        mixed = [update(id_, {"priority": 7}) for id_ in ids[::2]] + [delete(id_) for id_ in ids[1::2]] + [create()]
        with recorded_statements(database) as sent:
            assert (await send(api, project, mixed)).status_code == 200
        return len(sent)

    assert await statements(5) == await statements(499) == 5


async def test_batch_of_creations_takes_two_statements(api: Api, database: Database, project: Project) -> None:
    await api.get("/auth/me")
    with query_budget(database, 2):
        assert (await send(api, project, [create(), create()])).status_code == 200


GOOD = create("Good")
ID = "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a12"

MALFORMED: list[tuple[Any, str, str]] = [
    (create(title=""), "/task/title", "string_too_short"),
    (create(colour="red"), "/task/colour", "unknown"),
    (create(priority=True), "/task/priority", "int_type"),
    ({"op": "create"}, "/task", "missing"),
    ({"op": "create", "task": {"title": "x"}, "id": ID}, "/id", "unknown"),
    (update(ID, {"title": None}), "/changes/title", "string_type"),
    (update(ID, {"project_id": ID}), "/changes/project_id", "unknown"),
    (update("1", {}), "/id", "uuid_parsing"),
    (update(ID, {}, if_match="tb1"), "/if_match", "entity_tags"),
    ({"op": "update", "id": ID}, "/changes", "missing"),
    (delete(ID, changes={}), "/changes", "unknown"),
    ({"op": "destroy", "id": ID}, "/op", "unknown_operation"),
    ({"op": ["create"]}, "/op", "unknown_operation"),
    ({}, "/op", "unknown_operation"),
    ("create", "", "object_required"),
    (None, "", "object_required"),
]


@pytest.mark.parametrize(("operation", "pointer", "code"), MALFORMED)
async def test_invalid_operation_is_400_and_changes_nothing(
    api: Api, database: Database, project: Project, operation: Any, pointer: str, code: str
) -> None:
    before = await contents(database)
    answer = await send(api, project, [GOOD, GOOD, operation, GOOD])
    problem = assert_problem(answer, 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(f"/operations/2{pointer}", code)]
    assert {name: rows for name, rows in (await contents(database)).items() if name == "tasks"} == {
        "tasks": before["tasks"]
    }


@pytest.mark.parametrize(("operation", "pointer", "code"), MALFORMED)
async def test_invalid_operation_fails_alone_if_not_atomic(
    api: Api, project: Project, operation: Any, pointer: str, code: str
) -> None:
    answer = await send(api, project, [GOOD, operation, GOOD], atomic=False)
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 400, 201]
    problem = results[1]["problem"]
    assert (problem["code"], problem["status"], set(results[1])) == ("invalid_request", 400, {"status", "problem"})
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(f"/operations/1{pointer}", code)]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/operations"),
        ({"operations": []}, "/operations"),
        ({"operations": [GOOD] * 501}, "/operations"),
        ({"operations": {"0": GOOD}}, "/operations"),
        ({"operations": [GOOD], "atomic": "no"}, "/atomic"),
        ({"operations": [GOOD], "more": 1}, "/more"),
    ],
)
async def test_malformed_batch_is_refused(api: Api, project: Project, body: Any, pointer: str) -> None:
    answer = await api.post(f"/projects/{project.id}/tasks/batch", json=body)
    problem = assert_problem(answer, 400, "invalid_request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_failed_operation_rolls_back_the_batch(
    api: Api, database: Database, project: Project, tasks: list[Task]
) -> None:
    etag = (await api.get(f"/tasks/{tasks[1].id}")).json()["etag"]
    await api.patch(f"/tasks/{tasks[1].id}", json={"title": "Changed"})
    before = await contents(database)
    cases = [
        (update(uuid7(), {"title": "x"}), 404, "task_not_found", "id"),
        (delete(uuid7()), 404, "task_not_found", "id"),
        (update(tasks[1], {"title": "x"}, if_match=etag), 412, "precondition_failed", "if_match"),
        (delete(tasks[1], if_match=f'{etag}, W/"tb2"'), 412, "precondition_failed", "if_match"),
        (delete(tasks[0]), 400, "invalid_request", "id"),
    ]
    for operation, status, code, member in cases:
        answer = await send(api, project, [create(), update(tasks[0], {"title": "x"}), operation, delete(tasks[2])])
        problem = assert_problem(answer, status, code)
        assert [error["pointer"] for error in problem["errors"]] == [f"/operations/2/{member}"]
        assert (await contents(database))["tasks"] == before["tasks"]


async def test_batch_that_is_not_atomic_executes_each_possible_operation(
    api: Api, database: Database, project: Project, tasks: list[Task]
) -> None:
    etag = (await api.get(f"/tasks/{tasks[1].id}")).json()["etag"]
    answer = await send(
        api,
        project,
        [
            update(tasks[0], {"title": "Done"}),
            update(tasks[0], {"title": "Twice"}),
            delete(uuid7()),
            update(tasks[1], {"title": "Seen"}, if_match=etag),
            delete(tasks[2], if_match='"tb7"'),
            create(),
        ],
        atomic=False,
    )
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [200, 400, 404, 200, 412, 201]
    codes = [result["problem"]["code"] if "problem" in result else None for result in results]
    assert codes == [None, "invalid_request", "task_not_found", None, "precondition_failed", None]
    titles = {item["title"] for item in (await api.get(f"/projects/{project.id}/tasks/")).json()["items"]}
    assert titles == {"Done", "Seen", "Task 2", "New"}
    assert await database.fetch_all(wrong_counts()) == []


async def test_ids_of_other_projects_are_not_found(api: Api, user: User, database: Database, project: Project) -> None:
    ben = UserFactory.build()
    await store(database, ben)
    for other in (await project_of(database, user), await project_of(database, ben)):
        task = TaskFactory.build(project_id=other.id)
        await store(database, task)
        before = (await contents(database))["tasks"]
        for operation in (update(task, {"title": "Taken"}), delete(task), delete(task, if_match="*")):
            problem = assert_problem(await send(api, project, [create(), operation]), 404, "task_not_found")
            assert [error["pointer"] for error in problem["errors"]] == ["/operations/1/id"]
            partly = (await send(api, project, [operation], atomic=False)).json()["results"]
            assert [result["status"] for result in partly] == [404]
        assert (await contents(database))["tasks"] == before


async def test_operation_without_tag_is_428_if_required(api: Api, project: Project, tasks: list[Task]) -> None:
    await api.patch(f"/projects/{project.id}", json={"require_if_match": True})
    problem = assert_problem(
        await send(api, project, [create(), update(tasks[0], {"title": "x"})]), 428, "precondition_required"
    )
    assert [error["pointer"] for error in problem["errors"]] == ["/operations/1/if_match"]
    seen = (await api.get(f"/tasks/{tasks[0].id}")).json()["etag"]
    operations = [create(), update(tasks[0], {"title": "x"}, if_match=seen), delete(tasks[1], if_match="*")]
    assert (await send(api, project, operations)).status_code == 200


async def test_viewer_and_stranger_are_refused_before_validation(
    anonymous: Api, database: Database, project: Project, tasks: list[Task]
) -> None:
    viewer, stranger = UserFactory.build(), UserFactory.build()
    await store(database, viewer, stranger)
    await add_member(database, project, viewer, Role.VIEWER)
    for person, status, code in ((viewer, 403, "role_required"), (stranger, 404, "project_not_found")):
        async with await anonymous.as_(person) as them:
            for operations in ([create()], [delete(tasks[0])], [{"op": "destroy"}], []):
                assert_problem(await send(them, project, operations), status, code)


@pytest.mark.parametrize("atomic", [True, False])
async def test_too_large_batch_response_is_409(api: Api, database: Database, project: Project, *, atomic: bool) -> None:
    most = MAX_ANSWERED_BYTES // 40_000
    long = TaskFactory.batch(most + 1, project_id=project.id, description="\U0001f527" * 10_000, completed=False)
    await store(database, *long)
    changes = [update(task, {"completed": True}) for task in long]
    before = await contents(database)
    problem = assert_problem(await send(api, project, changes, atomic=atomic), 409, "batch_answer_too_large")
    assert str(MAX_ANSWERED_BYTES) in problem["detail"]
    assert await contents(database) == before
    # One less is served, and so are what comes with the request and what is deleted.
    assert (await send(api, project, changes[1:], atomic=atomic)).is_success
    rest = [update(long[0], {"description": "Short"}), *map(delete, long[1:])]
    assert (await send(api, project, rest, atomic=atomic)).is_success


async def test_batch_with_idempotency_key_is_executed_once(api: Api, project: Project, tasks: list[Task]) -> None:
    body = {"operations": [create(), delete(tasks[0]), delete(uuid7())], "atomic": False}
    path = f"/projects/{project.id}/tasks/batch"
    first = await api.post(path, json=body, headers={"Idempotency-Key": "once"})
    again = await api.post(path, json=body, headers={"Idempotency-Key": "once"})
    assert (first.status_code, again.status_code) == (207, 207)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert (await api.get(f"/projects/{project.id}")).json()["tasks_total"] == 3


async def test_concurrent_batches_neither_deadlock_nor_lose_changes(
    api: Api, database: Database, project: Project, tasks: list[Task]
) -> None:
    etags = {task.id: (await api.get(f"/tasks/{task.id}")).json()["etag"] for task in tasks}

    def operations(number: int) -> list[Any]:
        chosen = tasks if number % 2 else tasks[::-1]
        return [update(task, {"priority": number}, if_match=etags[task.id]) for task in chosen] + [create()]

    answers = await asyncio.gather(*(send(api, project, operations(number)) for number in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 11
    assert (await api.get(f"/projects/{project.id}")).json()["tasks_total"] == 4
    assert await database.fetch_all(wrong_counts()) == []


@pytest.mark.parametrize("atomic", [True, False])
def test_invalid_operations_cost_little_and_report_twenty_errors(atomic: bool) -> None:
    junk = {f"member {number}": "x" * 40 for number in range(29)}
    body = {"atomic": atomic, "operations": [{"op": "create", "task": {"title": "x", **junk}}] * 500}
    began = process_time()
    try:
        batch = TaskBatch.model_validate(body)
    except InvalidRequestError as refusal:
        assert atomic
        named = [refusal.errors]
    else:
        named = [operation.errors for operation in batch.operations if isinstance(operation, MalformedOperation)]
        assert len(named) == 500
    assert process_time() - began < 0.3
    assert {len(errors) for errors in named} == {20}
