"""The access matrix: every operation of the OpenAPI document, asked by every kind of caller for every id it takes."""

import pytest
from fastapi import FastAPI

from app.core.database.database import Database
from tests.access.matrix import offences, operations_of
from tests.access.scenario import AccessSamples, access_samples
from tests.access.table import rows
from tests.support.openapi import DOCUMENT

ROWS = rows()
OPERATIONS = operations_of(DOCUMENT)


def strays(features: dict[str, AccessSamples]) -> list[str]:
    """What features say of operations that do not exist."""
    return [
        f"tests/{feature}/access.py: {name} is no operation"
        for feature, known in features.items()
        for name in sorted({*known.bodies, *known.hidden} - OPERATIONS.keys())
    ]


def test_features_speak_of_operations_that_exist() -> None:
    assert strays(access_samples()) == []
    assert strays({"tasks": AccessSamples(bodies={"read_tusk": lambda _: {}})}) == [
        "tests/tasks/access.py: read_tusk is no operation"
    ]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
async def test_an_operation_answers_every_caller_as_its_row_says(app: FastAPI, database: Database, name: str) -> None:
    assert await offences(app, OPERATIONS[name], ROWS[name]) == []
