"""What compose.production.yml and deploy/ha/ promise, as far as it holds without Docker; drills run them."""

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


class Stack:
    """A compose file, and what makes its secrets."""

    def __init__(self, file: str, secrets: str, published: str, variable: str) -> None:
        self.text = (ROOT / file).read_text()
        self.compose: dict[str, Any] = yaml.safe_load(self.text)
        self.services: dict[str, Any] = self.compose["services"]
        self.script = ROOT / secrets
        self.published = published
        self.variable = variable

    def make_secrets(self, directory: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([self.script, str(directory)], capture_output=True, text=True, check=False)  # noqa: S603 - ours


PRODUCTION = Stack("compose.production.yml", "deploy/production/secrets", "proxy", "SITE_SECRETS:-./secrets")
HA = Stack("deploy/ha/compose.yml", "deploy/ha/secrets", "balancer", "SITE_SECRETS")
both = pytest.mark.parametrize("stack", [PRODUCTION, HA], ids=["production", "ha"])


@both
def test_secrets_are_files_and_no_password_is_known(tmp_path: Path, stack: Stack) -> None:
    assert not re.search(r"(?i)(password|secret)\w*: (?!/run/secrets/)[^/\s$]", stack.text)
    assert not re.search(r"://[^/\s]*:[^/\s]*@", stack.text)
    used = {name for service in stack.services.values() for name in service.get("secrets", ())}
    assert used == set(stack.compose["secrets"])
    assert stack.make_secrets(tmp_path / "s").returncode == 0
    made = {path.name: path.read_text() for path in (tmp_path / "s").iterdir()}
    # Clients are given the authority.
    assert made.keys() - {"authority"} == used
    for name, secret in stack.compose["secrets"].items():
        assert re.fullmatch(rf"\$\{{{stack.variable}(:\?[^}}]*)?\}}/{name}", secret["file"])
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
    # Others each time, and never written over.
    assert stack.make_secrets(tmp_path / "s").returncode == 1
    assert made == {path.name: path.read_text() for path in (tmp_path / "s").iterdir()}
    stack.make_secrets(tmp_path / "t")
    assert (tmp_path / "t" / "jwt_secret").read_text() != made["jwt_secret"]


@pytest.mark.parametrize(
    ("stack", "service"), [(PRODUCTION, "api"), (PRODUCTION, "migrate"), (HA, "api1"), (HA, "api2"), (HA, "migrate")]
)
def test_the_service_takes_the_settings_and_secrets_as_they_are(tmp_path: Path, stack: Stack, service: str) -> None:
    stack.make_secrets(tmp_path / "secrets")
    given = {
        name: re.sub(r"\$\{\w+:-(\w*)\}", r"\1", value.replace("/run/secrets", str(tmp_path / "secrets")))
        for name, value in stack.services[service]["environment"].items()
    }
    given = {name: value.replace("${SITE_NAME}", "example.org") for name, value in given.items()}
    assert set(given) <= {f"TALLER_{name.upper()}" for name in Settings.model_fields}
    done = run_command(tmp_path, "config", TALLER_ENV="production", **given)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@both
def test_only_the_proxy_is_reached_from_outside(stack: Stack) -> None:
    assert [name for name, service in stack.services.items() if "ports" in service] == [stack.published]
    networks = stack.compose["networks"]
    assert {name for name, network in networks.items() if not network.get("internal")} == {"front"}
    fronted = {name for name, service in stack.services.items() if "front" in service["networks"]}
    instances = {name for name in stack.services if name.startswith("api")}
    assert fronted == {stack.published, *instances}
    address = stack.services[stack.published]["networks"]["front"]["ipv4_address"]
    assert {stack.services[name]["environment"]["TALLER_TRUSTED_PROXIES"] for name in instances} == {address}


@both
def test_what_runs_may_do_little_and_stops_late_enough(stack: Stack) -> None:
    for service in stack.services.values():
        # The official image of PostgreSQL starts as root to become another user.
        if service.get("image") != "postgres:18":
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    for name, service in stack.services.items():
        if name.startswith("api"):
            # The drain delay, which has its default in production.
            late = int(service["stop_grace_period"].removesuffix("s"))
            assert late > 5 + Settings.model_fields["shutdown_timeout"].default


@both
def test_migrations_go_past_pgbouncer(tmp_path: Path, stack: Stack) -> None:
    stack.make_secrets(tmp_path)
    assert "TALLER_PGBOUNCER" not in stack.services["migrate"]["environment"]
    assert (tmp_path / "direct_database_url").read_text().endswith("@db/taller")
    assert (tmp_path / "database_url").read_text().endswith("@pgbouncer/taller")
    for name, service in stack.services.items():
        if name.startswith("api"):
            assert service["environment"]["TALLER_PGBOUNCER"] == "true"


def test_nodes_and_their_addresses_are_those_that_are_looked_for() -> None:
    nodes = {name: service for name, service in HA.services.items() if name.startswith("node")}
    led_to = (ROOT / "deploy/ha/primary.cfg").read_text()
    agree_by = (ROOT / "deploy/ha/patroni.yml").read_text()
    assert len(nodes) == 3
    for name, node in nodes.items():
        assert f"server {name} {node['networks']['data']['ipv4_address']}:5432" in led_to
        assert node["environment"] == {"PATRONI_NAME": name, "PEER": node["networks"]["cluster"]["ipv4_address"]}
        etcd = HA.services[name.replace("node", "etcd")]
        address = etcd["networks"]["cluster"]["ipv4_address"]
        assert etcd["environment"] == {"NAME": name.replace("node", "etcd"), "ADDRESS": address}
        assert f"{address}:2379" in agree_by
        assert f"{etcd['environment']['NAME']}=http://{address}:2380" in str(etcd["command"])


def test_patroni_waits_for_two_copies_of_each_write() -> None:
    set_up = yaml.safe_load((ROOT / "deploy/ha/patroni.yml").read_text())["bootstrap"]["dcs"]
    assert set_up["synchronous_mode"] is True
    # Patroni's own rule.
    assert set_up["ttl"] >= set_up["loop_wait"] + 2 * set_up["retry_timeout"]
