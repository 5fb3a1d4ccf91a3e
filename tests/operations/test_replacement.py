"""Replacing an instance: after SIGTERM it serves on until the load balancer has noticed, and no request fails."""

import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx2
import pytest
from alembic import command
from alembic.config import Config

from app.core.database.migrations import head_revision
from tests.migrations.history import copy_tree, migrations_of
from tests.support import server
from tests.support.process import Service, running_service, sign_in
from tests.support.proxies import free_port, running_balancer

TIMES = int(os.environ.get("TALLER_TEST_REPLACEMENTS", "1"))
"""How often an instance is replaced, the two in turn; `make drills` does it ten times."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 + 60 * TIMES)]

DELAY = {"TALLER_DRAIN_DELAY": "3"}

PAUSE = 0.02
"""Seconds between two rounds of a client: without it the clients use more of the processors than the service."""


def test_after_sigterm_it_serves_on_but_is_not_ready(server_url: str) -> None:
    with (
        running_service(server_url, environment=DELAY | {"TALLER_WORKERS": "2"}, is_forked=False) as service,
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


@pytest.fixture(scope="module")
def instances(server_url: str) -> Iterator[tuple[Service, Service]]:
    """Two instances on one database."""
    with (
        running_service(server_url, environment=DELAY) as one,
        tempfile.TemporaryDirectory(prefix="taller-service-") as directory,
        Service(one.database_url, Path(directory), DELAY | server.variables(server.way_to(one.database_url))) as two,
    ):
        two.start()
        yield one, two


class Load:
    """People who read and write all the time: on kept connections, or on a new one for each request."""

    def __init__(self, addresses: Sequence[str], people: int, headers: Mapping[str, str] | None = None) -> None:
        self.outcomes: Counter[str] = Counter()
        self.created: list[str] = []
        self.addresses = addresses
        """Where requests may go. It may be set to others meanwhile, as endpoints of a Kubernetes service are."""

        self._headers = headers
        self._is_over = False
        self._threads = [threading.Thread(target=self._run) for _ in range(people)]

    def _run(self) -> None:
        with httpx2.Client(
            base_url=self.addresses[0], trust_env=False, verify=False, timeout=30, headers=self._headers
        ) as client:
            sign_in(client)
            project = client.post("/projects/", json={"name": "Busy"}).json()["id"]
            while not self._is_over:
                try:
                    client.base_url = random.choice(self.addresses)
                    made = client.post(f"/projects/{project}/tasks/", json={"title": "One more", "priority": 3})
                    self.outcomes[str(made.status_code)] += 1
                    if made.status_code == 201:
                        self.created.append(made.json()["id"])
                    self.outcomes[str(client.get(f"/projects/{project}").status_code)] += 1
                except httpx2.HTTPError as error:
                    self.outcomes[repr(error)] += 1
                time.sleep(PAUSE)

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


def plant(directory: Path) -> Config:
    """Return the migrations of a next release, whose only one reads and writes every task."""
    number = f"{int(head_revision()) + 1:04}"
    planted = copy_tree(directory) / f"alembic/versions/2026_11_22_{number}_planted.py"
    planted.write_text(PLANTED.format(number=number, head=head_revision()))
    return migrations_of(directory, "")


PLANTED = '''
"""Planted."""

from alembic import op

revision = "{number}"
down_revision = "{head}"


def upgrade():
    op.execute("ALTER TABLE tasks ADD COLUMN planted text, ADD COLUMN planted_at timestamptz DEFAULT now()")
    with op.get_context().autocommit_block():
        op.create_index("planted_idx", "tasks", ["planted"], postgresql_concurrently=True)
        for digit in "0123456789abcdef":
            op.execute(f"UPDATE tasks SET planted = title WHERE id::text LIKE '%{{digit}}'")


def downgrade():
    op.execute("ALTER TABLE tasks DROP COLUMN planted, DROP COLUMN planted_at")
'''

FILL = (
    "INSERT INTO projects (id, name) VALUES (gen_random_uuid(), 'Large')",
    """
    INSERT INTO tasks (id, project_id, title)
    SELECT gen_random_uuid(), projects.id, 'Task ' || n FROM projects, generate_series(1, 20000) AS n
    """,
)


@contextmanager
def migrating(config: Config, url: str) -> Generator[None]:
    """Migrate meanwhile, and go back at the end."""
    config.attributes["url"] = url
    with ThreadPoolExecutor(1) as pool:
        migration = pool.submit(command.upgrade, config, "head")
        yield
        migration.result()
        command.downgrade(config, "-1")


def test_no_request_fails_while_instances_are_replaced_and_migrated(
    instances: tuple[Service, Service], tmp_path: Path
) -> None:
    one, two = instances
    port = free_port()
    with running_balancer(port, one.port, two.port):
        next_release = plant(tmp_path / "next")
        server.execute(one.database_url, *FILL)
        load = Load([f"http://127.0.0.1:{port}"], people=4)
        with load.running():
            for instance in islice(cycle((one, two)), TIMES):
                with migrating(next_release, one.database_url):
                    assert instance.stop() == 0
                    instance.start()
                written = instance.log_file.stat().st_size
                # Until HAProxy sends it requests again.
                while "/tasks/" not in instance.log_file.read_bytes()[written:].decode():
                    time.sleep(0.1)
        assert set(load.outcomes) == {"200", "201"}, load.outcomes
        assert count_made(one) == len(load.created)


def test_instance_is_stopped_before_its_endpoint_is_removed(instances: tuple[Service, Service]) -> None:
    one, two = instances
    made_before = count_made(one)
    # Kubernetes sends SIGTERM and removes the endpoint at the same time, so new connections go on coming.
    load = Load([one.url, two.url], people=4, headers={"Connection": "close"})
    with load.running():
        for instance, other in islice(cycle(((one, two), (two, one))), TIMES):
            instance.process.send_signal(signal.SIGTERM)
            written = instance.log_file.stat().st_size
            while instance.log_file.read_bytes()[written:].count(b"/tasks/") < 50:
                time.sleep(0.01)
            load.addresses = [other.url]
            # It ends by itself; another SIGTERM would end the delay, in which late connections are still served.
            while instance.process.poll() is None:
                time.sleep(0.1)
            assert instance.stop() == 0
            instance.start()
            load.addresses = [one.url, two.url]
    assert set(load.outcomes) == {"200", "201"}, load.outcomes
    assert count_made(one) - made_before == len(load.created)


def count_made(service: Service) -> int:
    """How many tasks the projects have that the load has made."""
    with service.client() as client:
        sign_in(client)
        projects: list[dict[str, Any]] = client.get("/projects/").json()["items"]
    return sum(project["tasks_total"] for project in projects if project["name"] == "Busy")
