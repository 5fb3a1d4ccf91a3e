"""Migrations: upgrade a database, and check its revision.

Alembic is imported inside functions: a server process only needs the newest revision, and the import would cost it 10
MB.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

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


def upgrade(url: str, revision: str = "head") -> None:
    """Upgrade the schema to a revision. Concurrent calls are safe: the others wait, and then find it upgraded."""
    from alembic import command  # noqa: PLC0415 - see above

    command.upgrade(alembic_config(url), revision)


@cache
def _revisions() -> tuple[str, frozenset[str]]:
    found = [dict(_REVISION.findall(file.read_text())) for file in (ROOT / "alembic" / "versions").glob("*.py")]
    known = frozenset(one["revision"] for one in found)
    (head,) = known - {one.get("down_revision") for one in found}
    return head, known


def head_revision() -> str:
    """Return the revision that this version of the application needs."""
    return _revisions()[0]


async def schema_state(database: Database) -> tuple[str, bool]:
    """Return `current`, `behind` or `ahead` (migrated by a newer release, which stays compatible with this one); and
    whether the database is writable.
    """
    try:
        row = await database.fetch_one_or_none(STATE)
    except asyncpg.UndefinedTableError:
        row = None
    head, known = _revisions()
    if row is None:
        return "behind", True
    version = row["version_num"]
    state = "current" if version == head else "behind" if version in known else "ahead"
    return state, not row["is_read_only"]
