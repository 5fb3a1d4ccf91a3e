"""`taller migrate`."""

import asyncio
import gc
from collections.abc import Iterable, Sequence
from typing import Any

import click

from app.auth.accounts.service import create_seed_admin
from app.auth.manager import Authentication
from app.cli.database import say, schema_state_at
from app.cli.errors import CommandError
from app.cli.progress import MigrationProgress
from app.cli.upgrading import direct_url, upgrade
from app.core.addresses import address_of
from app.core.config import Settings
from app.core.database.connecting import connect
from app.core.database.database import Database
from app.core.database.migrations import head_revision
from app.core.database.models import Base
from app.core.database.search import OF_WORDS

_KINDS = "asciiword, asciihword, hword_asciipart, word, hword, hword_part"
"""The parser's token types for words. Numbers, addresses and the like need no dictionary."""


def migrate(settings: Settings) -> None:
    """Bring the schema to the newest revision; in development, make sure that the seed's admin exists."""
    gc.enable()
    url = direct_url(settings)
    before = asyncio.run(schema_state_at(url))
    if before.state == "ahead":
        # A release that is rolled back finds its schema so, and runs on it.
        click.echo(f"the schema ({before.revision}) is newer than this release ({head_revision()}): nothing to do")
        return
    with MigrationProgress(url, before.revision) as progress:
        upgrade(url, on_version_apply=progress.note)
        click.echo(_summary(progress.applied))
        of_tables = (index for table in Base.metadata.tables.values() for index in table.indexes)
        indexes = sorted(str(index.name) for index in of_tables if OF_WORDS in index.info)
        try:
            is_changed = asyncio.run(use_dictionary(url, settings.search_dictionary, indexes))
        except UnknownDictionaryError:
            raise CommandError(
                f"The database server has no text search dictionary {settings.search_dictionary} (see pg_ts_dict)."
            ) from None
    if is_changed:
        say(f"text search now uses the dictionary {settings.search_dictionary}")
    if settings.is_development:
        asyncio.run(_seed(settings))


def _summary(steps: Sequence[Any]) -> str:
    """Return what the migrations that were applied come to."""
    if not steps:
        return f"already at {head_revision()}"
    before = ", ".join(steps[0].source_revision_ids) or "an empty database"
    return f"migrated {before} → {steps[-1].up_revision_id}"


async def _seed(settings: Settings) -> None:
    database = Database(settings)
    try:
        await create_seed_admin(database, Authentication(settings, database).passwords)
    finally:
        await database.close()


class UnknownDictionaryError(ValueError):
    """The server has no text search dictionary of this name."""


async def use_dictionary(url: str, dictionary: str, indexes: Iterable[str]) -> bool:
    """Set the dictionary of searches and rebuild these indexes without blocking reads and writes. Return whether the
    dictionary changed. Searches are incomplete until it is done. If it was interrupted, call it again.
    """
    connection = await connect(address_of(url), timeout=60)
    try:
        if not await connection.fetchval("SELECT count(*) FROM pg_ts_dict WHERE dictname = $1", dictionary):
            raise UnknownDictionaryError(dictionary)
        # The comment is written last, so that an interrupted rebuild is not taken for a finished one.
        done = "SELECT obj_description('taller'::regconfig, 'pg_ts_config')"
        if (await connection.fetchval(done) or "simple") == dictionary:
            return False
        await connection.execute(
            f'ALTER TEXT SEARCH CONFIGURATION taller ALTER MAPPING FOR {_KINDS} WITH "{dictionary}"'
        )
        for index in indexes:
            await connection.execute(f"REINDEX INDEX CONCURRENTLY {index}")
        await connection.execute(f"COMMENT ON TEXT SEARCH CONFIGURATION taller IS '{dictionary}'")
    finally:
        await connection.close()
    return True
