"""Whatever is wrong with a request about projects is answered clearly, and changes nothing."""

import pytest

from app.auth.models import User
from app.core.database.database import Database
from tests.projects.factories import project_of
from tests.support.bad_requests import WRITES, BadRequestTests, Resource, in_chunks, refused
from tests.support.client import Api
from tests.support.samples import JSON, MARKER


@pytest.fixture
async def resource(database: Database, user: User) -> Resource:
    project = await project_of(database, user, name="Workshop")
    return Resource(
        collection="/projects/",
        item=f"/projects/{project.id}",
        parameter="project_id",
        missing="project_not_found",
        good={"name": MARKER, "description": MARKER, "require_if_match": True},
        bad={
            "name": (" ", "blank"),
            "description": (MARKER + "x" * 10_000, "string_too_long"),
            "require_if_match": (1, "bool_type"),
        },
    )


class TestBadRequests(BadRequestTests):
    """What every resource promises."""


@pytest.mark.parametrize("method", WRITES)
async def test_length_above_the_limit_is_answered_with_the_limit(api: Api, resource: Resource, method: str) -> None:
    body = {"name": "x" * 201, "description": "x" * 10_001}
    errors = await refused(api, method, resource.address(method), json=body)
    assert [error["detail"] for error in errors] == [
        "must have at most 200 characters",
        "must have at most 10000 characters",
    ]


async def test_no_answer_lists_more_than_twenty_values(api: Api, resource: Resource) -> None:
    body = {f"member {number}": MARKER for number in range(32)}
    assert len(await refused(api, "POST", resource.collection, json=body)) == 20


async def test_member_whose_name_is_no_text_is_refused(api: Api, resource: Resource) -> None:
    body = b'{"name": "x", "\\ud800": 1}'
    assert len(await refused(api, "PATCH", resource.item, content=body, headers=JSON)) == 1


async def test_body_of_exactly_the_limit_is_read(api: Api, resource: Resource) -> None:
    body = b'{"name": "Workshop"' + b" " * (128 * 1024 - 20) + b"}"
    assert len(body) == 128 * 1024
    for content in (body, in_chunks(body)):
        assert (await api.put(resource.item, content=content, headers=JSON)).status_code == 200
