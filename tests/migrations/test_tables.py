"""Every table and every list has what it needs in the database, whichever feature it is of."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from sqlalchemy import Column, ForeignKey, MetaData, Table, Uuid

import app.features  # noqa: F401 - imports every feature's models
from app.core.database.models import Base
from app.projects.models import Project
from tests.migrations import tables
from tests.migrations.history import fresh_name, plain
from tests.support import server

LISTINGS = dict(tables.listings())

SHORT = ("app.projects.queries.members: sorts",)
"""What is sorted all the same: a project has at most 1000 members."""


@pytest.fixture
def copy_url(server_url: str) -> Iterator[str]:
    """A database of the test's own."""
    with server.database_copy(server_url, fresh_name()) as url:
        yield url


@pytest.fixture
async def connection(copy_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    connection = await asyncpg.connect(plain(copy_url))
    yield connection
    await connection.close()


async def test_any_change_of_a_row_moves_its_version_by_one(connection: asyncpg.Connection) -> None:
    found = tables.versioned(dict(Base.metadata.tables))
    assert len(found) > 1
    assert [line for table in found for line in await tables.still_versions(connection, table)] == []


@pytest.mark.parametrize(
    ("trigger", "columns"),
    [
        ("WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch_updated_at()", {"name", "id", "created_at"}),
        ("WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION touch_version()", {"description", "id"}),
    ],
)
async def test_a_column_that_does_not_move_the_version_is_found(
    connection: asyncpg.Connection, trigger: str, columns: set[str]
) -> None:
    await connection.execute(
        f"CREATE OR REPLACE TRIGGER projects_touch_updated_at BEFORE UPDATE ON projects FOR EACH ROW {trigger}"
    )
    found = await tables.still_versions(connection, Base.metadata.tables["projects"])
    assert columns <= {line.partition(":")[0].removeprefix("projects.") for line in found}


def test_every_reference_has_an_index() -> None:
    found = [line for table in Base.metadata.tables.values() for line in tables.references_without_index(table)]
    assert found == []


def test_a_reference_without_an_index_is_found() -> None:
    planted = Table("labels", MetaData(), Column("project_id", Uuid, ForeignKey(Project.id)))
    (found,) = tables.references_without_index(planted)
    assert found.startswith("labels: no index begins with project_id, which refers to projects")


async def test_every_list_is_read_in_its_order_by_an_index(connection: asyncpg.Connection) -> None:
    assert {"app.tasks.queries.tasks_of_project", "app.auth.accounts.queries.users"} <= LISTINGS.keys()
    # As long as there is no project, PostgreSQL reads all of them as gladly as one.
    await connection.execute(
        "INSERT INTO projects (id, name) SELECT gen_random_uuid(), 'x' FROM generate_series(1, 2000); ANALYZE projects"
    )
    found = [line for name, listed in LISTINGS.items() for line in await tables.unindexed(connection, name, listed)]
    assert [line for line in found if not line.startswith(SHORT)] == []


@pytest.mark.parametrize(
    ("index", "name"),
    [
        ("tasks_by_priority_idx", "app.tasks.queries.tasks_of_project"),
        ("sessions_user_id_idx", "app.auth.sessions.queries.live_sessions"),
    ],
)
async def test_a_list_without_its_index_is_found(connection: asyncpg.Connection, index: str, name: str) -> None:
    await connection.execute(f"DROP INDEX {index}")
    found = await tables.unindexed(connection, name, LISTINGS[name])
    assert any(name in line and "add an index on" in line for line in found)
