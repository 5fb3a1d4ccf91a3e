"""`taller doctor`, as an operator runs it."""

from pathlib import Path

import pytest

from tests.operations.test_cli_accounts import taller
from tests.support import server

pytestmark = pytest.mark.slow


def test_doctor_names_everything_wrong_and_ends_with_1(server_url: str, tmp_path: Path) -> None:
    with server.database_copy(server_url, f"{server.PREFIX}doctor") as url:
        environment = {"TALLER_DATABASE_URL": url}
        said = taller(environment, "doctor", cwd=tmp_path).stdout.splitlines()
        subjects = ("clock", "connections", "indexes", "references", "task counts", "task lists", "task trees")
        assert said[4:] == [f"{subject}: right" for subject in subjects]
        server.execute(
            url,
            "DROP INDEX tasks_created_by_idx",
            "ALTER TABLE tasks DISABLE TRIGGER ALL",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tasks_words_idx'::regclass",
        )
        done = taller({**environment, "TALLER_DATABASE_POOL_SIZE": "200"}, "doctor", cwd=tmp_path, fails=True)
    assert done.stderr.splitlines()[-1] == (
        "taller: Wrong: connections, indexes, references (see above, and docs/operations.md)."
    )
    assert [line.split(":")[0].split(" less ")[0] for line in done.stdout.splitlines() if line.startswith("  ")] == [
        "  TALLER_WORKERS × TALLER_DATABASE_POOL_SIZE + 5 is 205, and max_connections (200)",
        "  the index tasks_words_idx is invalid, unless it is just being built",
        "  the index tasks_created_by_idx is missing",
        "  triggers of tasks are disabled",
    ]
