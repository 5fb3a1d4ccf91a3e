"""What docs/operations.md tells people to run at 3 a.m. works, and what it says they see is what the service says."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.engine import make_url

from app.auth.accounts.service import SEED_PASSWORD, SEED_USERNAME
from app.core.config import Settings
from app.core.database.migrations import ROOT, head_revision
from app.core.errors import AppError
from app.main import create_app
from devtools.postgres import binaries
from tests.migrations.history import empty_database
from tests.operations.test_cli_accounts import taller
from tests.support import server
from tests.support.client import Api
from tests.support.doc_examples import blocks
from tests.support.process import CHEAP, Service, clean_environment, sign_in

PAGE = (ROOT / "docs" / "operations.md").read_text()
UNIT = (ROOT / "deploy" / "systemd" / "taller.service").read_text()
RELEASE_BEFORE = "9076fef"
"""What stands for the release before, until there is a tag: on revision 0030."""

systemd_analyze = shutil.which("systemd-analyze")


def rows_of_symptoms() -> list[str]:
    (table,) = re.findall(r"^\| what one sees .*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    return [row.split("|")[1] for row in table.splitlines()[2:] if row]


def test_every_symptom_is_one_that_the_service_has() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "app").rglob("*.py"))
    shown = {span for row in rows_of_symptoms() for span in re.findall(r"`([^`]+)`", row)}
    assert [span for span in shown if span not in sources and not span.startswith("/health/")] == []
    assert {code for code, kind in AppError.catalogue.items() if kind.status in {500, 503}} <= shown


@pytest.mark.slow
def test_a_dump_is_restored_as_the_page_says(server_url: str, service: Service, tmp_path: Path) -> None:
    restored = f"{server.PREFIX}restored"
    (dump,) = (text for kind, text in blocks(PAGE) if kind == "sh" and "pg_dump" in text)
    (restore,) = (text for kind, text in blocks(PAGE) if kind == "sh" and "pg_restore" in text)
    with service.client() as client:
        sign_in(client)
        made = client.post("/projects/", json={"name": "Workshop"}).json()
        client.post(f"/projects/{made['id']}/tasks/", json={"title": "Saw"})
        database = server.plain_url(service.database_url)
        there = make_url(database).database
        script = dump + restore.replace("taller_restored", restored)
        script = re.sub(r"^DATABASE=.*", f"DATABASE='{database}'", script, flags=re.MULTILINE)
        for variable, name in (("SERVER", "postgres"), ("RESTORED", restored)):
            address = server.plain_url(server.with_database(database, name))
            script = re.sub(rf"^{variable}=.*", f"{variable}='{address}'", script, flags=re.MULTILINE)
        assert there is not None
        python = Path(sys.executable).parent
        path = f"{python}:{binaries()}:{os.environ['PATH']}"
        done = subprocess.run(  # noqa: S603 - the page's
            ["/bin/sh", "-eu", "-c", script],
            cwd=tmp_path,
            env=clean_environment(PATH=path, **CHEAP),
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            assert done.returncode == 0, done.stderr
            assert "no tag of before names another state" in done.stdout
            assert "task counts: right" in done.stdout
            asyncio.run(
                assert_is_served(
                    server.with_database(server_url, restored), client.headers["Authorization"], made["id"]
                )
            )
        finally:
            server.execute(server_url, f'DROP DATABASE IF EXISTS "{restored}" WITH (FORCE)')


async def assert_is_served(url: str, former: str, project_id: str) -> None:
    """Sign in again on what was restored, and find what the dump had."""
    app = create_app(Settings(_env_file=None, database_url=url, argon2_time_cost=1, argon2_memory_cost=8))
    async with app.router.lifespan_context(app), Api(app) as api:
        assert (await api.get("/auth/me", headers={"Authorization": former})).status_code == 401
        login = {"username": SEED_USERNAME, "password": SEED_PASSWORD}
        token = (await api.post("/auth/login", json=login)).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        listed = (await api.get(f"/projects/{project_id}", headers=bearer)).json()
        assert (listed["name"], listed["tasks_total"]) == ("Workshop", 1)


@pytest.mark.slow
def test_wrong_counts_lists_and_trees_are_mended_by_the_page(service: Service, tmp_path: Path) -> None:
    (mend,) = (text for kind, text in blocks(PAGE) if kind == "sql" and "project_task_counts" in text)
    with service.client() as client:
        sign_in(client)
        project = client.post("/projects/", json={"name": "Workshop"}).json()
        me = client.get("/auth/me").json()["id"]
        for number in range(3):
            client.post(f"/projects/{project['id']}/tasks/", json={"title": f"{number}", "assignee_ids": [me]})
        (_, part, whole) = client.get(f"/projects/{project['id']}/tasks/").json()["items"]
        client.patch(f"/tasks/{part['id']}", json={"parent_id": whole["id"]})
        way = server.variables(server.way_to(service.database_url))
        server.execute(
            service.database_url,
            "SET session_replication_role = replica; UPDATE tasks SET is_parent = false;"
            "UPDATE tasks SET assignee_ids = '[]' WHERE title = '1'; DELETE FROM tasks WHERE title = '2';"
            "DELETE FROM task_assignees WHERE task_id NOT IN (SELECT id FROM tasks)",
        )
        said = taller(way, "doctor", cwd=tmp_path, fails=True).stderr
        assert "Wrong: task counts, task lists, task trees" in said
        server.execute(service.database_url, mend)
        assert "task lists: right" in taller(way, "doctor", cwd=tmp_path).stdout
        listed = client.get(f"/projects/{project['id']}/tasks/").json()
        assert [(item["title"], item["assignee_ids"]) for item in listed["items"]] == [("1", [me]), ("0", [me])]
        assert [item["subtasks_total"] for item in listed["items"]] == [0, 1]
        assert client.get(f"/projects/{project['id']}").json()["tasks_total"] == 2


def test_unit_names_settings_that_exist_and_stops_late_enough() -> None:
    named = set(re.findall(r"TALLER_\w+(?==)", UNIT))
    assert {"TALLER_ENV", "TALLER_DATABASE_URL_FILE", "TALLER_JWT_SECRET_FILE"} <= named
    assert named <= {f"TALLER_{name.upper()}" for name in Settings.model_fields}
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    # The drain delay, which has its default in production.
    assert int(seconds) > 5 + Settings.model_fields["shutdown_timeout"].default
    assert "KillMode=mixed" in UNIT


@pytest.mark.slow
@pytest.mark.skipif(
    systemd_analyze is None, reason="systemd-analyze is not installed (Debian: apt-get install systemd)"
)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    assert systemd_analyze is not None
    release = tmp_path / "taller"
    (release / ".venv" / "bin").mkdir(parents=True)
    (release / ".venv" / "bin" / "python").symlink_to(Path(sys.executable).resolve())

    def verify(text: str) -> "subprocess.CompletedProcess[str]":
        file = tmp_path / "taller.service"
        file.write_text(text.replace("/opt/taller", str(release)))
        command = [str(systemd_analyze), "verify", "--man=no", str(file)]
        return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the one that is installed

    done = verify(UNIT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Unknown key" in verify(UNIT.replace("KillMode=", "KillMood=")).stderr


def release_before(directory: Path) -> Path:
    """The files of the last release, or of the commit that stands for it."""
    git = shutil.which("git")
    assert git is not None

    def asked(*arguments: str, check: bool = True) -> bytes:
        return subprocess.run([git, "-C", str(ROOT), *arguments], capture_output=True, check=check).stdout  # noqa: S603

    tag = asked("describe", "--tags", "--abbrev=0", "--match=v*", check=False).decode().strip()
    archive = asked("archive", tag or RELEASE_BEFORE)
    directory.mkdir()
    # `tarfile` has safe ways to extract from Python 3.11.4 on, and Debian 12 has 3.11.2.
    subprocess.run(["tar", "-x", "-C", str(directory)], input=archive, check=True)  # noqa: S603, S607
    return directory


@pytest.mark.slow
def test_the_release_before_runs_on_this_schema_and_back(server_url: str, tmp_path: Path) -> None:
    old = release_before(tmp_path / "before")
    with empty_database(server_url) as url:
        way = {"TALLER_DATABASE_URL": url, "PYTHONPATH": str(old), **CHEAP}

        command = [sys.executable, "-m", "app", "migrate"]
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command, cwd=old, env=clean_environment(**way), capture_output=True, text=True, check=False
        )
        assert "migrated an empty database" in done.stdout, done.stderr
        with Service(url, tmp_path, {"PYTHONPATH": str(old)}, is_forked=False) as before, before.client() as client:
            before.start()
            sign_in(client)
            project = client.post("/projects/", json={"name": "Workshop"}).json()["id"]
            tasks = f"/projects/{project}/tasks/"

            def write_and_read(client: httpx2.Client, title: str) -> None:
                task = client.post(tasks, json={"title": title}, headers={"Idempotency-Key": title})
                assert task.status_code == 201, task.text
                for listed in client.get(tasks).json()["items"]:
                    changed = client.patch(f"/tasks/{listed['id']}", json={"completed": not listed["completed"]})
                    assert changed.status_code == 200, changed.text

            write_and_read(client, "before")
            # The old release serves while the new one migrates, and afterwards.
            assert f"→ {head_revision()}" in taller({"TALLER_DATABASE_URL": url}, "migrate", cwd=tmp_path).stdout
            assert client.get("/health/ready").json()["schema_state"] == "ahead"
            write_and_read(client, "between")
            with Service(url, tmp_path) as after, after.client(headers=client.headers) as newer:
                after.start()
                write_and_read(newer, "after")
                last = newer.post(tasks, json={"title": "new", "external_id": "A-1"}).json()
                before.stop()
                before.start()
                write_and_read(client, "back")
                titles = {task["title"] for task in newer.get(tasks).json()["items"]}
                assert titles == {"before", "between", "after", "new", "back"}
                kept = newer.get(f"/tasks/{last['id']}").json()
                assert (kept["external_id"], kept["completed"]) == ("A-1", True)
        assert "references: right" in taller({"TALLER_DATABASE_URL": url}, "doctor", cwd=tmp_path).stdout
