"""`python -m app dev` as a newcomer starts it: a process of its own with a database of its own."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType
from typing import Any, Self

import httpx2
import pytest

from app.cli.main import main
from app.core.config import get_settings
from tests.support.process import clean_environment, token_of

START_TIMEOUT = 60
STOP_TIMEOUT = 30


def run_process(directory: Path, *arguments: str, typed: str = "", **variables: str) -> CompletedProcess[str]:
    """Run `python -m app …` to its end, in a directory without a `.env`."""
    return subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "app", *arguments],
        cwd=directory,
        env=clean_environment(**variables),
        input=typed,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT,
        check=False,
    )


def run_command(directory: Path, *arguments: str, typed: str = "", **variables: str) -> CompletedProcess[str]:
    """Run the same in this process: to start another one takes a second of the processor. For tests that are not async.

    Not for what serves, or prepares to.
    """
    environment = clean_environment(**variables)
    said, complaint, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complaint):
        patch.chdir(directory)
        for name in os.environ.keys() - environment.keys():
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdin", io.StringIO(typed))
        get_settings.cache_clear()
        try:
            main(arguments)
        except SystemExit as stopped:
            # As Python does it.
            status = stopped.code if isinstance(stopped.code, int) else 1
            if isinstance(stopped.code, str):
                complaint.write(f"{stopped.code}\n")
        finally:
            get_settings.cache_clear()
    return CompletedProcess(arguments, status, said.getvalue(), complaint.getvalue())


def children_of(pid: int) -> Iterator[int]:
    """The processes below this one, all the way down."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            child = int(entry.parent.name)
            yield child
            yield from children_of(child)


def runs(pid: int) -> bool:
    """Whether this process runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Dev:
    """The service with its embedded database. It may be started again, at the same address and on the same data."""

    def __init__(self, directory: Path) -> None:
        self.data_dir = directory / "data"
        self.log_file = directory / "dev.log"
        self._directory = directory
        # Bound but not listening, so that no other process gets the port between two starts.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self.port: int = self._reservation.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The running (or just ended) process."""
        assert self._process is not None
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended since."""
        return self._process is not None and self._process.poll() is None

    @property
    def processor_seconds(self) -> float:
        """What the running process and the children that it has waited for have used of the processor."""
        times = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    @property
    def postmaster_file(self) -> Path:
        """PostgreSQL's own note that it runs; not there when it was stopped properly."""
        return self.data_dir / "postgres" / "postmaster.pid"

    def log(self) -> str:
        """What it wrote, since its first start."""
        return self.log_file.read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until it is ready."""
        deadline = time.monotonic() + START_TIMEOUT
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "dev"],
                cwd=self._directory,
                env=clean_environment(TALLER_DATA_DIR=str(self.data_dir), TALLER_PORT=str(self.port)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        with self.client() as client:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    if client.get("/health/ready").status_code == 200:
                        return
                except httpx2.TransportError:
                    pass
                time.sleep(0.02)
        raise AssertionError(f"it did not become ready:\n{self.log()[-4000:]}")

    def interrupt(self, number: signal.Signals) -> None:
        """What a terminal does at Ctrl-C: the signal goes to the whole process group."""
        os.killpg(self.process.pid, number)

    def wait(self) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(STOP_TIMEOUT)

    def kill_everything(self) -> None:
        """SIGKILL to the service, to PostgreSQL and to every process of it, as a power failure would have it."""
        everything = [*children_of(self.process.pid), self.process.pid]
        assert len(everything) > 3, "PostgreSQL has several processes"
        for pid in everything:
            # A child of PostgreSQL ends by itself when it sees its parent gone.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait()

    def client(self, **options: Any) -> httpx2.Client:
        """A client that no proxy setting can lead elsewhere, and that reads no certificates for plain HTTP."""
        address = f"http://127.0.0.1:{self.port}"
        return httpx2.Client(base_url=address, trust_env=False, verify=False, timeout=20, **options)

    def sign_in(self) -> httpx2.Client:
        """The seed's admin."""
        with self.client() as client:
            token = token_of(client)
        return self.client(headers={"Authorization": f"Bearer {token}"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
                self.wait()
        finally:
            self._reservation.close()
