"""Labels and assignees that change at the same moment, over connections of their own, many times: nothing is lost,
nothing refers to what is gone, and nobody waits for each other in a circle.
"""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import httpx2
import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.tasks.models import MAX_LISTED
from tests.labels.factories import LabelFactory
from tests.projects.factories import project_of
from tests.support.client import Api
from tests.support.factories import store
from tests.tasks.factories import TaskFactory
from tests.tasks.listed import LABELS, Listed, Place, each_list, ids_of, unreal

TIMES = int(os.environ.get("TALLER_TEST_RACES", "5"))
"""How often each race is run; `make drills` runs it a hundred times."""

Call = Coroutine[Any, Any, httpx2.Response]


async def statuses(*calls: Call) -> list[int]:
    """The statuses of calls that are made at once."""
    return [answer.status_code for answer in await asyncio.gather(*calls)]


@each_list
async def test_none_of_those_who_add_one_at_once_is_lost(
    api: Api, user: User, database: Database, listed: Listed
) -> None:
    place = await Place.of(database, user, listed, 6)
    for _ in range(TIMES):
        task = TaskFactory.build(project_id=place.project.id, **{listed.name: place.ids[:2]})
        await store(database, task)
        address = f"/tasks/{task.id}/{listed.path}"
        added = [api.put(f"{address}/{id_}") for id_ in place.ids[2:]]
        taken = [api.delete(f"{address}/{id_}") for id_ in place.ids[:2]]
        renamed = api.patch(f"/tasks/{task.id}", json={"title": "Plane"})
        assert await statuses(*added, *taken, renamed) == [204] * 6 + [200]
        assert await ids_of(database, task.id, listed) == place.ids[2:]
    assert await unreal(database) == []


@each_list
async def test_concurrent_additions_do_not_exceed_the_limit(
    api: Api, user: User, database: Database, listed: Listed
) -> None:
    place = await Place.of(database, user, listed, MAX_LISTED + 3)
    for _ in range(TIMES):
        task = TaskFactory.build(project_id=place.project.id, **{listed.name: place.ids[4:]})
        await store(database, task)
        calls = [api.put(f"/tasks/{task.id}/{listed.path}/{id_}") for id_ in place.ids[:4]]
        assert sorted(await statuses(*calls)) == [204, 409, 409, 409]
        assert len(await ids_of(database, task.id, listed)) == MAX_LISTED


@each_list
async def test_what_is_listed_while_it_goes_is_listed_nowhere(
    api: Api, user: User, database: Database, listed: Listed
) -> None:
    place = await Place.of(database, user, listed, 1)
    tasks = [TaskFactory.build(project_id=place.project.id) for _ in range(4)]
    await store(database, *tasks)
    for _ in range(TIMES):
        kept, gone = await listed.stored(database, place.project, 2)
        await api.patch(f"/tasks/{tasks[0].id}", json={listed.name: [kept, gone]})
        address = f"/labels/{gone}" if listed is LABELS else f"/projects/{place.project.id}/members/{gone}"
        batch = [
            {"op": "update", "id": str(task.id), "changes": {listed.name: [gone]}} for task in (tasks[3], tasks[0])
        ]
        deleted, put, cleared, created, patched, batched = await statuses(
            api.delete(address),
            api.put(f"/tasks/{tasks[1].id}/{listed.path}/{gone}"),
            api.patch(f"/tasks/{tasks[0].id}", json={listed.name: []}),
            api.post(place.tasks, json={"title": "Saw", listed.name: [gone]}),
            api.patch(f"/tasks/{tasks[2].id}", json={listed.name: [gone, kept]}),
            api.post(f"{place.tasks}batch", json={"operations": batch}),
        )
        assert (deleted, cleared) == (204, 200)
        assert put in {204, 404}
        assert created in {201, 400}
        assert {patched, batched} <= {200, 400}
        assert await unreal(database) == []


async def test_concurrent_deletions_of_labels_do_not_deadlock(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    tasks = sorted((TaskFactory.build(project_id=project.id) for _ in range(10)), key=lambda task: task.id)
    await store(database, *tasks)
    for _ in range(TIMES):
        labels = [LabelFactory.build(project_id=project.id) for _ in range(3)]
        await store(database, *labels)
        # In another order for each label, so that their rows are.
        for number, label in enumerate(labels):
            for task in tasks[number * 3 :] + tasks[: number * 3]:
                await api.put(f"/tasks/{task.id}/labels/{label.id}")
        batch = [{"op": "update", "id": str(task.id), "changes": {"title": "Plane"}} for task in reversed(tasks)]
        calls = [api.delete(f"/labels/{label.id}") for label in labels]
        done = await statuses(*calls, api.post(f"/projects/{project.id}/tasks/batch", json={"operations": batch}))
        assert done == [204, 204, 204, 200]
    assert await unreal(database) == []


@pytest.mark.parametrize("goes", ["label", "project", "task"])
async def test_move_during_changes_of_labels_stays_consistent(
    api: Api, user: User, database: Database, goes: str
) -> None:
    for number in range(TIMES):
        place = await Place.of(database, user, LABELS, 1)
        (here,), (there,) = place.ids, place.others
        for label in (here, there):
            await api.patch(f"/labels/{label}", json={"name": f"Bug {number}"})
        task = (await api.post(place.tasks, json={"title": "Saw", "label_ids": [here]})).json()
        going = {"label": f"/labels/{there}", "project": f"/projects/{place.other.id}", "task": f"/tasks/{task['id']}"}
        done = await statuses(
            api.patch(f"/tasks/{task['id']}", json={"project_id": str(place.other.id)}),
            api.delete(going[goes]),
            api.put(f"/tasks/{task['id']}/labels/{here}"),
        )
        assert set(done) <= {200, 204, 404}, done
        assert await unreal(database) == []
