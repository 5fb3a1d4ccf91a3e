"""One form for moments in answers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from app.auth.models import User
from app.core.database.database import Database
from app.core.http.fast_path import with_fractions
from app.features import ROUTERS
from tests.auth.factories import UserFactory
from tests.projects.factories import project_of
from tests.support.client import Api
from tests.support.factories import store
from tests.tasks.factories import TaskFactory

WHOLE = datetime(2026, 11, 22, 9, tzinfo=UTC)
FORM = "2026-11-22T09:00:00.000000Z"
TEXT = '_at":"2026-11-22T09:00:00Z"'
"""What must not be taken for a moment."""


def moments_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from [member] if name.endswith("_at") and member is not None else moments_in(member)
    elif isinstance(value, list):
        for item in value:
            yield from moments_in(item)


async def test_a_whole_second_has_its_digits_wherever_it_is_answered(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user, name=TEXT, created_at=WHOLE, updated_at=WHOLE)
    tasks = [TaskFactory.build(project_id=project.id, title=TEXT, created_at=WHOLE, updated_at=WHOLE) for _ in range(3)]
    mixed = TaskFactory.build(project_id=project.id, title="x", created_at=WHOLE.replace(microsecond=10))
    await store(database, *tasks, mixed)
    for path in (
        f"/projects/{project.id}",
        "/projects/",
        f"/projects/{project.id}/tasks/",
        f"/projects/{project.id}/tasks/?cursor=&q=at",
        "/tasks/?sort=title",
        f"/tasks/{tasks[0].id}",
    ):
        answer = await api.get(path)
        found = list(moments_in(answer.json()))
        assert FORM in found, path
        assert {len(moment) for moment in found} == {len(FORM)}, path
        assert {item.get("title", TEXT) for item in answer.json().get("items", [])} <= {TEXT, "x"}
        again = (
            await api.get(path, headers={"If-None-Match": answer.headers["etag"]}) if "etag" in answer.headers else None
        )
        assert again is None or again.status_code == 304
    # What a batch answers, and what is kept of it.
    body = {"operations": [{"op": "update", "id": str(tasks[0].id), "changes": {"title": TEXT}}]}
    headers = {"Idempotency-Key": '"once"'}
    for _ in range(2):
        answer = await api.post(f"/projects/{project.id}/tasks/batch", json=body, headers=headers)
        (result,) = answer.json()["results"]
        assert (result["task"]["created_at"], result["task"]["title"]) == (FORM, TEXT)


def test_text_is_left_alone() -> None:
    content = json.dumps(
        {"title": TEXT, "x": ["_at", TEXT], "created_at": "2026-11-22T09:00:00Z"}, separators=(",", ":")
    )
    assert json.loads(with_fractions(content.encode())) == {**json.loads(content), "created_at": FORM}


def test_every_moment_in_a_response_ends_in_at() -> None:
    def names(model: Any, seen: set[Any]) -> Iterator[str]:
        for part in (model, *getattr(model, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in seen:
                seen.add(part)
                for name, field in part.model_fields.items():
                    if datetime in (field.annotation, *get_args(field.annotation)):
                        yield name
                    yield from names(field.annotation, seen)
            elif part is not model:
                yield from names(part, seen)

    found = {
        name
        for router in ROUTERS
        for route in router.routes
        if route.response_field is not None
        for name in names(route.response_field.field_info.annotation, set())
    }
    assert {"created_at", "updated_at", "expires_at", "refreshed_at"} <= found
    assert all(name.endswith("_at") for name in found)


@pytest.mark.parametrize("path", ["/auth/me", "/auth/sessions", "/users/"])
async def test_accounts_and_sessions_have_the_form(app: FastAPI, database: Database, anonymous: Api, path: str) -> None:
    admin = UserFactory.build(username="Root", is_superuser=True, created_at=WHOLE)
    await store(database, admin)
    async with await anonymous.as_(admin) as api:
        answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    assert {len(moment) for moment in moments_in(answer.json())} == {len(FORM)}
