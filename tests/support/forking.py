"""Services that are forked from a process that has imported the application, which is two thirds of a start.

What they run is what `python -m app run` runs. Tests of starting, stopping, workers and earlier releases start that.
"""

import array
import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

from app.core.database.migrations import ROOT
from tests.support.slow import FORK


class Forker:
    """The process that forks. It ends with this one, whose end of their socket is closed then. Needs Linux."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._lock = threading.Lock()
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        atexit.register(self._close)

    def _close(self) -> None:
        self._socket.close()
        self._process.wait()

    def ask(self, request: dict[str, Any], *files: IO[bytes]) -> int:
        """Send a request, and return the number that is the answer."""
        with self._lock:
            descriptors = array.array("i", [file.fileno() for file in files])
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)] if files else []
            self._socket.sendmsg([json.dumps(request).encode()], passed)
            return int(self._socket.recv(64))


@cache
def forker() -> Forker:
    """Return that of this process."""
    return Forker()


class ForkedProcess:
    """A forked service, with what tests use of `subprocess.Popen`."""

    def __init__(self, directory: Path, environment: Mapping[str, str], log: IO[bytes]) -> None:
        sys.audit(FORK)
        self.pid = forker().ask({"directory": str(directory), "environment": dict(environment)}, log)
        self._descriptor = os.pidfd_open(self.pid)
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status when it has ended. Raises `TimeoutExpired`."""
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("run", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self._status is None and select.select([self._descriptor], [], [], timeout)[0]:
            self._status = forker().ask({"wait": self.pid})
            os.close(self._descriptor)
        return self._status


def _serve(connection: socket.socket) -> None:
    """Fork for each request, until the other end is closed. Returns in what was forked, too."""
    while True:
        message, files, _, _ = socket.recv_fds(connection, 1 << 20, 1)
        if not message:
            return
        request = json.loads(message)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        elif (answer := os.fork()) == 0:
            connection.close()
            for descriptor in (1, 2):
                os.dup2(files[0], descriptor)
            os.close(files[0])
            os.chdir(request["directory"])
            os.environ.clear()
            os.environ.update(request["environment"])
            main(["run"])
        else:
            os.close(files[0])
        connection.send(str(answer).encode())


if __name__ == "__main__":
    gc.disable()
    import app.cli.serving
    import app.main  # noqa: F401 - for those who are forked
    from app.cli.main import main

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(socket.socket(fileno=int(sys.argv[1])))
