"""Creating tasks."""

import asyncio

from sqlalchemy import delete, text

from app.auth.models import User
from app.core.database.database import Database
from app.core.ids import uuid7
from app.projects.models import Project
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.samples import contents


async def test_members_left_out_have_their_defaults(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    task = (await api.post(f"/projects/{project.id}/tasks", json={"title": "Sweep"})).json()
    assert {name: task[name] for name in ("title", "description", "priority", "completed", "due_date")} == {
        "title": "Sweep",
        "description": None,
        "priority": 0,
        "completed": False,
        "due_date": None,
    }


async def test_missing_project_takes_no_task(api: Api, database: Database) -> None:
    answer = await api.post(f"/projects/{uuid7()}/tasks", json={"title": "Sweep"})
    assert_problem(answer, 404, "project_not_found")
    assert (await contents(database))["tasks"] == []


async def test_fifty_created_at_once_are_fifty_tasks(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    address = f"/projects/{project.id}/tasks"
    answers = await asyncio.gather(*(api.post(address, json={"title": f"Task {n}"}) for n in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    page = (await api.get(f"{address}?size=100")).json()
    assert page["total"] == 50
    assert {item["id"] for item in page["items"]} == {answer.json()["id"] for answer in answers}


async def test_create_during_project_deletion_is_201_or_404(api: Api, user: User, database: Database) -> None:
    for pause in (0, 0.002, 0.004, 0.006, 0.008):
        project = await project_of(database, user)
        create = f"/projects/{project.id}/tasks"
        early = [asyncio.create_task(api.post(create, json={"title": "Sweep"})) for _ in range(12)]
        await asyncio.sleep(pause)
        deletion = asyncio.create_task(api.delete(f"/projects/{project.id}"))
        late = [asyncio.create_task(api.post(create, json={"title": "Sweep"})) for _ in range(12)]
        assert (await deletion).status_code == 204
        for answer in await asyncio.gather(*early, *late):
            if answer.status_code != 201:
                assert_problem(answer, 404, "project_not_found")
        assert (await contents(database))["tasks"] == []


async def test_create_that_waited_for_project_deletion_is_404(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    waiting = text(
        "SELECT count(*) AS found FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with database.transaction() as transaction:
        await transaction.execute(delete(Project).where(Project.id == project.id))
        create = asyncio.create_task(api.post(f"/projects/{project.id}/tasks", json={"title": "Sweep"}))
        for _ in range(200):
            if (await database.fetch_all(waiting))[0]["found"]:
                break
            await asyncio.sleep(0.01)
        assert not create.done()
    assert_problem(await create, 404, "project_not_found")


async def test_create_ignores_preconditions(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    for headers in ({"If-None-Match": "*"}, {"If-Match": '"tb7"'}, {"If-Match": "tb7"}):
        answer = await api.post(f"/projects/{project.id}/tasks/", json={"title": "Saw"}, headers=headers)
        assert answer.status_code == 201
