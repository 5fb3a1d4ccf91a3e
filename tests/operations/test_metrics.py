"""What two workers count, together: also what a worker counted that has died, and once."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.cli.metrics import MAX_CONNECTIONS
from app.core.config import Settings
from app.core.database.migrations import ROOT
from app.core.idempotency.keys import REPLAYED
from tests.support.process import Service, running_service, sign_in

pytestmark = pytest.mark.slow

Labels = dict[str, str]

OBSERVABILITY = ROOT / "deploy" / "observability"
CONNECTIONS = 2 * (Settings(_env_file=None).database_pool_size + Settings(_env_file=None).by_value_pool_size)
"""Of two workers."""

ALERTS = (OBSERVABILITY / "alerts.yml").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


class Metrics:
    """The metrics of a service."""

    def __init__(self, service: Service, port: int) -> None:
        self.service = service
        self.port = port
        self._client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)

    def samples(self, name: str, **labels: str) -> list[tuple[Labels, float]]:
        """The samples with this name, and with these labels among their own."""
        answer = self._client.get("/metrics")
        assert answer.status_code == 200
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def answer(self, path: str) -> int:
        """The status of the answer at another address."""
        return self._client.get(path).status_code

    def names(self) -> set[str]:
        """The names of all metrics."""
        families = list(text_string_to_metric_families(self._client.get("/metrics").text))
        return {f"{family.name}_total" if family.type == "counter" else family.name for family in families}

    def total(self, name: str, **labels: str) -> float:
        return sum(value for _, value in self.samples(name, **labels))

    def workers(self) -> set[int]:
        """The process ids of the living workers."""
        return {int(labels["pid"]) for labels, value in self.samples("taller_process_start_time_seconds") if value}

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < deadline, self.service.log_tail()
            time.sleep(0.1)

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def metrics(server_url: str) -> Iterator[Metrics]:
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        environment = {"TALLER_WORKERS": "2", "TALLER_METRICS_PORT": str(port), "TALLER_RATE_LIMIT_LOGIN": "3/86400"}
        with running_service(server_url, environment=environment, is_forked=False) as service:
            found = Metrics(service, port)
            found.until(lambda: len(found.workers()) == 2)
            yield found
            found.close()


def test_silent_connections_to_the_metrics_are_few_and_end(metrics: Metrics) -> None:
    silent = [socket.create_connection(("127.0.0.1", metrics.port), timeout=60) for _ in range(MAX_CONNECTIONS + 10)]
    for connection in silent:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n")
    for connection in silent:
        with connection, suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert metrics.workers()


def test_metrics_do_not_depend_on_a_query(metrics: Metrics) -> None:
    assert metrics.answer("/metrics?name[]=taller_requests_total") == metrics.answer("/?name[]=nothing") == 200


def test_requests_are_counted_by_route_method_and_status(metrics: Metrics) -> None:
    with metrics.service.client() as client:
        sign_in(client)
        project = client.post("/projects/", json={"name": "Metrics"}, headers={"Idempotency-Key": "one"}).json()
        again = client.post("/projects/", json={"name": "Metrics"}, headers={"Idempotency-Key": "one"})
        for _ in range(5):
            client.get(f"/projects/{project['id']}")
        for number in range(20):
            assert client.get(f"/nothing/{number}").status_code == 404
        assert client.post("/auth/login", json={"username": "admin", "password": "wrong"}).status_code == 401
        while client.post("/auth/login", json={"username": "admin", "password": "wrong"}).status_code != 429:
            pass

    assert again.headers[REPLAYED] == "true"
    route = "/api/v1/projects/{project_id}"
    assert metrics.samples("taller_http_requests_total", route=route) == [
        ({"route": route, "method": "GET", "status": "200"}, 5.0)
    ]
    assert metrics.total("taller_http_request_duration_seconds_count", route=route) == 5
    assert metrics.total("taller_http_request_duration_seconds_bucket", route=route, le="+Inf") == 5
    # Unknown paths are one label, whatever clients make up.
    assert metrics.samples("taller_http_requests_total", route="unknown") == [
        ({"route": "unknown", "method": "GET", "status": "404"}, 20.0)
    ]
    assert metrics.total("taller_idempotent_replays_total") == 1
    assert metrics.total("taller_rate_limit_refusals_total", policy="login") == 1
    assert metrics.total("taller_sign_ins_total", result="succeeded") == 1
    assert metrics.total("taller_sign_ins_total", result="invalid_credentials") >= 1
    assert metrics.total("taller_caller_cache_lookups_total", result="hit") >= 1
    assert metrics.total("taller_database_statements_total") >= 5


def test_gauges_tell_connections_tasks_processes_and_the_release(metrics: Metrics) -> None:
    metrics.until(lambda: metrics.total("taller_database_connections_max") == CONNECTIONS)
    assert metrics.total("taller_database_connections") == CONNECTIONS
    assert metrics.total("taller_database_waiting") == 0
    assert metrics.total("taller_http_requests_in_flight") == 0
    assert metrics.total("taller_workers") == 2
    assert metrics.total("taller_build_info") == 1
    assert metrics.total("taller_process_cpu_seconds_total") > 0
    for name in ("taller_process_resident_memory_bytes", "taller_process_open_fds"):
        assert all(value > 0 for _, value in metrics.samples(name))
    times = metrics.samples("taller_background_task_last_success_timestamp_seconds")
    succeeded = {labels["task"]: value for labels, value in times}
    assert {"access-watcher", "metrics", "purger"} <= succeeded.keys()
    assert abs(time.time() - succeeded["metrics"]) < 60


def test_the_public_port_serves_no_metrics(metrics: Metrics) -> None:
    with metrics.service.client() as client:
        assert client.get("/metrics").status_code == 404


@pytest.mark.parametrize("ends", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_lost_worker_counted_stays_and_counts_once(metrics: Metrics, ends: signal.Signals) -> None:
    """A worker that stops answering its parent is killed by it, and replaced as one that has died."""
    count = {"name": "taller_http_requests_total", "route": "/health/live"}
    before = metrics.total(**count)
    with metrics.service.client() as client:
        for _ in range(50):
            # Each on a connection of its own, so that both workers get some.
            assert client.get("/health/live", headers={"Connection": "close"}).status_code == 200
    lost = min(metrics.workers())
    os.kill(lost, ends)

    metrics.until(lambda: lost not in metrics.workers() and len(metrics.workers()) == 2)
    assert metrics.total(**count) == before + 50
    assert metrics.total("taller_workers") == 2
    metrics.until(lambda: metrics.total("taller_database_connections_max") == CONNECTIONS)


def test_the_metrics_of_dashboard_alerts_and_guide_exist(metrics: Metrics) -> None:
    served = metrics.names()
    panels = json.loads((OBSERVABILITY / "dashboard.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    rows = [line.split("|")[1] for line in OPERATIONS.splitlines() if line.startswith("| `taller_")]

    for text in (*expressions, *rows, ALERTS):
        named = {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\btaller_\w+", text)}
        assert named <= served
    assert served == {name for row in rows for name in re.findall(r"taller_\w+", row)}


def test_each_alert_has_a_paragraph_in_the_guide_of_operations() -> None:
    section = OPERATIONS.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    names = re.findall(r"- alert: (\w+)", ALERTS)

    assert names
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == names


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's package prometheus) is not installed")
def test_promtool_accepts_the_alerts_and_the_configuration() -> None:
    checked = subprocess.run(  # noqa: S603 - of our own files
        ["promtool", "check", "config", OBSERVABILITY / "prometheus.yml"],  # noqa: S607 - wherever it is installed
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
