"""Deleting projects."""

from app.auth.models import User
from app.core.database.database import Database
from tests.projects.factories import project_of
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.samples import contents
from tests.tasks.factories import TaskFactory


async def test_delete_removes_the_projects_tasks_and_no_others(api: Api, user: User, database: Database) -> None:
    doomed, spared = await project_of(database, user), await project_of(database, user)
    lost = TaskFactory.batch(3, project_id=doomed.id)
    kept = TaskFactory.build(project_id=spared.id)
    await store(database, *lost, kept)
    assert (await api.delete(f"/projects/{doomed.id}")).status_code == 204
    for task in lost:
        assert_problem(await api.get(f"/tasks/{task.id}"), 404, "task_not_found")
    assert (await api.get(f"/tasks/{kept.id}")).status_code == 200
    assert len((await contents(database))["tasks"]) == 1
