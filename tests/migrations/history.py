"""Databases at any point of the schema's history, and what is in them."""

import asyncio
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy.engine import make_url

from app.cli.upgrading import alembic_config
from app.core.database.migrations import ROOT
from tests.support import server

_numbers = count()

_COLUMNS = """
    SELECT format('column %s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN ' not null' END, ' default ' || pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm')
"""
_CONSTRAINTS = """
    SELECT format('constraint %s.%s %s', c.relname, o.conname, pg_get_constraintdef(o.oid))
    FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid WHERE o.contype <> 'n'
"""
_INDEXES = """
    SELECT format('index %s%s', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN ' invalid' END)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE true
"""
_FROM_MIGRATIONS_ONLY = """
    SELECT format('trigger %s', pg_get_triggerdef(t.oid))
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
"""
_FUNCTIONS = "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"


def history(config: Config | None = None) -> list[Script]:
    """Every revision, the first one first."""
    return list(ScriptDirectory.from_config(config or alembic_config()).walk_revisions())[::-1]


def copy_tree(directory: Path) -> Path:
    """Copy the application and its migrations, to plant migrations there. Return the directory."""
    for name in ("app", "alembic", "docs/api"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


def migrations_of(tree: Path, url: str) -> Config:
    """Alembic's configuration of another tree, for one database."""
    return Config(toml_file=tree / "pyproject.toml", attributes={"url": url})


def is_one_line(revisions: list[Script]) -> bool:
    """Whether revisions are numbered from 0001, and each follows the one before it."""
    numbers = [f"{number:04}" for number in range(1, len(revisions) + 1)]
    return [(script.down_revision, script.revision) for script in revisions] == list(
        zip([None, *numbers], numbers, strict=False)
    )


def revisions_that_do_not_return(config: Config, since: str | None = None) -> list[str]:
    """Take a database up step by step, each step up, down and up again. Return the steps that lose their way.

    It begins with an empty database, or with one that has the schema of the revision `since`.
    """
    lost = []
    url = config.attributes["url"]
    before = schema_of(url)
    for script in history(config)[0 if since is None else int(since) :]:
        command.upgrade(config, script.revision)
        after = schema_of(url)
        command.downgrade(config, "-1")
        taken_back = schema_of(url)
        command.upgrade(config, script.revision)
        if (taken_back, schema_of(url)) != (before, after):
            lost.append(script.revision)
        before = after
    return lost


@contextmanager
def empty_database(server_url: str) -> Generator[str]:
    """A database with nothing in it, dropped at the end."""
    with server.database_copy(server_url, fresh_name(), "template0") as url:
        yield url


def fresh_name() -> str:
    """The name of a database that no other test uses."""
    return f"{server.PREFIX}history_{os.getpid()}_{next(_numbers)}"


def downgrade(url: str, revision: str) -> None:
    """Bring the schema back to a revision."""
    command.downgrade(alembic_config(url), revision)


def plain(url: str) -> str:
    """The address as asyncpg reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def fetch(url: str, query: str) -> list[Any]:
    """The first column of a query's rows."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(plain(url))
        try:
            return [row[0] for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(run())


def tables_of(url: str) -> list[str]:
    """Columns, constraints and indexes, as PostgreSQL understands them: what models can say."""
    ours = " AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'alembic_version%'"
    return sorted(line for query in (_COLUMNS, _CONSTRAINTS, _INDEXES) for line in fetch(url, query + ours))


def schema_of(url: str) -> list[str]:
    """Everything that migrations make: tables, triggers and functions."""
    return [*tables_of(url), *sorted(fetch(url, _FROM_MIGRATIONS_ONLY)), *sorted(fetch(url, _FUNCTIONS))]
