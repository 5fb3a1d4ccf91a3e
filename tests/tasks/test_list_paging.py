"""For any mix of priorities and any page size: walking the pages shows every task exactly once, in order."""

from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from app.auth.models import User
from app.core.database.database import Database
from app.projects.models import Project
from tests.auth.factories import UserFactory
from tests.projects.factories import project_of
from tests.support.client import Api
from tests.support.factories import store
from tests.tasks.factories import TaskFactory

Walk = Callable[[list[int], int], Awaitable[None]]

EXTREMES = st.sampled_from([-(2**31), -1, 0, 1, 2**31 - 1])
PRIORITIES = st.lists(EXTREMES | st.integers(-(2**31), 2**31 - 1), max_size=25)


@pytest.fixture(scope="session")
def walk(app: FastAPI) -> Walk:
    """Walks a project with tasks of these priorities in pages of this size. For the whole session, because Hypothesis
    calls a test many times with the same fixtures; so it makes its own rows and deletes them.
    """

    async def walk(priorities: list[int], size: int) -> None:
        database: Database = app.state.services[Database]
        person = UserFactory.build()
        await store(database, person)
        project, other = await project_of(database, person), await project_of(database, person)
        tasks = [TaskFactory.build(project_id=project.id, priority=priority) for priority in priorities]
        await store(database, *tasks, TaskFactory.build(project_id=other.id))
        expected = [str(task.id) for task in sorted(tasks, key=lambda task: (task.priority, task.id), reverse=True)]
        seen: list[str] = []
        pages = max(1, -(-len(tasks) // size))
        try:
            async with await Api(app).as_(person) as api:
                for number in range(1, pages + 2):
                    page = (await api.get(f"/projects/{project.id}/tasks/?page={number}&size={size}")).json()
                    assert (page["total"], page["pages"]) == (len(tasks), -(-len(tasks) // size))
                    assert len(page["items"]) <= size
                    assert number <= pages or page["items"] == []
                    seen += [item["id"] for item in page["items"]]
        finally:
            async with database.transaction() as transaction:
                await transaction.execute(delete(Project).where(Project.id.in_([project.id, other.id])))
                await transaction.execute(delete(User).where(User.id == person.id))
        assert seen == expected

    return walk


@settings(max_examples=30, deadline=None)
@given(priorities=PRIORITIES, size=st.integers(1, 30))
async def test_walking_the_pages_shows_every_task_once_in_order(walk: Walk, priorities: list[int], size: int) -> None:
    await walk(priorities, size)


async def test_a_hundred_tasks_of_one_priority_are_walked_newest_first(walk: Walk) -> None:
    await walk([7] * 100, 9)
