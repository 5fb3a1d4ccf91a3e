"""What `taller migrate` says that it did."""

import os
import time
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from app.cli.progress import MigrationProgress, pending_migrations
from app.cli.upgrading import upgrade
from app.core.database.migrations import head_revision
from tests.migrations.history import empty_database
from tests.operations.support import run_command
from tests.support import server

pytestmark = pytest.mark.slow

HEAD = head_revision()


def migrate(directory: Path, url: str) -> CompletedProcess[str]:
    done = run_command(directory, "migrate", TALLER_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    return done


def test_migrate_says_from_where_to_where_it_came(server_url: str, tmp_path: Path) -> None:
    with empty_database(server_url) as url:
        upgrade(url, "0007")
        assert migrate(tmp_path, url).stdout == f"migrated 0007 → {HEAD}\n"
        assert migrate(tmp_path, url).stdout == f"already at {HEAD}\n"


def test_migrate_fills_an_empty_database(server_url: str, tmp_path: Path) -> None:
    with empty_database(server_url) as url:
        assert migrate(tmp_path, url).stdout == f"migrated an empty database → {HEAD}\n"


def test_migrate_leaves_a_newer_schema_alone(server_url: str, tmp_path: Path) -> None:
    # As a release finds it that is rolled back, whose first step this is.
    with server.database_copy(server_url, f"{server.PREFIX}newer_{os.getpid()}") as url:
        server.execute(url, "UPDATE alembic_version SET version_num = '9999'")
        said = f"the schema (9999) is newer than this release ({HEAD}): nothing to do\n"
        assert migrate(tmp_path, url).stdout == said


def test_a_long_migration_is_named_every_few_seconds(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    deadline, said = time.monotonic() + 30, ""
    with MigrationProgress(database_url, "0017", pause=0.01) as progress:
        progress.note(step=None)
        while said.count("\n") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
            said += capsys.readouterr().err
    assert progress.steps == pending_migrations("0017")
    assert said.startswith("taller: 0019 Index words by their project, since 0 s\ntaller: 0019 ")
