"""The access matrix: every operation of the OpenAPI document, asked by every kind of caller for every id it takes."""

import pytest
from fastapi import FastAPI

from app.core.database.database import Database
from app.main import create_app
from tests.access.table import rows
from tests.access.world import Operation, Row, offences, operations_of

ROWS = rows()
OPERATIONS = operations_of(create_app().openapi())


def gaps(operations: dict[str, Operation], table: dict[str, Row]) -> list[str]:
    """Operations without a row, and rows without an operation."""
    missing = [f"{name}: has no row in the table" for name in sorted(operations.keys() - table.keys())]
    return missing + [f"{name}: has a row and is no operation" for name in sorted(table.keys() - operations.keys())]


def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    assert gaps(OPERATIONS, ROWS) == []


def test_an_operation_without_a_row_and_a_row_without_an_operation_are_found() -> None:
    table = {name: row for name, row in ROWS.items() if name != "read_task"}
    table["read_tusk"] = ROWS["read_task"]
    assert gaps(OPERATIONS, table) == ["read_task: has no row in the table", "read_tusk: has a row and is no operation"]


def test_public_is_what_the_table_calls_public() -> None:
    public = {name for name, row in ROWS.items() if row.answers["anonymous"] == "ok"}
    assert public == {name for name, operation in OPERATIONS.items() if operation.is_public}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
async def test_an_operation_answers_every_caller_as_its_row_says(app: FastAPI, database: Database, name: str) -> None:
    assert await offences(app, OPERATIONS[name], ROWS[name]) == []
