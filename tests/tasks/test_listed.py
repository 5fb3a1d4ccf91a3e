"""Labels and assignees of tasks: set with the task or one by one, and gone when what they name goes."""

from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.auth.manager import Authentication
from app.auth.models import User
from app.auth.passwords import Passwords
from app.core.database.database import ConstraintError, Database
from app.core.ids import uuid7
from app.projects.models import Role
from app.tasks.models import MAX_LISTED
from tests.auth.factories import UserFactory
from tests.labels.factories import LabelFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api, assert_problem, tag_of
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory
from tests.tasks.listed import ASSIGNEES, LABELS, Listed, Place, each_list, ids_of, unreal

CHANGES = ("PUT", "PATCH")


async def shown(api: Api, task_id: object, listed: Listed) -> list[str]:
    """What a task lists."""
    ids: list[str] = (await api.get(f"/tasks/{task_id}")).json()[listed.name]
    return ids


@each_list
async def test_ids_are_set_with_the_task_and_replaced_together(
    api: Api, user: User, database: Database, listed: Listed
) -> None:
    place = await Place.of(database, user, listed)
    first, second, third = place.ids
    created = await api.post(place.tasks, json={"title": "Saw", listed.name: [third, first, third]})
    assert (created.status_code, created.json()[listed.name]) == (201, [first, third])
    address = f"/tasks/{created.json()['id']}"
    assert (await api.get(address)).json() == created.json()
    assert (await api.get(place.tasks)).json()["items"] == [created.json()]
    tags = [tag_of(created)]
    for method in CHANGES:
        for ids in ([second], [], [first, second]):
            changed = await api.request(method, address, json={listed.name: ids}, headers={"If-Match": tags[-1]})
            assert changed.json()[listed.name] == ids
            tags.append(tag_of(changed))
        assert await ids_of(database, created.json()["id"], listed) == [first, second]
    assert len(set(tags)) == len(tags)
    unchanged = await api.patch(address, json={listed.name: [second, first]})
    assert tag_of(unchanged) == tags[-1]
    renamed = await api.patch(address, json={"title": "Plane"})
    assert renamed.json()[listed.name] == [first, second]
    assert await unreal(database) == []


@each_list
async def test_invalid_id_is_named_and_nothing_changes(
    api: Api, user: User, database: Database, listed: Listed
) -> None:
    place = await Place.of(database, user, listed)
    task = TaskFactory.build(project_id=place.project.id)
    await store(database, task)
    before = (await api.get(f"/tasks/{task.id}")).json()
    for wrong in (place.others[0], str(uuid7())):
        body = {"title": "Saw", listed.name: [place.ids[0], wrong]}
        for method, address in (("POST", place.tasks), *((method, f"/tasks/{task.id}") for method in CHANGES)):
            for headers in ({}, {"If-Match": before["etag"]}):
                refused = await api.request(method, address, json=body, headers=headers)
                problem = assert_problem(refused, 400, "invalid_request")
                (error,) = problem["errors"]
                assert (error["pointer"], error["code"]) == (f"/{listed.name}/1", listed.unknown)
                assert wrong not in refused.text
    assert (await api.get(f"/tasks/{task.id}")).json() == before
    assert (await api.get(place.tasks)).json()["total"] == 1


@each_list
async def test_caller_without_the_role_learns_nothing_of_the_ids(
    api: Api, user: User, database: Database, listed: Listed
) -> None:
    place = await Place.of(database, user, listed)
    task = TaskFactory.build(project_id=place.project.id)
    viewer, stranger = UserFactory.build(), UserFactory.build()
    await store(database, task, viewer, stranger)
    await add_member(database, place.project, viewer, Role.VIEWER)
    for person, refusals in (
        (viewer, {"POST": (403, "role_required"), "PATCH": (403, "role_required")}),
        (stranger, {"POST": (404, "project_not_found"), "PATCH": (404, "task_not_found")}),
    ):
        async with await api.as_(person) as theirs:
            for ids in (place.ids[:1], place.others[:1]):
                body = {"title": "Saw", listed.name: ids}
                assert_problem(await theirs.post(place.tasks, json=body), *refusals["POST"])
                assert_problem(await theirs.patch(f"/tasks/{task.id}", json=body), *refusals["PATCH"])
    stale = await api.patch(f"/tasks/{task.id}", json={listed.name: place.ids}, headers={"If-Match": '"tb0"'})
    assert_problem(stale, 412, "precondition_failed")


@each_list
async def test_batch_sets_ids_and_points_to_invalid_ones(
    api: Api, user: User, database: Database, listed: Listed
) -> None:
    place = await Place.of(database, user, listed)
    first, second, third = place.ids
    tasks = [TaskFactory.build(project_id=place.project.id) for _ in range(2)]
    await store(database, *tasks)
    plane: dict[str, Any] = {"title": "Plane"}
    operations: list[dict[str, Any]] = [
        {"op": "create", "task": {"title": "Saw", listed.name: [second, first]}},
        {"op": "create", "task": plane},
        {"op": "update", "id": str(tasks[0].id), "changes": {listed.name: [third]}},
        {"op": "update", "id": str(tasks[1].id), "changes": {"title": "Sand"}},
    ]
    address = f"{place.tasks}batch"
    await api.get(place.tasks)
    with query_budget(database, 5):
        done = await api.post(address, json={"operations": operations})
    assert [result["task"][listed.name] for result in done.json()["results"]] == [[first, second], [], [third], []]
    assert await unreal(database) == []
    plane[listed.name] = [first, place.others[0]]
    operations[3]["changes"] = {listed.name: [place.others[1]]}
    refused = assert_problem(await api.post(address, json={"operations": operations}), 400, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in refused["errors"]] == [
        (f"/operations/1/task/{listed.name}/1", listed.unknown)
    ]
    each = (await api.post(address, json={"atomic": False, "operations": operations})).json()["results"]
    assert [result["status"] for result in each] == [201, 400, 200, 400]
    assert each[3]["problem"]["errors"][0]["pointer"] == f"/operations/3/changes/{listed.name}/0"


@each_list
async def test_one_is_added_and_taken_off_by_itself(api: Api, user: User, database: Database, listed: Listed) -> None:
    place = await Place.of(database, user, listed)
    first, second, _ = place.ids
    task = TaskFactory.build(project_id=place.project.id)
    await store(database, task)
    address = f"/tasks/{task.id}/{listed.path}"
    before = await api.get(f"/tasks/{task.id}")
    for ids in ([second], [first, second], [first, second]):
        added = await api.put(f"{address}/{first if len(ids) > 1 else second}")
        assert (added.status_code, added.content) == (204, b"")
        assert await shown(api, task.id, listed) == ids
    assert (await api.get(f"/tasks/{task.id}")).json()["etag"] == '"tb3"', "what was there already changed nothing"
    stale = await api.delete(f"{address}/{first}", headers={"If-Match": tag_of(before)})
    assert_problem(stale, 412, "precondition_failed")
    fresh = {"If-Match": tag_of(await api.get(f"/tasks/{task.id}"))}
    assert (await api.delete(f"{address}/{first}", headers=fresh)).status_code == 204
    assert_problem(await api.delete(f"{address}/{first}"), 404, listed.missing)
    for wrong in (place.others[0], str(uuid7())):
        assert_problem(await api.put(f"{address}/{wrong}"), 404, listed.missing)
        assert_problem(await api.delete(f"{address}/{wrong}"), 404, listed.missing)
    assert_problem(await api.put(f"/tasks/{uuid7()}/{listed.path}/{first}"), 404, "task_not_found")
    assert await shown(api, task.id, listed) == [second]


async def test_put_adds_one_label_or_assignee(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    (label_id,) = await LABELS.stored(database, project, 1)
    task = TaskFactory.build(project_id=project.id)
    await store(database, task)
    await api.put(f"/tasks/{task.id}/labels/{label_id}")
    await api.put(f"/tasks/{task.id}/assignees/{user.id}")
    both = (await api.get(f"/tasks/{task.id}")).json()
    assert (both["label_ids"], both["assignee_ids"]) == ([label_id], [str(user.id)])
    await api.delete(f"/tasks/{task.id}/labels/{label_id}")
    await api.delete(f"/tasks/{task.id}/assignees/{user.id}")
    neither = (await api.get(f"/tasks/{task.id}")).json()
    assert (neither["label_ids"], neither["assignee_ids"]) == ([], [])


@each_list
async def test_a_list_has_at_most_20(api: Api, user: User, database: Database, listed: Listed) -> None:
    place = await Place.of(database, user, listed, MAX_LISTED + 1)
    task = TaskFactory.build(project_id=place.project.id)
    await store(database, task)
    too_many = await api.patch(f"/tasks/{task.id}", json={listed.name: place.ids})
    assert assert_problem(too_many, 400, "invalid_request")["errors"][0]["pointer"] == f"/{listed.name}"
    full = place.ids[:MAX_LISTED]
    assert (await api.patch(f"/tasks/{task.id}", json={listed.name: full})).json()[listed.name] == full
    assert_problem(await api.put(f"/tasks/{task.id}/{listed.path}/{place.ids[-1]}"), 409, listed.full)
    assert (await api.put(f"/tasks/{task.id}/{listed.path}/{full[0]}")).status_code == 204
    assert await shown(api, task.id, listed) == full


async def test_deleted_label_is_taken_off_its_tasks(api: Api, user: User, database: Database) -> None:
    place = await Place.of(database, user, LABELS)
    kept, gone, _ = place.ids
    tasks = [(await api.post(place.tasks, json={"title": "Saw", "label_ids": [kept, gone]})).json() for _ in range(3)]
    other = (await api.post(place.tasks, json={"title": "Plane", "label_ids": [kept]})).json()
    with query_budget(database, 1):
        assert (await api.delete(f"/labels/{gone}")).status_code == 204
    for task in tasks:
        now = (await api.get(f"/tasks/{task['id']}")).json()
        assert now == {**task, "label_ids": [kept], "etag": '"tb2"', "updated_at": now["updated_at"]}
        assert now["updated_at"] > task["updated_at"]
    assert (await api.get(f"/tasks/{other['id']}")).json() == other
    assert await unreal(database) == []


@pytest.mark.parametrize("how", ["removed", "leaves", "deletes the account"])
async def test_who_goes_does_no_task_any_more(api: Api, user: User, database: Database, app: FastAPI, how: str) -> None:
    project, other = [await project_of(database, user) for _ in range(2)]
    passwords: Passwords = app.state.services[Authentication].passwords
    person = UserFactory.build(hashed_password=await passwords.hash("correct horse battery"))
    await store(database, person)
    for place in (project, other):
        await add_member(database, place, person, Role.EDITOR)
    both = sorted([str(user.id), str(person.id)])
    tasks = [
        (await api.post(f"/projects/{place.id}/tasks/", json={"title": "Saw", "assignee_ids": both})).json()
        for place in (project, project, other)
    ]
    async with await api.as_(person) as theirs:
        if how == "removed":
            gone = await api.delete(f"/projects/{project.id}/members/{person.id}")
        elif how == "leaves":
            gone = await theirs.delete(f"/projects/{project.id}/members/{person.id}")
        else:
            gone = await theirs.request("DELETE", "/auth/me", json={"password": "correct horse battery"})
    assert gone.status_code == 204, gone.text
    left = [str(user.id)]
    for task, ids in zip(tasks, (left, left, left if how == "deletes the account" else both), strict=True):
        now = (await api.get(f"/tasks/{task['id']}")).json()
        assert (now["assignee_ids"], now["etag"] != task["etag"]) == (ids, ids == left)
    assert await unreal(database) == []


@pytest.mark.parametrize("method", CHANGES)
async def test_move_keeps_labels_of_the_same_name_and_members(
    api: Api, user: User, database: Database, method: str
) -> None:
    here, there = [await project_of(database, user) for _ in range(2)]
    labels = [LabelFactory.build(project_id=here.id, name=name) for name in ("Bug", "Ärger", "rare")]
    same = [LabelFactory.build(project_id=there.id, name=name) for name in ("bUG", "ärgER", "chore")]
    colleague, stranger = UserFactory.build(), UserFactory.build()
    await store(database, *labels, *same, colleague, stranger)
    for person, projects in ((colleague, (here, there)), (stranger, (here,))):
        for project in projects:
            await add_member(database, project, person, Role.VIEWER)
    body = {
        "title": "Saw",
        "label_ids": [str(label.id) for label in labels],
        "assignee_ids": [str(person.id) for person in (user, colleague, stranger)],
    }
    task = (await api.post(f"/projects/{here.id}/tasks/", json=body)).json()
    with query_budget(database, 1):
        moved = await api.request(method, f"/tasks/{task['id']}", json={"project_id": str(there.id)})
    assert moved.status_code == 200, moved.text
    assert moved.json()["label_ids"] == sorted(str(label.id) for label in same[:2])
    assert moved.json()["assignee_ids"] == sorted([str(user.id), str(colleague.id)])
    assert moved.json()["etag"] == '"tb2"'
    assert (await api.get(f"/tasks/{task['id']}")).json() == moved.json()
    assert await unreal(database) == []
    # What the request says itself is of the project to which the task goes.
    back = {"project_id": str(here.id), "label_ids": [str(same[0].id)]}
    refused = assert_problem(await api.request(method, f"/tasks/{task['id']}", json=back), 400, "invalid_request")
    assert (refused["errors"][0]["pointer"], refused["errors"][0]["code"]) == ("/label_ids/0", "unknown_label")
    back |= {"label_ids": [str(labels[2].id)], "assignee_ids": [str(stranger.id)]}
    returned = (await api.request(method, f"/tasks/{task['id']}", json=back)).json()
    assert (returned["label_ids"], returned["assignee_ids"]) == (back["label_ids"], back["assignee_ids"])
    assert await unreal(database) == []


async def test_refused_move_tells_nothing_of_the_target(api: Api, user: User, database: Database) -> None:
    place = await Place.of(database, user, LABELS)
    foreign = await project_of(database, await _stored_user(database))
    (label,) = await LABELS.stored(database, foreign, 1)
    task = TaskFactory.build(project_id=place.project.id)
    await store(database, task)
    for id_ in (label, str(uuid7())):
        body = {"project_id": str(foreign.id), "label_ids": [id_]}
        refused = assert_problem(await api.patch(f"/tasks/{task.id}", json=body), 404, "project_not_found")
        assert refused["errors"][0]["pointer"] == "/project_id"


async def _stored_user(database: Database) -> User:
    user = UserFactory.build()
    await store(database, user)
    return user


@each_list
async def test_what_is_done_to_a_list_is_one_statement(
    api: Api, user: User, database: Database, listed: Listed
) -> None:
    place = await Place.of(database, user, listed)
    created = await api.post(place.tasks, json={"title": "Saw", listed.name: place.ids})
    address = f"/tasks/{created.json()['id']}"
    with query_budget(database, 7):
        await api.post(place.tasks, json={"title": "Plane", listed.name: place.ids})
        await api.patch(address, json={listed.name: place.ids[:1]})
        await api.put(f"{address}/{listed.path}/{place.ids[1]}")
        await api.delete(f"{address}/{listed.path}/{place.ids[1]}")
        await api.get(f"/tasks/?{listed.parameter}={place.ids[0]}")
        await api.get(f"{place.tasks}?{listed.parameter}={place.ids[0]}&{listed.name}_is_empty=false")
        await api.delete(address)


RAW = {
    "an id of another project": "UPDATE tasks SET {ids} = list_of(ARRAY['{other}'::uuid])",
    "an id of nothing": "UPDATE tasks SET {ids} = list_of(ARRAY[gen_random_uuid()])",
    "no list": "UPDATE tasks SET {ids} = 'x'",
    "an order of its own": """UPDATE tasks SET {ids} = '["{second}","{first}"]'""",
    "one twice": """UPDATE tasks SET {ids} = '["{first}","{first}"]'""",
    "capitals": """UPDATE tasks SET {ids} = upper({ids})""",
    "too many": "UPDATE tasks SET {ids} = list_of((SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 21)))",
    "a row of another project": "INSERT INTO {table} SELECT id, '{other}', '{other_project}' FROM tasks",
    "a row of nothing": "INSERT INTO {table} SELECT id, gen_random_uuid(), project_id FROM tasks",
    "a row that changes": "UPDATE {table} SET project_id = '{other_project}'",
    "what is listed": "UPDATE {source} SET project_id = '{other_project}' WHERE {source_id} = '{first}'",
    "all of what is listed": "TRUNCATE {source}",
}


@each_list
@pytest.mark.parametrize("sql", RAW.values(), ids=RAW.keys())
async def test_no_sql_makes_a_list_wrong(api: Api, user: User, database: Database, listed: Listed, sql: str) -> None:
    place = await Place.of(database, user, listed)
    task = (await api.post(place.tasks, json={"title": "Saw", listed.name: place.ids[:2]})).json()
    with pytest.raises((ConstraintError, asyncpg.PostgresError)):
        await database.execute(text(sql.format(**_words(place, listed)).replace(":", r"\:")))
    assert (await api.get(f"/tasks/{task['id']}")).json() == task
    assert await unreal(database) == []


@each_list
@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ("INSERT INTO {table} SELECT id, '{third}', project_id FROM tasks", [0, 1, 2]),
        ("DELETE FROM {table} WHERE {id_name} = '{second}'", [0]),
        ("UPDATE {table} SET {id_name} = '{third}' WHERE {id_name} = '{first}'", [1, 2]),
        ("DELETE FROM {source} WHERE {source_id} = '{first}'", [1]),
        ("TRUNCATE {table}", []),
        ("UPDATE tasks SET {ids} = list_of(ARRAY['{third}', '{first}', '{first}']::uuid[])", [0, 2]),
        ("UPDATE tasks SET project_id = '{other_project}'", []),
    ],
)
async def test_lists_and_their_rows_follow_each_other(
    api: Api, user: User, database: Database, listed: Listed, sql: str, kept: list[int]
) -> None:
    place = await Place.of(database, user, listed)
    task = (await api.post(place.tasks, json={"title": "Saw", listed.name: place.ids[:2]})).json()
    await database.execute(text(sql.format(**_words(place, listed)).replace(":", r"\:")))
    now = (await api.get(f"/tasks/{task['id']}")).json()
    assert now[listed.name] == [place.ids[number] for number in kept]
    assert now["etag"] != task["etag"]
    assert await unreal(database) == []


def _words(place: Place, listed: Listed) -> dict[str, str]:
    is_label = listed is LABELS
    return {
        "ids": listed.name,
        "table": f"task_{listed.path}",
        "id_name": "label_id" if is_label else "user_id",
        "source": "labels" if is_label else "project_members",
        "source_id": "id" if is_label else "user_id",
        "first": place.ids[0],
        "second": place.ids[1],
        "third": place.ids[2],
        "other": place.others[0],
        "other_project": str(place.other.id),
    }


async def test_a_project_goes_with_everything_that_its_tasks_list(api: Api, user: User, database: Database) -> None:
    place = await Place.of(database, user, LABELS)
    people = await ASSIGNEES.stored(database, place.project, 2)
    await api.post(place.tasks, json={"title": "Saw", "label_ids": place.ids, "assignee_ids": people})
    assert (await api.delete(f"/projects/{place.project.id}")).status_code == 204
    for table in ("tasks", "task_labels", "task_assignees"):
        assert await database.fetch_one_or_none(text(f"SELECT count(*) AS n FROM {table}")) == {"n": 0}
