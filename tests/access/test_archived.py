"""Archived projects: every operation that writes into one is refused, by the application and by the database."""

from collections.abc import Iterable, Iterator
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import Table, text

from app.core.database.database import Database
from app.core.database.models import Base
from app.core.guards import guards_of
from app.features import ROUTERS
from app.projects.access import EntityGuard
from app.projects.models import Project, TaskCount
from tests.access.matrix import Operation, ask, operations_of, said
from tests.access.scenario import PEOPLE, ids_of, new_scenario, stored
from tests.access.table import Row, rows
from tests.migrations.history import fresh_name, plain
from tests.support import server
from tests.support.client import Api
from tests.support.openapi import DOCUMENT

ROWS = rows()
OPERATIONS = operations_of(DOCUMENT)

ARCHIVE = text("UPDATE projects SET is_archived = true WHERE id = :id")


def _guards() -> Iterator[tuple[str, EntityGuard[Any]]]:
    for router in ROUTERS:
        for route in router.routes:
            for guard in guards_of(route):
                if isinstance(guard, EntityGuard) and guard.scope is not None and guard.scope.is_write:
                    yield route.name, guard


WRITES = dict(_guards())
"""Every operation that changes something in a project, with its guard."""

ALLOWED = {"delete_project"}
"""Those that an archived project allows: its owners may delete it."""


async def offences(app: FastAPI, operation: Operation, row: Row, *, is_archived: bool = True) -> list[str]:
    """Where an operation answers otherwise than it should in an archived project, one line each.

    Whoever lacks the role learns that first, as anywhere else.
    """
    database = app.state.services[Database]
    least = WRITES[operation.name].least
    found = []
    async with Api(app) as api:
        scenario = await new_scenario(app, row.scope)
        ids = {name: value(scenario) for name, value in row.ids.items()}
        if least is None:
            # Only what is their own is theirs to change.
            place = await stored(database, scenario.here.project, scenario.people["owner"], scenario.here.member)
            ids = {**ids_of(place), **ids}
        if is_archived:
            await database.execute(ARCHIVE.bindparams(id=scenario.here.project.id))
        for caller in PEOPLE:
            expected = row.answers[caller]
            if least is None:
                expected = "409 project_archived" if caller == "owner" else expected
            elif expected == "ok":
                expected = "409 project_archived"
            body = {} if row.body is None else {"json": row.body(scenario)}
            answer = said(await ask(api, operation, scenario, caller, body, ids))
            if answer != expected:
                found.append(f"{operation.name} as {caller}: {answer} instead of {expected}")
    return found


def test_operations_that_an_archived_project_allows_say_so() -> None:
    assert {name for name, guard in WRITES.items() if not guard.is_refused_in_archive} == ALLOWED
    assert len(WRITES) > 15


@pytest.mark.parametrize("name", sorted(WRITES.keys() - ALLOWED))
async def test_a_write_into_an_archived_project_is_refused(app: FastAPI, database: Database, name: str) -> None:
    assert await offences(app, OPERATIONS[name], ROWS[name]) == []


@pytest.mark.parametrize("name", ["create_task", "patch_comment"])
async def test_a_write_that_is_not_refused_is_found(app: FastAPI, database: Database, name: str) -> None:
    found = await offences(app, OPERATIONS[name], ROWS[name], is_archived=False)
    assert f"{name} as owner: ok instead of 409 project_archived" in found


UNGUARDED = {Project.__tablename__, TaskCount.__tablename__, "api_keys"}
"""What is in a project and may change while it is archived: what counts its tasks, and keys, which are people's. The
project itself has a trigger of its own."""


def _in_project(table: Table) -> bool:
    """Whether rows of a table belong to a project, whatever is between."""
    referred = {key.column.table for key in table.foreign_keys if key.column.table is not table}
    return Project.__table__ in referred or any(_in_project(other) for other in referred)


EVENTS = {4: "INSERT", 8: "DELETE", 16: "UPDATE"}
"""By the bit of pg_trigger.tgtype."""

OF_TASKS = {("tasks", "INSERT"), ("tasks", "UPDATE")}
"""What functions that run anyway refuse: `count_tasks_on_insert` and `touch_task`."""


async def unprotected(connection: asyncpg.Connection, tables: Iterable[Table]) -> list[str]:
    """The tables in projects of which the database does not refuse every change in archived ones."""
    found = []
    for table in tables:
        if table.name in UNGUARDED or not _in_project(table):
            continue
        types = await connection.fetch(
            "SELECT tgtype FROM pg_trigger WHERE tgrelid = $1::text::regclass AND tgname = $1 || '_in_open_project'",
            table.name,
        )
        events = {name for (bits,) in types for bit, name in EVENTS.items() if bits & bit}
        found += [
            f"{table.name}: no trigger {table.name}_in_open_project refuses {event} in archived projects: "
            "add one as migration 0039 does"
            for event in EVENTS.values()
            if event not in events and (table.name, event) not in OF_TASKS
        ]
    return found


@pytest.fixture
def copy_url(server_url: str) -> Iterator[str]:
    """A database of the test's own."""
    with server.database_copy(server_url, fresh_name()) as url:
        yield url


async def test_every_table_in_projects_refuses_changes_in_archived_ones(copy_url: str) -> None:
    connection = await asyncpg.connect(plain(copy_url))
    try:
        assert await unprotected(connection, Base.metadata.sorted_tables) == []
        await connection.execute("DROP TRIGGER comments_in_open_project ON comments")
        found = await unprotected(connection, Base.metadata.sorted_tables)
        assert [line.partition(":")[0] for line in found] == ["comments"] * 3
    finally:
        await connection.close()
