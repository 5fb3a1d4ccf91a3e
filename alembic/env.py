"""How migrations run: over asyncpg, one at a time across all processes, each in a transaction of its own."""

import asyncio
import time
from functools import partial

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

import app.main  # noqa: F401 - imports all models
from app.cli.upgrading import direct_url
from app.core.addresses import address_of
from app.core.config import get_settings
from app.core.database.connecting import connect
from app.core.database.models import Base

ADVISORY_LOCK = 7_425_531_018
"""Any number, as long as nothing else in the database uses it."""

LOCK_POLL = 0.2
"""Seconds between two questions for that lock."""

LOCK_TIMEOUT = "5s"
"""A migration that cannot get its table lock fails and can be tried again; waiting would block the live service."""


def migrate_offline() -> None:
    """Write the SQL instead of running it."""
    context.configure(
        dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        context.run_migrations()


def migrate_on(connection: Connection) -> None:
    """Run the migrations on this connection."""
    # Held until the connection closes. A second runner waits here and then finds nothing left to do. It asks again and
    # again: one long question would be a transaction that an index built concurrently by the first one waits for.
    while not connection.scalar(text(f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})")):
        connection.commit()
        time.sleep(LOCK_POLL)
    if connection.scalar(text("SELECT current_schema()")) is None:
        # TALLER_DATABASE_SCHEMA names one that is not there yet.
        schema = connection.scalar(text("SELECT quote_ident(current_setting('search_path'))"))
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text("SET statement_timeout = 0"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
        on_version_apply=context.config.attributes.get("on_version_apply"),
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_online() -> None:
    """Connect and migrate."""
    url = context.config.attributes.get("url") or direct_url(get_settings())
    creator = partial(connect, address_of(url), timeout=60, statement_cache_size=0)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(migrate_on)
    await engine.dispose()


if context.is_offline_mode():
    migrate_offline()
else:
    asyncio.run(migrate_online())
