"""Migrations: upgrade a database, and check its revision.

Alembic is imported inside functions: it takes 10 MB, and a server process needs the newest revision only.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import asyncpg
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

ROOT = Path(__file__).resolve().parents[3]

STATE = text("SELECT version_num, current_setting('transaction_read_only')::bool AS is_read_only FROM alembic_version")

_REVISION = re.compile(r'^(revision|down_revision) = "(\w+)"$', re.MULTILINE)


class MigrationError(RuntimeError):
    """Migrations cannot run here; the message tells the operator why."""


def direct_url(settings: Settings) -> str:
    """Return the address for migrations. Raises `MigrationError` if these settings do not lead to PostgreSQL itself."""
    if settings.database_url is None:
        raise MigrationError("TALLER_DATABASE_URL is not set.")
    if settings.pgbouncer:
        # Runners exclude each other by a session-level lock, which PgBouncer does not support.
        raise MigrationError(
            "Migrations must not run through PgBouncer: set TALLER_DATABASE_URL to the address of PostgreSQL itself "
            "and TALLER_PGBOUNCER=false."
        )
    return settings.database_url


def alembic_config(url: str | None = None) -> "Config":
    """Return Alembic's configuration from pyproject.toml, for one database."""
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config(toml_file=ROOT / "pyproject.toml")
    if url is not None:
        config.attributes["url"] = url
    return config


def upgrade(url: str, revision: str = "head", on_version_apply: Callable[..., None] | None = None) -> None:
    """Upgrade the schema to a revision. Concurrent calls are safe: the others wait, and then find it upgraded.

    `on_version_apply` is called after each migration, as Alembic does it.
    """
    from alembic import command  # noqa: PLC0415 - see above

    config = alembic_config(url)
    config.attributes["on_version_apply"] = on_version_apply
    command.upgrade(config, revision)


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
