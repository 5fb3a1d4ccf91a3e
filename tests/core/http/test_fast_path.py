"""Accepted query strings are remembered, with what they were read as."""

import gc

import pytest
from pydantic import ValidationError

from app.auth.models import User
from app.core.database.database import Database
from app.core.http.fast_path import MAX_ACCEPTED
from app.tasks.schemas import TaskParams
from tests.projects.factories import project_of
from tests.support.client import Api


def test_remembered_parameters_cannot_be_changed() -> None:
    params = TaskParams.model_validate({"size": "3"})
    with pytest.raises(ValidationError, match="frozen"):
        params.size = 4  # type: ignore[misc] # ty: ignore[invalid-assignment]


async def test_last_accepted_query_strings_are_remembered(api: Api, user: User, database: Database) -> None:
    project = await project_of(database, user)
    path = f"/projects/{project.id}/tasks/"
    for number in range(MAX_ACCEPTED + 50):
        for _ in range(2):
            assert (await api.get(f"{path}?priority={number}&size=97")).json()["size"] == 97
            assert (await api.get(f"{path}?priority={number}&size=x")).status_code == 400
    gc.collect()
    held = [known for known in gc.get_objects() if isinstance(known, TaskParams) and known.size == 97]
    assert MAX_ACCEPTED - 1 <= len(held) <= MAX_ACCEPTED
    assert len({params.priority for params in held}) == len(held)
