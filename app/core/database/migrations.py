"""The revision of a database's schema, without Alembic, which would cost a server process 10 MB."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import asyncpg
from sqlalchemy import text

from app.core.database.database import Database

ROOT = Path(__file__).resolve().parents[3]

STATE = text("SELECT version_num, current_setting('transaction_read_only')::bool AS is_read_only FROM alembic_version")

_REVISION = re.compile(r'^(revision|down_revision) = "(\w+)"$', re.MULTILINE)


@cache
def _revisions() -> tuple[str, frozenset[str]]:
    found = [dict(_REVISION.findall(file.read_text())) for file in (ROOT / "alembic" / "versions").glob("*.py")]
    known = frozenset(one["revision"] for one in found)
    (head,) = known - {one.get("down_revision") for one in found}
    return head, known


def head_revision() -> str:
    """Return the revision that this version of the application needs."""
    return _revisions()[0]


SchemaStateName = Literal["current", "behind", "ahead"]


class SchemaState(NamedTuple):
    """What the schema of a database is to this version of the application."""

    state: SchemaStateName
    """`current`, `behind`, or `ahead`: migrated by a newer release, which stays compatible with this one."""

    revision: str | None
    """The last migration; None where there has been none."""

    is_writable: bool
    """Whether the database is writable."""


async def schema_state(database: Database) -> SchemaState:
    """Return the state of the schema. Raises `UnavailableError`."""
    try:
        row = await database.fetch_one_or_none(STATE)
    except asyncpg.UndefinedTableError:
        row = None
    return state_of_schema(row)


def state_of_schema(row: Mapping[str, Any] | None) -> SchemaState:
    """Return the state of a schema by the row of `STATE`; None where the table is missing."""
    if row is None:
        return SchemaState("behind", None, is_writable=True)
    revision = row["version_num"]
    head, known = _revisions()
    state: SchemaStateName = "current" if revision == head else "behind" if revision in known else "ahead"
    return SchemaState(state, revision, is_writable=not row["is_read_only"])
