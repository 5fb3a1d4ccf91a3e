"""The PostgreSQL of a test run, and its databases: one template made by the migrations, one copy for each worker."""

import asyncio
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from app.cli.upgrading import upgrade
from devtools.pgbouncer import knows_prepared_statements
from devtools.postgres import EmbeddedPostgres
from tests.support.bouncer import running_bouncer

PREFIX = "taller_test_"
"""Every database that tests make or drop is called so; they touch no other."""

SERVER_VARIABLE = "TALLER_TEST_DATABASE_URL"
VERSION_VARIABLE = "TALLER_TEST_POSTGRESQL"
TEMPLATE_VARIABLE = "TALLER_TEST_TEMPLATE"
BOUNCER_VARIABLE = "TALLER_TEST_BOUNCER_URL"

# A test run may lose its data: no waiting for the disk.
UNSAFE_BUT_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # Tests of deadlocks would wait for a second each time.
    "deadlock_timeout": "50ms",
}


@contextmanager
def test_server() -> Generator[str]:
    """Return the server that TALLER_TEST_DATABASE_URL names, or run one until the end of the tests."""
    if url := os.environ.get(SERVER_VARIABLE):
        yield with_database(url, make_url(url).database or "postgres")
        return
    with (
        tempfile.TemporaryDirectory(prefix="taller-test-", ignore_cleanup_errors=True) as directory,
        EmbeddedPostgres(Path(directory), options=UNSAFE_BUT_FAST) as postgres,
    ):
        yield postgres.url()


def refuse_another_version(server: str) -> None:
    """Raise `UsageError` unless the server has the major version that TALLER_TEST_POSTGRESQL names, where it does."""

    async def major() -> int:
        connection = await asyncpg.connect(plain_url(server))
        try:
            return int(connection.get_server_version().major)
        finally:
            await connection.close()

    wanted = os.environ.get(VERSION_VARIABLE)
    if wanted and int(wanted) != (found := asyncio.run(major())):
        raise pytest.UsageError(f"{VERSION_VARIABLE} is {wanted}, but the server of the tests is PostgreSQL {found}")


@contextmanager
def test_bouncer(server: str) -> Generator[str]:
    """Run a PgBouncer in front of that server, for the applications of a run with --pgbouncer."""
    # Fewer server connections than one application has to it, so that they are shared all the time.
    with running_bouncer(server, servers=5) as url:
        yield url


def way_to(url: str) -> dict[str, Any]:
    """Return the settings by which an application of this run reaches a database of the test server."""
    bouncer = os.environ.get(BOUNCER_VARIABLE)
    if bouncer is None:
        return {"database_url": url}
    return through(with_database(bouncer, make_url(url).database or "postgres"))


def through(bouncer: str) -> dict[str, Any]:
    """Return the settings by which an application reaches this address of a PgBouncer."""
    return {
        "database_url": bouncer,
        "pgbouncer": True,
        "pgbouncer_prepared_statements": knows_prepared_statements(),
    }


def variables(settings: dict[str, Any]) -> dict[str, str]:
    """Return the same settings as environment variables."""
    return {f"TALLER_{name.upper()}": str(value) for name, value in settings.items()}


def with_database(url: str, name: str) -> str:
    """Return the address of another database of the same server."""
    parsed = make_url(url).set(drivername="postgresql+asyncpg", database=name)
    return parsed.render_as_string(hide_password=False)


def plain_url(url: str) -> str:
    """Return the address in the form that asyncpg reads."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def execute(url: str, *statements: str) -> None:
    """Run statements, each on its own."""

    async def run() -> None:
        connection = await asyncpg.connect(plain_url(url))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def create_template(server: str, name: str) -> None:
    """Create a database as the migrations make it."""
    execute(server, f'CREATE DATABASE "{name}"')
    upgrade(with_database(server, name))


@contextmanager
def database_copy(server: str, name: str, template: str | None = None) -> Generator[str]:
    """Create a copy of the migrated template, or of another one, and drop it at the end."""
    assert name.startswith(PREFIX)
    template = template or os.environ[TEMPLATE_VARIABLE]
    execute(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield with_database(server, name)
    finally:
        execute(server, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
