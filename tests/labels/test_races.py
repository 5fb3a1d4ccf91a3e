"""Two who add the same label, or the last one, at the same moment: over connections of their own, many times."""

import asyncio

from sqlalchemy import text

from app.auth.models import User
from app.core.database.database import Database
from app.labels.models import MAX_LABELS, Label
from tests.labels.factories import LabelFactory
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store

TIMES = 40


async def test_concurrent_creates_with_one_name_succeed_once(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    label = LabelFactory.build(project_id=project.id, name="rare")
    await store(database, label)
    for number in range(TIMES):
        calls = [
            api.post(f"/projects/{project.id}/labels/", json={"name": f"Bug {number}"}),
            api.post(f"/projects/{project.id}/labels/", json={"name": f"bug {number}"}),
            api.patch(f"/labels/{label.id}", json={"name": f"BUG {number}"}),
        ]
        winner, *others = sorted(await asyncio.gather(*calls), key=lambda answer: answer.status_code)
        assert winner.is_success
        for other in others:
            assert_problem(other, 409, "label_name_taken")


async def test_concurrent_creates_of_the_last_label_succeed_once(api: Api, user: User, database: Database) -> None:
    for _ in range(TIMES // 4):
        project = await project_of(database, user)
        await store(database, *(LabelFactory.build(project_id=project.id) for _ in range(MAX_LABELS - 1)))
        calls = [api.post(f"/projects/{project.id}/labels/", json={"name": f"Bug {number}"}) for number in range(4)]
        added, *others = sorted(await asyncio.gather(*calls), key=lambda answer: answer.status_code)
        assert added.status_code == 201
        for other in others:
            assert_problem(other, 409, "too_many_labels")
        counted = text("SELECT count(*) AS labels FROM labels WHERE project_id = :id").bindparams(id=project.id)
        assert await database.fetch_one_or_none(counted) == {"labels": MAX_LABELS}


async def test_concurrent_conditional_updates_succeed_once(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    label: Label = LabelFactory.build(project_id=project.id)
    await store(database, label)
    for number in range(TIMES):
        seen = {"If-Match": (await api.get(f"/labels/{label.id}")).headers["etag"]}
        calls = [
            api.patch(f"/labels/{label.id}", json={"color": f"#0000{number:02}"}, headers=seen),
            api.put(f"/labels/{label.id}", json={"color": f"#1111{number:02}"}, headers=seen),
        ]
        won, lost = sorted(await asyncio.gather(*calls), key=lambda answer: answer.status_code)
        assert won.status_code == 200
        assert_problem(lost, 412, "precondition_failed")
