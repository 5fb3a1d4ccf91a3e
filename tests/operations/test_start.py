"""What the service says and does when it cannot start."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from app.core.config import DEVELOPMENT_SECRET
from app.core.database.migrations import ROOT
from tests.operations.support import run_command
from tests.support.process import clean_environment, running_service

pytestmark = pytest.mark.slow

PASSWORD = "q7zx-password"
NOBODY_THERE = f"postgresql://taller:{PASSWORD}@127.0.0.1:1/taller"


@pytest.mark.parametrize(
    ("command", "secret"),
    [("run", ""), ("run", DEVELOPMENT_SECRET), ("run", "q7zx" * 12), ("dev", "q7zx-short"), ("migrate", "q7zx-short")],
)
def test_production_refuses_a_secret_that_can_be_guessed(tmp_path: Path, command: str, secret: str) -> None:
    done = run_command(
        tmp_path, command, TALLER_ENV="production", TALLER_DATABASE_URL=NOBODY_THERE, TALLER_JWT_SECRET=secret
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "TALLER_JWT_SECRET" in said
    assert "Traceback" not in said
    assert PASSWORD not in said
    assert not secret or secret not in said


def test_production_has_no_embedded_database_and_no_development_command(tmp_path: Path) -> None:
    secret = "Hq0zB5v7-wJx2eYk9nT_4uRm1cLd8fSg3aPo6iVtEbNhXyQz"
    without = run_command(tmp_path, "run", TALLER_ENV="production", TALLER_JWT_SECRET=secret)
    assert without.returncode == 1
    assert "TALLER_DATABASE_URL" in without.stderr
    dev = run_command(
        tmp_path, "dev", TALLER_ENV="production", TALLER_JWT_SECRET=secret, TALLER_DATABASE_URL=NOBODY_THERE
    )
    assert dev.returncode == 1
    assert "taller dev` is for development" in dev.stderr
    for done in (without, dev):
        assert secret not in done.stdout + done.stderr


def test_production_has_no_administrator_and_lets_nobody_register(server_url: str) -> None:
    environment = {"TALLER_ENV": "production", "TALLER_JWT_SECRET": secrets.token_urlsafe(48)}
    with (
        running_service(server_url, admin=False, environment=environment, is_forked=False) as service,
        service.client() as client,
    ):
        answer = client.post("/auth/login", json={"username": "admin", "password": "1234"})
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
        answer = client.post("/auth/register", json={"username": "ada", "password": "correct horse battery"})
        assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")


def test_what_the_image_holds_runs_without_what_only_development_needs(tmp_path: Path) -> None:
    for source, target in re.findall(
        r"^COPY (\S+) /app/(\S*)$", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE
    ):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, tmp_path / target)
    # Without the link to this checkout that the environment has.
    places = os.pathsep.join((str(tmp_path), sysconfig.get_path("purelib")))
    said = {}
    for command in (["--help"], ["users", "list"]):
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-S", "-m", "app", *command],
            cwd=tmp_path,
            env=clean_environment(PYTHONPATH=places),
            capture_output=True,
            text=True,
            check=False,
        )
        said[command[0]] = done.stdout + done.stderr
    assert "migrate" in said["--help"]
    assert "Serve for development" not in said["--help"]
    assert said["users"] == "taller: TALLER_DATABASE_URL is not set.\n"


def test_make_run_needs_only_what_it_installs(tmp_path: Path) -> None:
    locked = set(
        re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*])?==", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE)
    )
    of_others = {
        module
        for module, distributions in packages_distributions().items()
        if not {canonical(each) for each in distributions} & (locked | {"pip", "setuptools", "taller"})
    }
    assert {"pytest", "mypy", "ruff", "playwright"} <= of_others
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({of_others!r}))\n"
        "import devtools.commands, devtools.postgres, app.cli.admin, app.main, alembic.command, rich.progress, uvloop\n"
        "devtools.postgres.binaries(); app.main.create_app()"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
