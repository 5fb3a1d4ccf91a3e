"""A crash loses nothing that was acknowledged, and the next start recovers by itself."""

import signal
import subprocess
import sys
import threading
import time

import httpx2
import pytest

from tests.operations.support import Dev, children_of, runs
from tests.support.process import clean_environment

pytestmark = pytest.mark.slow

WRITERS = 4


class Writers:
    """Clients that add tasks as fast as they can until the service is gone, and remember what was acknowledged."""

    def __init__(self, dev: Dev) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self._client = dev.sign_in()
        self.project: str = self._client.post("/projects/", json={"name": "Crash"}).json()["id"]
        self._threads = [threading.Thread(target=self._write) for _ in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def _write(self) -> None:
        for number in range(100_000):
            try:
                answer = self._client.post(f"/projects/{self.project}/tasks/", json={"title": f"Task {number}"})
            except httpx2.TransportError:
                return
            if answer.status_code == 201:
                self.acknowledged.append(answer.json()["id"])
            else:
                self.refused.append(answer.text)

    def wait_for(self, number: int) -> None:
        """Return when so many tasks are acknowledged."""
        deadline = time.monotonic() + 30
        while len(self.acknowledged) < number:
            assert time.monotonic() < deadline, self.refused
            time.sleep(0.01)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
        self._client.close()


def stored_tasks(dev: Dev, project: str) -> set[str]:
    found: set[str] = set()
    with dev.sign_in() as client:
        page, pages = 1, 1
        while page <= pages:
            answer = client.get(f"/projects/{project}/tasks/?page={page}&size=100").json()
            found |= {item["id"] for item in answer["items"]}
            page, pages = page + 1, answer["pages"]
    return found


def test_killing_service_and_database_loses_no_acknowledged_write(dev: Dev) -> None:
    writers = Writers(dev)
    writers.wait_for(20)
    dev.kill_everything()
    writers.join()
    assert dev.postmaster_file.exists(), "PostgreSQL was stopped properly: that was no crash"
    dev.start()
    kept = stored_tasks(dev, writers.project)
    assert set(writers.acknowledged) <= kept
    # A write under way may be kept although nobody was told; more than that nobody sent.
    assert len(kept) <= len(writers.acknowledged) + WRITERS
    # The database may have been gone a moment before the service.
    assert all('"code":"unavailable"' in answer for answer in writers.refused)


def test_service_killed_alone_takes_its_database_along_and_restarts(dev: Dev) -> None:
    writers = Writers(dev)
    writers.wait_for(10)
    database = list(children_of(dev.process.pid))
    dev.process.kill()
    dev.wait()
    # Without a pause: the old PostgreSQL may still be stopping.
    dev.start()
    writers.join()
    assert set(writers.acknowledged) <= stored_tasks(dev, writers.project)
    assert not [pid for pid in database if runs(pid)]


# Where the kernel cannot tell PostgreSQL of its parent's death (it can on Linux only), it goes on without one.
ORPHAN = """
import os, signal, sys
from pathlib import Path
from devtools.postgres import EmbeddedPostgres
sys.platform = "darwin"
postgres = EmbeddedPostgres(Path(sys.argv[1]))
postgres.start()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_database_left_running_is_stopped_and_started_again(dev: Dev) -> None:
    with dev.sign_in() as client:
        project = client.post("/projects/", json={"name": "Kept"}).json()
    dev.interrupt(signal.SIGTERM)
    dev.wait()
    left = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", ORPHAN, str(dev.data_dir)], env=clean_environment(), timeout=60, check=False
    )
    assert left.returncode == -signal.SIGKILL
    orphan = int(dev.postmaster_file.read_text().splitlines()[0])
    time.sleep(0.3)
    assert runs(orphan)
    dev.start()
    assert int(dev.postmaster_file.read_text().splitlines()[0]) != orphan
    assert not runs(orphan)
    with dev.sign_in() as client:
        assert client.get(f"/projects/{project['id']}").json() == project
