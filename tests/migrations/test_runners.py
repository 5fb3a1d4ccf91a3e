"""How migrations run: several runners at once, against locks held by others, as SQL to read, as drafts."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from sqlalchemy.exc import DBAPIError

from app.cli.upgrading import alembic_config, upgrade
from app.core.database.migrations import ROOT, head_revision
from tests.migrations.history import downgrade, empty_database, fetch, migrations_of, plain, schema_of, tables_of
from tests.operations.support import run_command
from tests.support import server
from tests.support.process import CHEAP, clean_environment

pytestmark = pytest.mark.slow

RUNNERS = 2

NEXT = f"{int(head_revision()) + 1:04}"

INDEX_BUILT_CONCURRENTLY = f'''
"""Plant an index."""

from alembic import op

revision = "{NEXT}"
down_revision = "{head_revision()}"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("planted_idx", "tasks", ["title"], postgresql_concurrently=True)


def downgrade():
    op.drop_index("planted_idx", "tasks")
'''


def taller(tree: Path, url: str, *arguments: str) -> subprocess.Popen[str]:
    """The command line of a tree, on a database."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "app", *arguments],
        cwd=tree,
        env=clean_environment(**CHEAP, PYTHONPATH=str(tree), TALLER_DATABASE_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def runners() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of a test, none of which outlives it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


async def let_go_together(url: str, start: Callable[[], None]) -> None:
    """Start runners, and let them go when all of them wait for the lock that only one of them can have."""
    number = re.search(r"^ADVISORY_LOCK = ([\d_]+)$", (ROOT / "alembic/env.py").read_text(), re.MULTILINE)
    assert number is not None
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    connection = await asyncpg.connect(plain(url))
    try:
        await connection.execute(f"SELECT pg_advisory_lock({number[1].replace('_', '')})")
        start()
        for _ in range(600):
            if await connection.fetchval(others) == RUNNERS:
                break
            await asyncio.sleep(0.05)
        assert await connection.fetchval(others) == RUNNERS
        assert await connection.fetchval("SELECT to_regclass('tasks')") is None
    finally:
        await connection.close()


def test_runners_at_once_all_succeed_and_make_one_history(
    server_url: str, tree: Path, runners: list[subprocess.Popen[str]]
) -> None:
    # An index built concurrently waits for all open transactions, which waiting runners therefore may not be.
    (tree / f"alembic/versions/2026_11_22_{NEXT}_plant_an_index.py").write_text(INDEX_BUILT_CONCURRENTLY)
    with empty_database(server_url) as url:
        asyncio.run(let_go_together(url, lambda: runners.extend(taller(tree, url, "migrate") for _ in range(RUNNERS))))
        for runner in runners:
            _, complaints = runner.communicate(timeout=30)
            assert runner.returncode == 0, complaints
        assert fetch(url, "SELECT version_num FROM alembic_version") == [NEXT]
        assert fetch(url, "SELECT username FROM users") == ["admin"]
        assert fetch(url, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'planted_idx'::regclass") == [True]


def test_migration_without_its_lock_gives_up_and_changes_nothing(server_url: str, tree: Path) -> None:
    environment = tree / "alembic/env.py"
    source = environment.read_text()
    assert 'LOCK_TIMEOUT = "5s"' in source
    # As in production, only shorter.
    environment.write_text(source.replace('LOCK_TIMEOUT = "5s"', 'LOCK_TIMEOUT = "200ms"'))

    async def downgrade_while_somebody_holds_a_lock(url: str) -> float:
        config = migrations_of(tree, url)
        connection = await asyncpg.connect(plain(url))
        try:
            async with connection.transaction():
                # Whatever the newest migration touches.
                everything = await connection.fetchval(
                    "SELECT string_agg(format('%I', tablename), ', ') FROM pg_tables "
                    "WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
                )
                await connection.execute(f"LOCK TABLE {everything} IN SHARE MODE")
                started = time.monotonic()
                with pytest.raises(DBAPIError, match="lock timeout") as failure:
                    await asyncio.to_thread(command.downgrade, config, "-1")
                assert getattr(failure.value.driver_exception, "sqlstate", None) == "55P03"
                return time.monotonic() - started
        finally:
            await connection.close()

    with empty_database(server_url) as url:
        # The revision whose way down begins with the table that is locked.
        upgrade(url, "0004")
        before = schema_of(url)
        assert 0.2 <= asyncio.run(downgrade_while_somebody_holds_a_lock(url)) < 5
        assert schema_of(url) == before
        assert fetch(url, "SELECT version_num FROM alembic_version") == ["0004"]
        downgrade(url, "base")
        assert schema_of(url) == []


def test_migrations_written_as_sql_make_the_same_schema(server_url: str, database_url: str) -> None:
    config = alembic_config()
    config.output_buffer = StringIO()
    command.upgrade(config, "head", sql=True)
    script = config.output_buffer.getvalue()
    assert "SET lock_timeout" in script
    with empty_database(server_url) as url:
        # One by one, as psql sends them: an index is not built concurrently amid others.
        server.execute(url, *re.findall(r"(?:\$\$.*?\$\$|'[^']*'|[^$;'])+;", script, re.DOTALL))
        assert schema_of(url) == schema_of(database_url)
        assert fetch(url, "SELECT version_num FROM alembic_version") == [head_revision()]


def test_migration_is_drafted_from_the_models(server_url: str, tree: Path) -> None:
    models = tree / "app/tasks/models.py"
    source = models.read_text()
    assert "    due_date: Mapped[date | None]\n" in source
    models.write_text(
        source.replace("    due_date:", "    colour: Mapped[str | None] = mapped_column(Text)\n    due_date:")
    )
    with empty_database(server_url) as url:
        drafting = taller(tree, url, "migration", "paint tasks")
        _, said = drafting.communicate(timeout=30)
        assert drafting.returncode == 0, said
        [path] = (tree / "alembic/versions").glob(f"*_{NEXT}_*.py")
        assert path.name.endswith(f"_{NEXT}_paint_tasks.py")
        assert str(path) in said
        drafted = re.findall(r"op\.\w+", path.read_text().partition("def downgrade")[0])
        assert drafted == ["op.add_column"], "core's own tables have models as well"
        command.upgrade(migrations_of(tree, url), "head")
        assert "column tasks.colour text" in tables_of(url)


def test_draft_without_a_name_is_refused(database_url: str, tree: Path) -> None:
    drafting = run_command(tree, "migration", "", TALLER_DATABASE_URL=database_url)
    assert (drafting.returncode, drafting.stderr) == (
        1,
        'taller: Name the migration: make migration name="add labels".\n',
    )
