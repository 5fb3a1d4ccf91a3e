"""The embedded PostgreSQL keeps to itself what is in it."""

import asyncio
import os
import stat
from pathlib import Path

import asyncpg
import pytest

from devtools.postgres import EmbeddedPostgres

pytestmark = pytest.mark.slow


def test_files_are_private_and_the_log_has_no_values(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o755)
    # As an earlier version left it.
    (directory / "postgres.log").touch(mode=0o644)
    before = os.umask(0o022)
    try:
        with EmbeddedPostgres(directory, socket_directory=tmp_path / "s") as postgres:
            asyncio.run(_refused_twice(postgres.url().replace("+asyncpg", "")))
            files = [path for path in directory.rglob("*") if path.is_file()]
            assert {path.name for path in files} >= {"postgres.log", "lock", "PG_VERSION"}
            readable = [path for path in files if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
            assert readable == []
    finally:
        os.umask(before)
    log = (directory / "postgres.log").read_text()
    assert 'duplicate key value violates unique constraint "people_pkey"' in log
    assert "ada-lovelace" not in log


async def _refused_twice(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE people (username text PRIMARY KEY)")
        await connection.execute("INSERT INTO people VALUES ('ada-lovelace')")
        for statement, values in (
            ("INSERT INTO people VALUES ('ada-lovelace')", []),
            ("INSERT INTO people VALUES ($1)", ["ada-lovelace"]),
        ):
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute(statement, *values)
    finally:
        await connection.close()
