"""What the tests of several features send and look at: the four forms of an address, and input that nothing accepts."""

from typing import Any

from sqlalchemy import text

from app.core.database.database import Database
from app.core.database.models import Base

FORMS = ("/api/v1{}/", "/api/v1{}", "{}/", "{}")
"""How an address may be written: canonical or bare, with or without the slash at the end."""

MARKER = "q7zx-planted-value"
"""Planted in what is sent: no refusal may repeat it."""

JSON = {"Content-Type": "application/json"}

NOT_IDS = [
    "1",
    "abc",
    "%00",
    "%FF",
    "null",
    "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a1",
    "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a1g",
]
"""Path segments that are no id."""


def in_short(case: object) -> str:
    """Return a short id for a test case, which itself may have 10 000 characters."""
    return ascii(case)[1:41]


async def contents(database: Database) -> dict[str, list[Any]]:
    """Return every row of every table."""
    return {
        table.name: [
            row["row"]
            for row in await database.fetch_all(text(f'SELECT t::text AS row FROM "{table.name}" t ORDER BY 1'))
        ]
        for table in Base.metadata.sorted_tables
    }


async def number_of(database: Database, table: str) -> int:
    """Return the number of rows of a table."""
    row = await database.fetch_one_or_none(text(f'SELECT count(*) AS count FROM "{table}"'))
    assert row is not None
    number: int = row["count"]
    return number
