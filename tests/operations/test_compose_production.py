"""What compose.production.yml promises, as far as it holds without Docker; `deploy/production/drill` runs it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not in the lock, for one test

from app.core.config import Settings
from app.core.database.migrations import ROOT
from tests.operations.support import run_command

pytestmark = pytest.mark.slow

TEXT = (ROOT / "compose.production.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
SECRETS = ROOT / "deploy" / "production" / "secrets"


def make_secrets(directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SECRETS, str(directory)], capture_output=True, text=True, check=False)  # noqa: S603 - ours


def test_secrets_are_files_and_no_password_is_known(tmp_path: Path) -> None:
    assert not re.search(r"(?i)(password|secret)\w*: (?!/run/secrets/)\S", TEXT)
    assert not re.search(r"://[^/\s]*:[^/\s]*@", TEXT)
    used = {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert used == set(COMPOSE["secrets"])
    assert make_secrets(tmp_path / "s").returncode == 0
    made = {path.name: path.read_text() for path in (tmp_path / "s").iterdir()}
    assert set(made) == used
    assert {name: secret["file"] for name, secret in COMPOSE["secrets"].items()} == {
        name: f"${{SITE_SECRETS:-./secrets}}/{name}" for name in used
    }
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
    # Others each time, and never written over.
    assert make_secrets(tmp_path / "s").returncode == 1
    assert made == {path.name: path.read_text() for path in (tmp_path / "s").iterdir()}
    make_secrets(tmp_path / "t")
    assert (tmp_path / "t" / "jwt_secret").read_text() != made["jwt_secret"]


@pytest.mark.parametrize("service", ["api", "migrate"])
def test_the_service_takes_the_settings_and_secrets_as_they_are(tmp_path: Path, service: str) -> None:
    make_secrets(tmp_path / "secrets")
    given = {
        name: value.replace("/run/secrets", str(tmp_path / "secrets")).replace("${TALLER_WORKERS:-2}", "2")
        for name, value in SERVICES[service]["environment"].items()
    }
    given = {name: value.replace("${SITE_NAME}", "example.org") for name, value in given.items()}
    assert set(given) <= {f"TALLER_{name.upper()}" for name in Settings.model_fields}
    done = run_command(tmp_path, "config", TALLER_ENV="production", **given)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_only_the_proxy_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "front" in service["networks"]} == {"proxy", "api"}
    address = SERVICES["proxy"]["networks"]["front"]["ipv4_address"]
    assert SERVICES["api"]["environment"]["TALLER_TRUSTED_PROXIES"] == address


def test_what_runs_may_do_little_and_stops_late_enough() -> None:
    for name in ("proxy", "api", "migrate", "pgbouncer"):
        service = SERVICES[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    # The drain delay, which has its default in production.
    late = int(SERVICES["api"]["stop_grace_period"].removesuffix("s"))
    assert late > 5 + Settings.model_fields["shutdown_timeout"].default


def test_migrations_go_past_pgbouncer(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    assert "TALLER_PGBOUNCER" not in SERVICES["migrate"]["environment"]
    assert (tmp_path / "direct_database_url").read_text().endswith("@db/taller")
    assert (tmp_path / "database_url").read_text().endswith("@pgbouncer/taller")
    assert SERVICES["api"]["environment"]["TALLER_PGBOUNCER"] == "true"
