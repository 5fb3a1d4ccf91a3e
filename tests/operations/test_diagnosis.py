"""What `taller doctor` looks for is found where it is planted, and nowhere else."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from sqlalchemy import text

from app.auth.models import User
from app.cli import diagnosis
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.models import Base
from app.tasks.queries import wrong_lists
from tests.projects.factories import project_of
from tests.support.factories import store
from tests.tasks.factories import TaskFactory


class UndoneError(Exception):
    """Ends a transaction, so that nothing of what was planted stays."""


async def indexes(database: Database, _: Settings) -> list[str]:
    return await diagnosis.index_findings(database, Base.metadata, complete=True)


async def references(database: Database, _: Settings) -> list[str]:
    return await diagnosis.reference_findings(database, Base.metadata)


async def clocks(database: Database, _: Settings) -> list[str]:
    return await diagnosis.clock_findings(database)


async def lists(database: Database, _: Settings) -> list[str]:
    return [f"of {row['task_id']}" for row in await database.fetch_all(wrong_lists())]


# Found before PostgreSQL's own.
CLOCK = (
    "CREATE FUNCTION clock_timestamp() RETURNS timestamptz RETURN pg_catalog.clock_timestamp() + interval '{} s'",
    "SET LOCAL search_path = public, pg_catalog",
)
UNTRIGGERED = "SET LOCAL session_replication_role = replica"
PLANTED = {
    "invalid index": (
        indexes,
        ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tasks_created_by_idx'::regclass"],
        ["the index tasks_created_by_idx is invalid"],
    ),
    "missing index": (
        indexes,
        ["DROP INDEX tasks_created_by_idx"],
        ["the index tasks_created_by_idx is missing"],
    ),
    "rows without what they refer to": (
        references,
        [UNTRIGGERED, "DELETE FROM projects"],
        [
            "1 rows of project_members refer to projects that are not there (project_id)",
            "2 rows of tasks refer to projects that are not there (project_id)",
        ],
    ),
    "disabled triggers": (references, ["ALTER TABLE tasks DISABLE TRIGGER ALL"], ["triggers of tasks are disabled"]),
    "constraint without validation": (
        references,
        ["ALTER TABLE tasks ADD CONSTRAINT planted CHECK (title <> 'x') NOT VALID"],
        ["the constraint planted is not validated: ALTER TABLE tasks"],
    ),
    "role with few connections": (
        diagnosis.connection_findings,
        ["ALTER ROLE CURRENT_USER CONNECTION LIMIT 3"],
        ["TALLER_WORKERS × TALLER_DATABASE_POOL_SIZE + 5 is 15, and the connection limit of the role is 3"],
    ),
    "clock ahead": (clocks, [CLOCK[0].format(7), CLOCK[1]], ["the database's clock is 7.0 s ahead of"]),
    "clock behind": (clocks, [CLOCK[0].format(-7), CLOCK[1]], ["the database's clock is 7.0 s behind"]),
    "lists without rows": (
        lists,
        [UNTRIGGERED, "UPDATE tasks SET assignee_ids = list_of(ARRAY(SELECT id FROM users))"],
        ["of ", "of "],
    ),
}


@pytest.mark.parametrize(("look", "plant", "expected"), PLANTED.values(), ids=PLANTED.keys())
async def test_doctor_finds_what_is_planted(
    database: Database,
    settings: Settings,
    user: User,
    look: Callable[[Database, Settings], Awaitable[list[str]]],
    plant: list[str],
    expected: list[str],
) -> None:
    project = await project_of(database, user)
    await store(database, *TaskFactory.batch(2, project_id=project.id))
    settings = settings.model_copy(update={"workers": 1, "database_pool_size": 10})
    assert await look(database, settings) == []
    with suppress(UndoneError):
        async with database.transaction() as transaction:
            for statement in plant:
                await transaction.execute(text(statement))
            found = [line for line in await look(transaction, settings) if "project_task_counts" not in line]
            raise UndoneError
    assert len(found) == len(expected), found
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start), found


async def test_a_pool_larger_than_the_server_is_found(database: Database, settings: Settings) -> None:
    large = settings.model_copy(update={"workers": 50, "database_pool_size": 50})
    (found,) = await diagnosis.connection_findings(database, large)
    assert found.startswith("TALLER_WORKERS × TALLER_DATABASE_POOL_SIZE + 5 is 2505, and max_connections (200)")
