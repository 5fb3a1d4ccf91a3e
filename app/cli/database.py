"""The database that a command works on."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import asyncpg
import click

from app.cli.errors import CommandError
from app.core.addresses import address_of
from app.core.config import Settings
from app.core.database.connecting import connect
from app.core.database.migrations import STATE, SchemaState, state_of_schema

# What a command cannot do, it says itself; it writes no log.
logging.getLogger("app").addHandler(logging.NullHandler())


@contextmanager
def database_of(settings: Settings) -> Generator[str]:
    """Give the address of the configured database; in a checkout without one, of the embedded one, running or not."""
    if settings.database_url is not None:
        say("using the database of TALLER_DATABASE_URL")
        yield settings.database_url
        return
    try:
        from devtools.commands import embedded_database
    except ModuleNotFoundError:
        raise CommandError("TALLER_DATABASE_URL is not set.") from None
    with embedded_database(settings, running=True) as url:
        yield url


def say(message: str) -> None:
    """Tell the operator what happens, beside what a command prints."""
    click.echo(f"taller: {message}", err=True)


async def schema_state_at(url: str, *, timeout: float = 60) -> SchemaState:  # noqa: ASYNC109 - asyncpg's own
    """Return the state of the schema, by a connection of its own. Raises `UnavailableError`."""
    connection = await connect(address_of(url), timeout=timeout, statement_cache_size=0)
    try:
        row = await connection.fetchrow(STATE.text)
    except asyncpg.UndefinedTableError:
        row = None
    finally:
        await connection.close()
    return state_of_schema(row)
