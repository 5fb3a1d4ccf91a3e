"""The real service as a process of its own, on a free port and a database of its own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx2

from app.auth.accounts.service import SEED_PASSWORD, SEED_USERNAME, create_seed_admin
from app.auth.passwords import Passwords
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.migrations import ROOT
from tests.support import server
from tests.support.forking import ForkedProcess

START_TIMEOUT = 30
STOP_TIMEOUT = 30

CHEAP = {"TALLER_ARGON2_TIME_COST": "1", "TALLER_ARGON2_MEMORY_COST": "8"}
"""Passwords hashed as cheaply as the algorithm allows."""

_numbers = count()


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with these variables instead of the developer's own settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALLER_")}
    return {**inherited, "PYTHONPATH": str(ROOT), **variables}


class Service:
    """`python -m app run`, from `start` (which waits until it can serve) to `stop`.

    It may be started again after `stop` or `kill`, at the same address. What is not about processes lets it be forked.
    """

    def __init__(
        self,
        database_url: str,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        *,
        is_forked: bool = True,
    ) -> None:
        self.database_url = database_url
        # Elsewhere a process that is not a child cannot be waited for.
        self._is_forked = is_forked and sys.platform == "linux"
        self.log_file = directory / "service.log"
        self._directory = directory
        # Bound but not listening: the kernel gives the port to nobody else, and the service, which like this socket
        # sets SO_REUSEADDR, can still listen on it.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self.port: int = self._reservation.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = clean_environment(
            **{"TALLER_DATABASE_URL": database_url, "TALLER_PORT": str(self.port), **CHEAP, **(environment or {})}
        )
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self._log: IO[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start the process and wait until `/health/ready` answers 200, unless told not to."""
        self._log = self.log_file.open("ab")
        # In a directory without a `.env`.
        if self._is_forked:
            self._process = ForkedProcess(self._directory, self._environment, self._log)
        else:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "run"],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
            )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return when the service can serve; fail with its log if it stops or takes too long."""
        deadline = time.monotonic() + START_TIMEOUT
        with self.client() as client:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    break
                try:
                    if client.get("/health/ready").status_code == 200:
                        return
                except httpx2.TransportError:
                    pass
                time.sleep(0.05)
        raise AssertionError(f"the service did not become ready:\n{self.log_tail()}")

    @property
    def process(self) -> "subprocess.Popen[bytes] | ForkedProcess":
        """The running (or just ended) process."""
        assert self._process is not None, "the service was not started"
        return self._process

    def client(self, **options: Any) -> httpx2.Client:
        """Return an HTTP client of this service that ignores proxy settings."""
        # The address is of plain HTTP: no certificates are read, which takes 40 ms.
        return httpx2.Client(base_url=self.url, trust_env=False, verify=False, timeout=30, **options)

    def token(self, username: str = SEED_USERNAME, password: str = SEED_PASSWORD) -> str:
        """Return an access token of a user."""
        with self.client() as client:
            return token_of(client, username, password)

    def log_tail(self, lines: int = 40) -> str:
        """Return the last lines of the service's log."""
        if not self.log_file.exists():
            return ""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> int:
        """Ask it to stop by SIGTERM and wait; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._wait()

    def kill(self) -> None:
        """Stop it by SIGKILL, as a crash would."""
        self.process.kill()
        self._wait()

    def _wait(self) -> int:
        try:
            return self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the service did not stop within {STOP_TIMEOUT} s:\n{self.log_tail()}") from None
        finally:
            if self._log is not None:
                self._log.close()
                self._log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._process is not None:
                self.stop()
        finally:
            self._reservation.close()


def token_of(client: httpx2.Client, username: str = SEED_USERNAME, password: str = SEED_PASSWORD) -> str:
    """Return an access token of a user."""
    answer = client.post("/auth/login", json={"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def sign_in(client: httpx2.Client, username: str = SEED_USERNAME, password: str = SEED_PASSWORD) -> None:
    """Let the client call as this person from now on."""
    client.headers["Authorization"] = f"Bearer {token_of(client, username, password)}"


@contextmanager
def running_service(
    server_url: str, *, admin: bool = True, environment: Mapping[str, str] | None = None, is_forked: bool = True
) -> Generator[Service]:
    """Run the service on a migrated database of its own, with the seed's admin unless `admin` is false.

    For fixtures and tests that are not async: it runs an event loop of its own for a moment.
    """
    name = f"{server.PREFIX}service_{os.getpid()}_{next(_numbers)}"
    with (
        tempfile.TemporaryDirectory(prefix="taller-service-") as directory,
        server.database_copy(server_url, name) as url,
        Service(
            url,
            Path(directory),
            {**server.variables(server.way_to(url)), **(environment or {})},
            is_forked=is_forked,
        ) as service,
    ):
        if admin:
            asyncio.run(_create_admin(url))
        service.start()
        yield service


async def _create_admin(url: str) -> None:
    settings = Settings(_env_file=None, argon2_time_cost=1, argon2_memory_cost=8, **server.way_to(url))
    database = Database(settings)
    try:
        assert await create_seed_admin(database, Passwords(settings)), "there is an admin in the template"
    finally:
        await database.close()
