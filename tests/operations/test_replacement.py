"""Replacing an instance: after SIGTERM it serves on until the load balancer has noticed, and no request fails."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support import server
from tests.support.process import Service, running_service, sign_in
from tests.support.proxies import free_port, running_balancer

pytestmark = pytest.mark.slow

TIMES = int(os.environ.get("TALLER_TEST_REPLACEMENTS", "1"))
"""How often each instance is replaced; `make drills` does it five times."""

DELAY = {"TALLER_DRAIN_DELAY": "3"}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_after_sigterm_it_serves_on_but_is_not_ready(server_url: str, workers: str) -> None:
    with (
        running_service(server_url, environment=DELAY | {"TALLER_WORKERS": workers}) as service,
        service.client() as kept,
    ):
        sign_in(kept)
        service.process.send_signal(signal.SIGTERM)
        # New connections: each worker hears of it by itself.
        with service.client(headers={"Connection": "close"}) as client:
            while client.get("/health/ready").status_code == 200:
                pass
            refusal = client.get("/health/ready")
            assert (refusal.status_code, refusal.json()["code"]) == (503, "draining")
            assert client.get("/health/live").status_code == 200
        answer = kept.post("/projects/", json={"name": "Made while it drains"})
        assert (answer.status_code, answer.headers["connection"]) == (201, "close")
        assert service.stop() == 0


def test_a_second_sigterm_ends_the_delay(server_url: str) -> None:
    with running_service(server_url, environment={"TALLER_DRAIN_DELAY": "300"}) as service, service.client() as client:
        service.process.send_signal(signal.SIGTERM)
        while client.get("/health/ready").status_code == 200:
            pass
        # In much less than 300 s.
        assert service.stop() == 0


class Load:
    """People who read and write on kept connections all the time."""

    def __init__(self, url: str, people: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.created: list[str] = []
        self._url = url
        self._is_over = False
        self._threads = [threading.Thread(target=self._run) for _ in range(people)]

    def _run(self) -> None:
        with httpx2.Client(base_url=self._url, trust_env=False, verify=False, timeout=30) as client:
            sign_in(client)
            project = client.post("/projects/", json={"name": "Busy"}).json()["id"]
            while not self._is_over:
                try:
                    made = client.post(f"/projects/{project}/tasks/", json={"title": "One more", "priority": 3})
                    self.outcomes[str(made.status_code)] += 1
                    if made.status_code == 201:
                        self.created.append(made.json()["id"])
                    self.outcomes[str(client.get(f"/projects/{project}").status_code)] += 1
                except httpx2.HTTPError as error:
                    self.outcomes[repr(error)] += 1

    @contextmanager
    def running(self) -> Generator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over = True
            for thread in self._threads:
                thread.join()


def test_two_instances_are_replaced_under_load_without_a_failed_request(server_url: str, tmp_path: Path) -> None:
    port = free_port()
    with (
        running_service(server_url, environment=DELAY) as one,
        Service(one.database_url, tmp_path, DELAY | server.variables(server.way_to(one.database_url))) as two,
        ExitStack() as stack,
    ):
        two.start()
        stack.enter_context(running_balancer(port, one.port, two.port))
        load = Load(f"http://127.0.0.1:{port}", people=4)
        with load.running():
            for instance in (one, two) * TIMES:
                assert instance.stop() == 0
                instance.start()
                written = instance.log_file.stat().st_size
                # Until HAProxy sends it requests again.
                while "/tasks/" not in instance.log_file.read_bytes()[written:].decode():
                    time.sleep(0.1)
        assert set(load.outcomes) == {"200", "201"}, load.outcomes
        with one.client() as client:
            sign_in(client)
            projects = client.get("/projects/").json()["items"]
            assert sum(project["tasks_total"] for project in projects) == len(load.created)
