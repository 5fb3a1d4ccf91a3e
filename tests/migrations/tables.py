"""What every table owes: its version moves, its references and lists are found by an index."""

import json
import pkgutil
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import asyncpg
from sqlalchemy import ForeignKeyConstraint, Table, types

import app
from app.core.database.database import GENERIC_PLAN_SETTINGS
from app.core.database.models import IdList
from app.core.listing.statement import ListQuery, ListVariant
from app.projects.models import Role
from app.projects.scopes import permissions

_VALUES: dict[type[types.TypeEngine[Any]], tuple[str, str]] = {
    IdList: ("'[]'", """'["00000000-0000-0000-0000-000000000001"]'"""),
    types.Uuid: ("gen_random_uuid()", "gen_random_uuid()"),
    types.Text: ("'x'", "{0} || 'x'"),
    types.Boolean: ("false", "NOT {0}"),
    types.Integer: ("1", "{0} + 41"),
    types.DateTime: ("now()", "{0} - interval '1 day'"),
    types.Date: ("current_date", "{0} - 1"),
}
"""By type: a value, and another one."""


def versioned(tables: dict[str, Table]) -> list[Table]:
    """The tables whose rows number their states."""
    return [table for table in tables.values() if "version" in table.c]


async def still_versions(connection: asyncpg.Connection, table: Table) -> list[str]:
    """The columns of a table whose change does not move its version by one. Leaves the table without constraints, and
    without triggers that follow a change.
    """
    constraints = await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype IN ('f', 'c')", table.name
    )
    for (name,) in constraints:
        await connection.execute(f"ALTER TABLE {table.name} DROP CONSTRAINT {name}")
    # What follows a change of the row, in other tables.
    after = await connection.fetch(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = $1::text::regclass AND NOT tgisinternal AND tgtype & 2 = 0",
        table.name,
    )
    for (name,) in after:
        await connection.execute(f"DROP TRIGGER {name} ON {table.name}")
    # Of an archived project as well.
    await connection.execute("SET taller.changes_archived = on")
    columns = [column for column in table.c if column.computed is None]
    values = {column.name: _values_of(column.type) for column in columns}
    names = [name for name in values if name != "version"]
    await connection.execute(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(values[name][0] for name in names)})"
    )
    offences = []
    for name, (_, other) in values.items():
        before = await connection.fetchval(f"SELECT version FROM {table.name}")
        for value, step in ((name, 0), (other.format(name), 1)):
            await connection.execute(f"UPDATE {table.name} SET {name} = {value}")
            after = await connection.fetchval(f"SELECT version FROM {table.name}")
            if after != before + step:
                offences.append(
                    f"{table.name}.{name}: set to {value}, it moves `version` by {after - before}: let the table's "
                    "trigger run touch_version() when a column differs (docs/how-to/write-a-migration.md)"
                )
    return offences


def _values_of(type_: types.TypeEngine[Any]) -> tuple[str, str]:
    return next(values for kind, values in _VALUES.items() if isinstance(type_, kind))


def references_without_index(table: Table) -> list[str]:
    """The foreign keys of a table by which its rows cannot be found when what they refer to is deleted."""
    keys = [[column.name for column in table.primary_key]]
    keys += [[getattr(column, "name", "") for column in index.expressions] for index in table.indexes]
    offences = []
    for constraint in table.constraints:
        if isinstance(constraint, ForeignKeyConstraint):
            names = list(constraint.column_keys)
            if not any(key[: len(names)] == names for key in keys):
                offences.append(
                    f"{table.name}: no index begins with {', '.join(names)}, which refers to "
                    f"{constraint.referred_table.name}: add an Index to the model and to its migration"
                )
    return offences


def listings() -> Iterator[tuple[str, ListQuery]]:
    """Every list of every feature, by where it stands."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name.endswith(".queries"):
            for name, value in vars(import_module(module.name)).items():
                if isinstance(value, ListQuery) and value.source.__module__ == module.name:
                    yield f"{module.name}.{name}", value


async def unindexed(connection: asyncpg.Connection, name: str, listed: ListQuery) -> list[str]:
    """What is wrong with the plan of a list in its own order: what reads a whole table, or sorts more than a page."""
    statement = listed.statement(permissions(Role.VIEWER)[False, False], ListVariant(listed.order))
    arguments = statement.arguments(defaultdict(lambda: None))
    for setting, value in GENERIC_PLAN_SETTINGS.items():
        await connection.execute(f"SET {setting} = {value}")
    await connection.execute(f"PREPARE page AS {statement.sql}")
    try:
        given = f"({', '.join(['NULL'] * len(arguments))})" if arguments else ""
        plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE page {given}"))[0]["Plan"]
    finally:
        await connection.execute("DEALLOCATE page")
    advice = f"add an index on {', '.join(sort.name for sort in listed.order)} (docs/how-to/write-a-migration.md)"
    offences = []
    for node in _nodes(plan):
        if node["Node Type"] == "Seq Scan":
            offences.append(f"{name}: reads all of {node['Relation Name']}: {advice}")
        elif node["Node Type"].startswith("Index") and "Index Cond" not in node and "Filter" in node:
            offences.append(f"{name}: reads all of {node['Relation Name']}, and drops what is not in it: {advice}")
        elif node["Node Type"].endswith("Sort") and "Limit" not in {inner["Node Type"] for inner in _nodes(node)}:
            offences.append(f"{name}: sorts all rows by {', '.join(node['Sort Key'])}: {advice}")
    return offences


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
