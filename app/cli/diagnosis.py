"""What may be wrong with a database although the service runs on it: `taller doctor` asks for each of these.

All return what was found, a line for each thing with the way to mend it, and nothing if all is right.
"""

import asyncio

from sqlalchemy import ForeignKeyConstraint, MetaData, PrimaryKeyConstraint, UniqueConstraint, func, select, text

from app.core import clock
from app.core.addresses import without_password
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.replica import WATCH_EVERY, Position, Replica
from app.core.database.statements import Rows
from app.core.errors import UnavailableError

SPARE_CONNECTIONS = 5
"""For migrations, the command line and the operator, beside those of the workers."""

LOOKS = 30
"""How often `taller doctor` looks at the standby before it says that it does not follow."""

CLOCK_TOLERANCE = 1.0
"""Seconds by which clocks may differ: what the shares of rate limits allow."""

_INDEXES = text(
    "SELECT relname::text AS name, indisvalid AND indisready AS is_valid "
    "FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = current_schema()::regnamespace"
)
_UNVALIDATED = text(
    "SELECT conname::text AS name, conrelid::regclass::text AS table FROM pg_constraint "
    "WHERE connamespace = current_schema()::regnamespace AND NOT convalidated ORDER BY conname"
)
_DISABLED_TRIGGERS = text(
    "SELECT DISTINCT tgrelid::regclass::text AS table FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
    "WHERE relnamespace = current_schema()::regnamespace AND tgenabled = 'D' ORDER BY 1"
)
_CONNECTIONS = text(
    "SELECT current_setting('max_connections')::int AS all, "
    "current_setting('superuser_reserved_connections')::int "
    "+ coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved, "
    "(SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS of_role, "
    "(SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS of_database"
)
_CLOCK = text("SELECT extract(epoch FROM clock_timestamp())::float8 AS seconds")


async def index_findings(database: Database, metadata: MetaData, *, complete: bool) -> list[str]:
    """Return the indexes that PostgreSQL cannot use, and if the schema should be complete, those that are not there."""
    there = {row["name"]: row["is_valid"] for row in await database.fetch_all(_INDEXES)}
    found = [
        f"the index {name} is invalid, unless it is just being built: REINDEX INDEX CONCURRENTLY {name}, or DROP INDEX "
        "CONCURRENTLY if its name ends with _ccnew or _ccold"
        for name, is_valid in sorted(there.items())
        if not is_valid
    ]
    if complete:
        found += [
            f"the index {name} is missing: create it as its migration does"
            for name in sorted(_indexes(metadata) - set(there))
        ]
    return found


def _indexes(metadata: MetaData) -> set[str]:
    kinds = PrimaryKeyConstraint, UniqueConstraint
    return {
        str(owner.name)
        for table in metadata.tables.values()
        for owner in (*table.indexes, *(one for one in table.constraints if isinstance(one, kinds)))
    }


async def reference_findings(database: Database, metadata: MetaData) -> list[str]:
    """Return the rows that refer to what is not there, and what would let such rows in."""
    found = [
        f"triggers of {row['table']} are disabled: ALTER TABLE {row['table']} ENABLE TRIGGER ALL, then look again"
        for row in await database.fetch_all(_DISABLED_TRIGGERS)
    ]
    found += [
        f"the constraint {row['name']} is not validated: ALTER TABLE {row['table']} VALIDATE CONSTRAINT {row['name']}"
        for row in await database.fetch_all(_UNVALIDATED)
    ]
    for table in metadata.sorted_tables:
        for key in sorted(table.foreign_key_constraints, key=lambda key: str(key.name)):
            (row,) = await database.fetch_all(dangling(key))
            if count := row["count"]:
                found.append(
                    f"{count} rows of {table.name} refer to {key.referred_table.name} that are not there "
                    f"({', '.join(key.column_keys)}): restore these, or delete the rows"
                )
    return found


def dangling(key: ForeignKeyConstraint) -> Rows:
    """Count the rows whose foreign key leads nowhere. PostgreSQL lets none in, unless its triggers were disabled."""
    parent = key.referred_table.alias("parent")
    pairs = [(element.parent, parent.c[element.column.name]) for element in key.elements]
    there = select(1).where(*(column == target for column, target in pairs)).exists()
    filled = (column.is_not(None) for column, _ in pairs)
    return select(func.count().label("count")).select_from(key.parent).where(*filled, ~there)


async def connection_findings(database: Database, settings: Settings) -> list[str]:
    """Return what is wrong if this instance alone wants more connections than the server has for it."""
    wanted = settings.workers * settings.database_pool_size + SPARE_CONNECTIONS
    (row,) = await database.fetch_all(_CONNECTIONS)
    limits = {
        f"max_connections ({row['all']}) less what is reserved": row["all"] - row["reserved"],
        "the connection limit of the role": row["of_role"],
        "the connection limit of the database": row["of_database"],
    }
    return [
        f"TALLER_WORKERS × TALLER_DATABASE_POOL_SIZE + {SPARE_CONNECTIONS} is {wanted}, and {name} is {limit}: lower "
        "the first or raise the second"
        for name, limit in limits.items()
        # -1 is none.
        if 0 <= limit < wanted
    ]


async def clock_findings(database: Database) -> list[str]:
    """Return by how much the database's clock differs from this machine's, if it is too much."""
    before = clock.seconds()
    (row,) = await database.fetch_all(_CLOCK)
    after = clock.seconds()
    # The answer was made at some moment between the two.
    there = row["seconds"]
    difference = there - before if there < before else max(there - after, 0.0)
    if abs(difference) <= CLOCK_TOLERANCE:
        return []
    kind = "ahead of" if difference > 0 else "behind"
    return [f"the database's clock is {abs(difference):.1f} s {kind} this machine's: let NTP set both"]


async def replica_findings(settings: Settings, database: Database) -> list[str]:
    """Return what is wrong with the standby that the settings name."""
    assert settings.database_replica_url is not None, "the caller has looked"
    place = without_password(settings.database_replica_url)
    replica = Replica(settings, database)
    try:
        for _ in range(LOOKS):
            await replica.watch()
            if replica.shows(Position(0, 0)):
                return []
            await asyncio.sleep(WATCH_EVERY)
    except UnavailableError as error:
        return [f"{place} cannot be used: {error.__cause__ or error}"]
    finally:
        await replica.database.close()
    return [
        f"{place} lags more than TALLER_DATABASE_REPLICA_LAG ({settings.database_replica_lag} s), or follows another"
    ]
