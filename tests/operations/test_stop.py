"""Stopping the service: running requests finish, then the database stops, and everything is there the next time."""

import json
import signal
import socket
import time
from pathlib import Path

import httpx2
import pytest

from tests.operations.support import STOP_TIMEOUT, Dev, run_process
from tests.operations.test_cli_accounts import PASSWORD, taller
from tests.support.process import running_service

pytestmark = pytest.mark.slow


def wait_until_refused(port: int) -> None:
    """Return when nobody listens any more."""
    deadline = time.monotonic() + STOP_TIMEOUT
    while time.monotonic() < deadline:
        with socket.socket() as connection:
            connection.settimeout(1)
            if connection.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"it still listens after {STOP_TIMEOUT} s")


class HalfSentRequest:
    """A request whose body ends only when the test says so: the service is in the middle of it meanwhile."""

    def __init__(self, port: int, authorization: str) -> None:
        self._body = json.dumps({"name": "Under way"}).encode()
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=STOP_TIMEOUT)
        self._connection.sendall(
            b"POST /projects/ HTTP/1.1\r\nHost: taller.test\r\nContent-Type: application/json\r\n"
            + f"Authorization: {authorization}\r\nContent-Length: {len(self._body)}\r\n".encode()
            + b"Expect: 100-continue\r\n\r\n"
        )
        # That is what the service says when it waits for the body.
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            received = self._connection.recv(1)
            assert received, said
            said += received
        assert said.startswith(b"HTTP/1.1 100 "), said
        self._connection.sendall(self._body[:5])

    def finish(self) -> tuple[int, dict[str, str]]:
        self._connection.sendall(self._body[5:])
        answer = b"".join(iter(lambda: self._connection.recv(65536), b""))
        self._connection.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        project: dict[str, str] = json.loads(body)
        return int(head.split()[1]), project


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_finishes_requests_then_the_database_and_loses_nothing(dev: Dev, number: signal.Signals) -> None:
    with dev.sign_in() as client:
        authorization = client.headers["authorization"]
        kept = client.post("/projects/", json={"name": "Kept"}).json()
        task = client.post(f"/projects/{kept['id']}/tasks/", json={"title": "Kept too", "priority": 3}).json()
    request = HalfSentRequest(dev.port, authorization)
    dev.interrupt(number)
    wait_until_refused(dev.port)
    assert dev.process.poll() is None, "it waits for the running request"
    assert dev.postmaster_file.exists()
    status, late = request.finish()
    assert (status, late["name"]) == (201, "Under way")
    assert dev.wait() == 0
    assert not dev.postmaster_file.exists()
    assert "Traceback" not in dev.log()

    dev.start()
    # 3 seconds are promised of an idle machine; that of the tests has other things to do.
    assert dev.processor_seconds < 3
    with dev.client(headers={"Authorization": authorization}) as client:
        now = client.get(f"/projects/{kept['id']}").json()
        assert now == kept | {"tasks_total": 1, "etag": now["etag"]}
        assert client.get(f"/projects/{late['id']}").json() == late
        assert client.get(f"/tasks/{task['id']}").json() == task


@pytest.mark.timeout(120)
def test_commands_work_while_the_development_service_runs_and_after(dev: Dev, tmp_path: Path) -> None:
    own = {"TALLER_DATA_DIR": str(dev.data_dir)}
    taller(own, "users", "create", "ada", typed=PASSWORD, cwd=tmp_path)
    with dev.client() as client:
        assert client.post("/auth/login", json={"username": "ada", "password": PASSWORD}).status_code == 200
    done = taller(own, "users", "list", cwd=tmp_path)
    assert "PostgreSQL" not in done.stderr
    assert {line.split()[1] for line in done.stdout.splitlines()[1:]} == {"admin", "ada"}
    dev.interrupt(signal.SIGTERM)
    dev.wait()
    # Nobody serves now: the command starts the database for itself.
    assert "ada" in taller(own, "users", "list", cwd=tmp_path).stdout
    assert not dev.postmaster_file.exists()


def test_data_of_a_running_service_are_refused_to_another(dev: Dev, tmp_path: Path) -> None:
    second = run_process(tmp_path, "dev", TALLER_DATA_DIR=str(dev.data_dir), TALLER_PORT="1")
    assert second.returncode == 1
    assert f"taller: {dev.data_dir} is in use by another running service" in second.stderr
    assert "Traceback" not in second.stderr
    with dev.sign_in() as client:
        assert client.get("/projects/").status_code == 200


def test_a_second_sigterm_ends_the_delay_but_no_request(server_url: str) -> None:
    with running_service(server_url, environment={"TALLER_DRAIN_DELAY": "300"}, is_forked=False) as service:
        request = HalfSentRequest(service.port, f"Bearer {service.token()}")
        service.process.send_signal(signal.SIGTERM)
        with service.client() as client:
            while client.get("/health/ready").status_code == 200:
                pass
        # In much less than 300 s.
        service.process.send_signal(signal.SIGTERM)
        wait_until_refused(service.port)
        assert request.finish()[0] == 201
        assert service.stop() == 0
        with pytest.raises(httpx2.TransportError), service.client() as client:
            client.get("/health/live")
