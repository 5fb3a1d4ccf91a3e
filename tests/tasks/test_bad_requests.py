"""Whatever is wrong with a request about tasks is answered clearly, and changes nothing."""

import pytest

from app.auth.models import User
from app.core.database.database import Database
from tests.projects.factories import project_of
from tests.support.bad_requests import BadRequestTests, Resource
from tests.support.client import Api, assert_problem
from tests.support.factories import store
from tests.support.samples import MARKER, NOT_IDS
from tests.tasks.factories import TaskFactory


@pytest.fixture
async def resource(database: Database, user: User) -> Resource:
    project = await project_of(database, user)
    task = TaskFactory.build(project_id=project.id)
    await store(database, task)
    return Resource(
        collection=f"/projects/{project.id}/tasks/",
        item=f"/tasks/{task.id}",
        parameter="task_id",
        missing="task_not_found",
        good={"title": MARKER, "description": MARKER, "priority": 7, "completed": True, "due_date": "2026-12-01"},
        bad={
            "title": (" ", "blank"),
            "description": (MARKER + "x" * 10_000, "string_too_long"),
            "priority": (True, "int_type"),
            "completed": (MARKER, "bool_type"),
            "due_date": (MARKER, "date_format"),
        },
    )


class TestBadRequests(BadRequestTests):
    """What every resource promises."""


async def test_malformed_id_of_a_project_is_refused(api: Api, resource: Resource) -> None:
    for not_id in NOT_IDS:
        address = f"/projects/{not_id}/tasks/"
        for answer in (await api.get(address), await api.post(address, json={"title": MARKER})):
            problem = assert_problem(answer, 400, "invalid_request")
            assert [error["parameter"] for error in problem["errors"]] == ["project_id"]
