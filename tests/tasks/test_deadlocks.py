"""Changes that lock the same rows in opposite orders, over connections of their own, many times: PostgreSQL undoes one
of those that wait for each other, the service repeats it, and nobody is told.
"""

import pytest

from app.auth.models import User
from app.core.database.database import Database
from app.core.ids import uuid7
from app.tasks.queries import wrong_counts
from tests.projects.factories import project_of
from tests.support.client import Api
from tests.support.keys import keyed
from tests.tasks.test_blockers import tasks_in
from tests.tasks.test_listed_races import TIMES, statuses

each_way = pytest.mark.parametrize("has_key", [False, True], ids=["statement", "transaction"])
"""Without a key, a change is a single statement; with one, it is part of a transaction."""


def options(*, has_key: bool) -> dict[str, object]:
    """The options of a request, with a key of its own or none."""
    return keyed(str(uuid7())) if has_key else {}


@each_way
async def test_tasks_are_completed_while_their_project_is_deleted(
    api: Api, user: User, database: Database, has_key: bool
) -> None:
    for _ in range(TIMES):
        project = await project_of(database, user)
        calls = [
            api.patch(f"/tasks/{task.id}", json={"completed": True}, **options(has_key=has_key))
            for task in await tasks_in(database, project, 8)
        ]
        deleted = api.delete(f"/projects/{project.id}", **options(has_key=has_key))
        done = await statuses(*calls[:4], deleted, *calls[4:])
        assert done.pop(4) == 204
        assert set(done) <= {200, 404}, done
    assert await database.fetch_all(wrong_counts()) == []


@each_way
async def test_trees_move_in_both_directions_at_once(api: Api, user: User, database: Database, has_key: bool) -> None:
    projects = [await project_of(database, user) for _ in range(2)]
    tops = await tasks_in(database, projects[0], 5)
    for top in tops:
        for _ in range(2):
            below = {"title": "Saw", "parent_id": str(top.id)}
            assert (await api.post(f"/projects/{projects[0].id}/tasks/", json=below)).status_code == 201
    for _ in range(TIMES):
        calls = (
            api.patch(
                f"/tasks/{tops[number % 5].id}",
                json={"project_id": str(projects[number % 2].id)},
                **options(has_key=has_key),
            )
            for number in range(40)
        )
        assert set(await statuses(*calls)) == {200}
    assert await database.fetch_all(wrong_counts()) == []
