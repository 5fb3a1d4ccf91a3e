"""Updating projects: PUT and PATCH set what the body names, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.auth.models import User
from app.core.database.database import Database
from tests.projects.factories import project_of
from tests.support.client import Api
from tests.support.samples import JSON
from tests.support.updates import differences


async def test_patch_answers_as_put(api: Api, user: User, database: Database) -> None:
    requests: list[dict[str, Any]] = [
        {"json": {}},
        {"json": {"name": "Studio"}},
        {"json": {"name": "Workshop"}},
        {"json": {"description": None}},
        {"json": {"description": "Some of it", "require_if_match": True}},
        {"json": {"name": None, "description": 1, "owner": "x", "require_if_match": True}},
        {"json": []},
        {"content": b"{", "headers": JSON},
        *(
            {"json": body, "headers": headers}
            for body in ({}, {"name": "Studio"})
            for headers in (
                {"If-Match": '"p1.0.0.owner"'},
                {"If-Match": '"p7.0.0.owner"'},
                {"If-Match": "p1"},
                {"If-Match": "*"},
                {"If-None-Match": '"p1.0.0.owner"'},
                {"If-None-Match": '"p7.0.0.owner"'},
            )
        ),
    ]

    async def pairs(*, is_strict: bool) -> AsyncIterator[tuple[str, str]]:
        values = {"name": "Workshop", "description": "All of it", "require_if_match": is_strict}
        while True:
            one, other = [await project_of(database, user, **values) for _ in range(2)]
            yield f"/projects/{one.id}", f"/projects/{other.id}"

    for is_strict in (False, True):
        assert await differences(api, database, pairs(is_strict=is_strict), requests) == []


async def test_update_changes_what_the_body_names_and_nothing_else(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user, name="Workshop", description="All of it")
    address = f"/projects/{project.id}"
    answer = (await api.patch(address, json={"description": "Some of it"})).json()
    assert (answer["name"], answer["description"]) == ("Workshop", "Some of it")
    answer = (await api.patch(address, json={"name": "Studio"})).json()
    assert (answer["name"], answer["description"]) == ("Studio", "Some of it")
    answer = (await api.patch(address, json={"description": None})).json()
    assert (answer["name"], answer["description"]) == ("Studio", None)
    assert (await api.get(address)).json() == answer


async def test_updated_at_moves_only_when_a_value_changed(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user, name="Workshop")
    address = f"/projects/{project.id}"
    before = (await api.get(address)).json()
    for nothing in ({}, {"name": "Workshop"}):
        answer = await api.patch(address, json=nothing)
        assert (answer.status_code, answer.json()) == (200, before)
    after = (await api.patch(address, json={"name": "Studio"})).json()
    assert after["updated_at"] > before["updated_at"]
    assert after["created_at"] == before["created_at"]


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/merge-patch+json", "Application/JSON; charset=utf-8"]
)
async def test_patch_is_read_as_merge_patch_and_as_plain_json(
    api: Api, user: User, database: Database, media_type: str
) -> None:
    project = await project_of(database, user)
    answer = await api.patch(
        f"/projects/{project.id}", content=b'{"name": "Studio"}', headers={"Content-Type": media_type}
    )
    assert (answer.status_code, answer.json()["name"]) == (200, "Studio")


async def test_two_updates_at_once_lose_neither(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    address = f"/projects/{project.id}"
    for number in range(5):
        await asyncio.gather(
            api.put(address, json={"name": f"name {number}"}),
            api.put(address, json={"description": f"description {number}"}),
        )
        answer = (await api.get(address)).json()
        assert (answer["name"], answer["description"]) == (f"name {number}", f"description {number}")
