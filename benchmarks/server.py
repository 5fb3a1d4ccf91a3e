"""The PostgreSQL that is measured on: the embedded one with production-like settings, or one that is named."""

import asyncio
import contextlib
import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import asyncpg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from devtools.postgres import EmbeddedPostgres

VARIABLE = "BENCH_DATABASE_URL"
PREFIX = "taller_bench"
"""Only databases whose names start so are made and dropped."""

SETTINGS = {
    "shared_buffers": "512MB",
    "effective_cache_size": "2GB",
    "work_mem": "16MB",
    "max_connections": "100",
    "random_page_cost": "1.1",
    # The harness checkpoints between measurements, so that none falls into one.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}
"""Beyond PostgreSQL's defaults, fsync and all, for a small machine with a solid-state disk."""


class BenchmarkError(Exception):
    """The benchmark cannot do what it was asked; the message tells why."""


@dataclass(frozen=True, slots=True)
class Address:
    """A database, in the spellings of all who want to reach it."""

    host: str
    """A directory, if it starts with a slash."""

    port: int
    user: str
    password: str
    database: str

    @property
    def dsn(self) -> str:
        """For asyncpg."""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        port = "" if self.port == 5432 else f"&port={self.port}"
        host = quote(self.host, safe="/")
        return f"postgresql://{quote(self.user, safe='')}{password}@/{self.database}?host={host}{port}"

    @property
    def url(self) -> str:
        """For SQLAlchemy and for Taller."""
        if self.host.startswith("/"):
            return self.dsn.replace("postgresql://", "postgresql+asyncpg://", 1)
        password = f":{quote(self.password, safe='')}" if self.password else ""
        return f"postgresql+asyncpg://{quote(self.user, safe='')}{password}@{self.host}:{self.port}/{self.database}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that libpq, asyncpg and node-postgres read."""
        variables = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
        }
        return {**variables, "PGPASSWORD": self.password} if self.password else variables

    def at(self, host: str, port: int = 5432) -> "Address":
        """Return the same database by another way."""
        return Address(host, port, self.user, self.password, self.database)


def address_of(url: str) -> Address:
    """Read an address; it has to name a database that is ours to drop."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise BenchmarkError(f"{VARIABLE} is no database address") from None
    host = parsed.host or parsed.query.get("host")
    if not isinstance(host, str):
        raise BenchmarkError(f"{VARIABLE} names no host")
    if not (parsed.database or "").startswith(PREFIX):
        raise BenchmarkError(
            f"{VARIABLE} has to name a database that starts with {PREFIX}: it is dropped and made anew, no other is."
        )
    port = parsed.port or parsed.query.get("port") or 5432
    assert isinstance(port, int | str)
    return Address(host, int(port), parsed.username or "postgres", parsed.password or "", parsed.database or "")


@contextmanager
def fresh_database(directory: Path) -> Generator[Address]:
    """Yield an empty database, on the named server or on the embedded one; dropped at the end."""
    with contextlib.ExitStack() as stack:
        if named := os.environ.get(VARIABLE):
            address = address_of(named)
        else:
            postgres = stack.enter_context(EmbeddedPostgres(directory, options=SETTINGS))
            address = address_of(postgres.url(PREFIX))
        yield stack.enter_context(_empty(address))


def another_database(address: Address) -> AbstractContextManager[Address]:
    """Return an empty database beside that one; dropped at the end."""
    return _empty(replace(address, database=f"{address.database}_2"))


@contextmanager
def _empty(address: Address) -> Generator[Address]:
    drop = f'DROP DATABASE IF EXISTS "{address.database}" WITH (FORCE)'
    asyncio.run(
        _execute(
            address,
            drop,
            f'CREATE DATABASE "{address.database}"',
            # Statements here are short, and compiling them costs more than it gains: the same for everybody.
            f'ALTER DATABASE "{address.database}" SET jit = off',
            f"ALTER DATABASE \"{address.database}\" SET timezone = 'UTC'",
        )
    )
    try:
        yield address
    finally:
        asyncio.run(_execute(address, drop))


async def _execute(address: Address, *statements: str) -> None:
    maintenance = Address(address.host, address.port, address.user, address.password, "postgres")
    try:
        connection = await asyncpg.connect(maintenance.dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise BenchmarkError(f"cannot reach PostgreSQL: {error}") from error
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
