"""The tasks of all projects that a caller may see."""

import random

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Role
from tests.auth.factories import UserFactory
from tests.projects.factories import add_member, project_of
from tests.support.client import Api
from tests.support.factories import store
from tests.support.queries import query_budget
from tests.tasks.factories import TaskFactory


async def test_pages_over_projects_have_every_task_once(api: Api, user: User, database: Database) -> None:
    stranger = UserFactory.build()
    await store(database, stranger)
    mine = [await project_of(database, user) for _ in range(3)]
    shared, theirs = await project_of(database, stranger), await project_of(database, stranger)
    await add_member(database, shared, user, Role.VIEWER)
    chance = random.Random(20261122)
    tasks = [
        TaskFactory.build(project_id=project.id, priority=chance.randint(-2, 2))
        for project in (*mine, shared, theirs)
        for _ in range(chance.randint(0, 15))
    ]
    await store(database, *tasks)
    visible = [task for task in tasks if task.project_id != theirs.id]
    expected = [str(task.id) for task in sorted(visible, key=lambda task: (task.priority, task.id), reverse=True)]
    for size in (1, 7, 100):
        found: list[str] = []
        for page in range(1, -(-len(expected) // size) + 2):
            with query_budget(database, 1 if found or size > 1 else 2):
                answer = (await api.get(f"/tasks/?page={page}&size={size}")).json()
            assert answer["total"] == len(expected)
            found += [item["id"] for item in answer["items"]]
        assert found == expected


async def test_an_administrator_sees_the_tasks_of_everybody(anonymous: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    await store(database, *TaskFactory.batch(3, project_id=project.id))
    root = UserFactory.build(is_superuser=True)
    await store(database, root)
    async with await anonymous.as_(root) as admin:
        assert (await admin.get("/tasks/?size=2")).json()["total"] == 3
