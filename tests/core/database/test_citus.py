"""Statements that Citus refuses are found: each kind is planted, and what does the same in another way is not found.

Every statement that any test has the application execute is read as well (`database_url` of tests/conftest.py).
"""

import asyncio
import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from sqlalchemy import Executable, text

import app
from app.core.database.database import Database
from app.core.database.statements import Statement, compiled_statements
from tests.support import citus, server
from tests.support.client import Api

VALUES = "has several rows of VALUES with parameters"
CONFLICT = "calls a function that is not IMMUTABLE in ON CONFLICT"
STABLE = "calls a STABLE function with a column in SET or WHERE"
CASE = "calls a function that is not IMMUTABLE in a CASE or COALESCE of SET or WHERE"

PLANTED = {
    "INSERT INTO attempts VALUES ($1, 1, $2), ($3, 1, $2)": [VALUES],
    "SELECT key FROM attempts JOIN (VALUES ($1::text), ($2)) AS found (key) USING (key)": [VALUES],
    "INSERT INTO attempts SELECT unnest($1::text[]), 1, $2": [],
    "INSERT INTO attempts VALUES ('a', 1, now()), ('b', 1, now())": [],
    "WITH old AS (SELECT ctid FROM attempts) DELETE FROM attempts USING old WHERE attempts.ctid = old.ctid": [
        "uses places of rows (ctid)"
    ],
    "SELECT tableoid FROM attempts": [],
    "SELECT key FROM public.attempts": ["names a table of another schema"],
    "SELECT key FROM attempts, pg_class": ["reads tables of another schema, or catalogs, together with its own"],
    "SELECT relname FROM pg_class, pg_namespace": [],
    "INSERT INTO attempts VALUES ($1, 1, $2) ON CONFLICT (key) DO UPDATE SET resets_at = now()": [CONFLICT],
    "INSERT INTO attempts VALUES ($1, 1, now()) ON CONFLICT (key) DO UPDATE SET resets_at = excluded.resets_at": [],
    "UPDATE attempts SET count = random()": ["calls a VOLATILE function in SET or WHERE"],
    "UPDATE attempts SET resets_at = now()": [],
    "UPDATE attempts SET resets_at = resets_at + $1::interval": [STABLE],
    "UPDATE attempts SET resets_at = (SELECT resets_at + $1::interval)": [],
    "DELETE FROM attempts WHERE resets_at::text = $1": [STABLE],
    "DELETE FROM attempts WHERE now() - resets_at > $1": [],
    "UPDATE attempts SET resets_at = coalesce(resets_at, now())": [CASE],
    "UPDATE attempts SET resets_at = CASE WHEN count > 1 THEN $1 ELSE CURRENT_TIMESTAMP END": [CASE],
    "DELETE FROM attempts RETURNING now()": ["calls a function that is not IMMUTABLE in RETURNING"],
}


def test_statements_that_citus_refuses_are_found(server_url: str, worker_id: str) -> None:
    declared = {statement.sql for statement in declared_statements()}
    assert len(declared) > 5
    with server.database_copy(server_url, f"{server.PREFIX}citus_{worker_id}") as url:
        found = asyncio.run(citus.offences_of(url, [*PLANTED, *declared]))
    assert {sql: [why.partition(":")[0] for why in found.get(sql, [])] for sql in PLANTED} == PLANTED
    assert not found.keys() & declared


def declared_statements() -> Iterator[Statement]:
    """The statements that stand in modules of the application, executed by a test or not."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Statement):
                    yield value
                elif isinstance(value, Executable):
                    yield Statement(value)


async def test_statements_are_recorded_that_the_application_builds(api: Api, database: Database) -> None:
    compiled_statements.clear()
    with citus.recorded_statements() as recorded:
        await api.get("/projects/")
        await database.fetch_all(text("SELECT 'built here'"))
    assert any("FROM projects" in sql for sql in recorded)
    assert not any("built here" in sql for sql in recorded)


def test_run_fails_if_a_recorded_statement_is_refused(server_url: str, worker_id: str) -> None:
    with (
        server.database_copy(server_url, f"{server.PREFIX}citus_{worker_id}") as url,
        pytest.raises(AssertionError, match="Citus refuses what uses places of rows"),
    ):
        citus.refuse_offences(url, ["SELECT ctid FROM tasks"])
