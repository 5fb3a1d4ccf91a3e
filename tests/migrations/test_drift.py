"""The models and the migrations describe the same database."""

import asyncio
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

import app.features  # noqa: F401 - imports every feature's models
from app.core.database.models import Base
from tests.migrations.history import empty_database, fetch, fresh_name, tables_of
from tests.support import server


def differences(url: str) -> list[Any]:
    """What Alembic would draft into a migration."""

    def compare(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))

    found: list[Any] = _run(url, compare)
    return found


def create_from_models(url: str, migrated: str) -> None:
    """The tables as the models describe them, without any migration but for the functions that their indexes use."""
    made = (
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang "
        # Those whose bodies are read when they run may come before what they call.
        "WHERE pronamespace = current_schema()::regnamespace AND provolatile = 'i' ORDER BY lanname = 'sql', p.oid"
    )
    functions = fetch(migrated, made)
    server.execute(url, "CREATE TEXT SEARCH CONFIGURATION taller (COPY = pg_catalog.simple)", *functions)
    _run(url, Base.metadata.create_all)


def _run(url: str, function: Any) -> Any:
    async def run() -> Any:
        engine = create_async_engine(url, poolclass=pool.NullPool)
        async with engine.begin() as connection:
            return await connection.run_sync(function)

    return asyncio.run(run())


def test_there_is_nothing_that_alembic_would_draft(database_url: str) -> None:
    assert differences(database_url) == []


def test_the_migrations_make_what_the_models_describe(server_url: str, database_url: str) -> None:
    # Alembic compares no check constraints; PostgreSQL's own reading of both schemas leaves nothing out.
    with empty_database(server_url) as url:
        create_from_models(url, database_url)
        assert tables_of(database_url) == tables_of(url)


def test_table_with_updated_at_has_its_trigger(database_url: str) -> None:
    touched = fetch(
        database_url, "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%touch_updated_at'"
    )
    assert sorted(touched) == sorted(name for name, table in Base.metadata.tables.items() if "updated_at" in table.c)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE tasks DROP COLUMN due_date CASCADE",
        "ALTER TABLE attempts ALTER resets_at TYPE timestamp",
        "ALTER TABLE tasks ALTER priority DROP NOT NULL",
        "ALTER TABLE tasks ALTER priority SET DEFAULT 1",
        "ALTER TABLE tasks DROP CONSTRAINT tasks_valid_check",
        "ALTER TABLE projects ADD CHECK (name <> '')",
        "ALTER TABLE tasks DROP CONSTRAINT tasks_project_id_fkey",
        "DROP INDEX tasks_by_priority_idx",
        "DROP INDEX tasks_by_priority_idx; CREATE INDEX tasks_by_priority_idx ON tasks (project_id, priority, id DESC)",
        "DROP INDEX users_email_lower_key; CREATE INDEX users_email_lower_key ON users (lower(email))",
        "DROP INDEX users_email_lower_key; CREATE UNIQUE INDEX users_email_lower_key ON users (email)",
        "CREATE TABLE forgotten (id uuid)",
    ],
)
def test_a_schema_that_differs_is_noticed(server_url: str, database_url: str, change: str) -> None:
    with server.database_copy(server_url, fresh_name()) as url:
        server.execute(url, change)
        assert tables_of(url) != tables_of(database_url)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE tasks DROP COLUMN completed CASCADE",
        "DROP INDEX tasks_by_priority_idx",
        "CREATE TABLE forgotten ()",
    ],
)
def test_alembic_would_draft_what_is_missing_or_too_much(server_url: str, change: str) -> None:
    with server.database_copy(server_url, fresh_name()) as url:
        server.execute(url, change)
        assert len(differences(url)) == 1
