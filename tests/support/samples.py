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

NO_JSON = {
    "cut short": b'{"name": "q7zx-planted-value"',
    "single quotes": b"{'name': 'q7zx-planted-value'}",
    "a comma too many": b'{"name": "q7zx-planted-value",}',
    "not UTF-8": b'{"name": "q7zx-planted-value\xff"}',
    "7 000 arrays that never end": b"[" * 7_000,
    "an integer of 5000 digits": b'{"name": ' + b"1" * 5000 + b"}",
    "NaN": b'{"name": NaN}',
    "minus infinity": b'{"name": [-Infinity]}',
    "UTF-16": '{"name": "q7zx-planted-value"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"name": "q7zx-planted-value"}'.encode("utf-16-le"),
    "UTF-32": '{"name": "q7zx-planted-value"}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "q7zx-planted-value"}',
    "half a surrogate pair in UTF-8": b'{"name": "q7zx-planted-value\xed\xa0\x80"}',
}
"""Bodies that are refused as `invalid_json`."""

NO_OBJECTS = {
    "null": b"null",
    "an array": b'["q7zx-planted-value"]',
    "a string": b'"q7zx-planted-value"',
    "a number": b"1",
    "true": b"true",
}
"""JSON that is no object: refused as a whole."""

BAD_PAGES = [
    ("page=0", "page", "greater_than_equal"),
    ("page=-1", "page", "greater_than_equal"),
    ("page=1.0", "page", "int_parsing"),
    ("page=1e1", "page", "int_parsing"),
    ("page=%2B1", "page", "int_parsing"),
    ("page=1_0", "page", "int_parsing"),
    ("page=%201", "page", "int_parsing"),
    ("page=abc", "page", "int_parsing"),
    ("page=true", "page", "int_parsing"),
    ("page=", "page", "int_parsing"),
    ("page", "page", "int_parsing"),
    ("page=%00", "page", "int_parsing"),
    ("page=%D9%A1", "page", "int_parsing"),
    ("page=" + "9" * 5000, "page", "int_parsing"),
    ("size=0", "size", "greater_than_equal"),
    ("size=-1", "size", "greater_than_equal"),
    ("size=101", "size", "less_than_equal"),
    ("size=abc", "size", "int_parsing"),
    ("page=1&page=1", "page", "repeated"),
    ("size=2&page=1&size=3", "size", "repeated"),
    ("cursor=&page=1", "page", "contradiction"),
    ("include_total=false", "include_total", "contradiction"),
    ("cursor=&include_total=1", "include_total", "bool_parsing"),
    ("cursor=" + "A" * 5000, "cursor", "string_too_long"),
    ("order=name", "order", "unknown"),
    ("Page=1", "Page", "unknown"),
    ("%00=1", "\0", "unknown"),
]
"""Query strings that no list accepts: the parameter at fault, and why."""

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
    """A test case's id, where the case itself may be 10 000 characters."""
    return ascii(case)[1:41]


async def contents(database: Database) -> dict[str, list[Any]]:
    """Every row of every table."""
    return {
        table.name: [
            row["row"] for row in await database.rows(text(f'SELECT t::text AS row FROM "{table.name}" t ORDER BY 1'))
        ]
        for table in Base.metadata.sorted_tables
    }


async def number_of(database: Database, table: str) -> int:
    """How many rows a table has."""
    row = await database.row(text(f'SELECT count(*) AS count FROM "{table}"'))
    assert row is not None
    number: int = row["count"]
    return number
