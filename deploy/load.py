"""Clients that write tasks while a drill breaks something, and what became of their writes. Needs nothing but Python.

    load.py write <address> <file> [--username …] [--cafile …] [--writers …] [--patience …] < password
    load.py compare <file> <titles> [--until <time>]
    load.py gap <file> <from> <to>

`write` runs until SIGTERM. Each writer sends a task with an `Idempotency-Key` until it is acknowledged, then the next;
the file gets a line for each that is, with the time and the title. `compare` takes a file with the titles that are in
the database and prints variables for a shell; `gap` prints the longest time in which nothing was acknowledged.
"""

import argparse
import http.client
import json
import signal
import ssl
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

PAUSE = 0.1
"""Seconds of a writer between two requests. Eight at full speed would come to the limit of kept keys in two minutes."""


class Client:
    """A client that signs in again when it has to, and knows nothing of the service but its address."""

    def __init__(self, address: str, username: str, password: str, cafile: str | None) -> None:
        self._address = urlsplit(address)
        self._credentials = {"username": username, "password": password}
        self._context = ssl.create_default_context(cafile=cafile)
        self._connection: http.client.HTTPConnection | None = None
        self._token = ""

    def post(self, path: str, body: dict[str, str], key: str) -> tuple[int, Any]:
        """Return status and answer; the status is 0 where the connection was refused or lost."""
        status, answer = self._send(path, body, {"Idempotency-Key": key, "Authorization": f"Bearer {self._token}"})
        if status == http.HTTPStatus.UNAUTHORIZED:
            signed_in, tokens = self._send("/auth/login", self._credentials, {})
            self._token = tokens["access_token"] if signed_in == http.HTTPStatus.OK else ""
        return status, answer

    def _send(self, path: str, body: dict[str, str], headers: dict[str, str]) -> tuple[int, Any]:
        if self._connection is None:
            secure, host, port = self._address.scheme == "https", self._address.hostname or "", self._address.port
            self._connection = (
                http.client.HTTPSConnection(host, port, timeout=10, context=self._context)
                if secure
                else http.client.HTTPConnection(host, port, timeout=10)
            )
        try:
            headers = {"Content-Type": "application/json", **headers}
            self._connection.request("POST", f"/api/v1{path}", json.dumps(body), headers)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read() or "null")
        except (OSError, http.client.HTTPException, ValueError):
            # Also what a proxy answers by itself, which is no JSON.
            self._connection.close()
            self._connection = None
            return 0, None


class Load:
    """Writers that run until they are stopped."""

    def __init__(self, options: argparse.Namespace, password: str) -> None:
        self._clients = [
            Client(options.address, options.username, password, options.cafile) for _ in range(options.writers)
        ]
        self._patience: float = options.patience
        self._file = Path(options.file)
        self._stopped_at = float("inf")
        self._refusals: Counter[int] = Counter()

    def run(self) -> None:
        """Write until SIGTERM, then wait as long as is allowed for what is under way."""
        project = self._until_acknowledged(
            self._clients[0], "/projects/", {"name": "Drill"}, f"{self._file.name}-project"
        )
        threads = [
            threading.Thread(target=self._write, args=(client, number, project["id"]))
            for number, client in enumerate(self._clients)
        ]
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_stopped_at", time.time()))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("tried again after:", dict(self._refusals), file=sys.stderr)

    def _write(self, client: Client, writer: int, project: str) -> None:
        with self._file.open("a", buffering=1, encoding="utf-8") as acknowledged:
            self._write_to(acknowledged, client, writer, project)

    def _write_to(self, acknowledged: TextIO, client: Client, writer: int, project: str) -> None:
        number = 0
        while time.time() < self._stopped_at:
            number += 1
            title = f"{self._file.name} {writer}.{number}"
            key = title.replace(" ", "-")
            if self._until_acknowledged(client, f"/projects/{project}/tasks/", {"title": title}, key) is not None:
                acknowledged.write(f"{time.time():.6f} {title}\n")
                time.sleep(PAUSE)

    def _until_acknowledged(self, client: Client, path: str, body: dict[str, str], key: str) -> Any:
        """Return the answer of a write, or None where it took too long after the end."""
        while True:
            status, answer = client.post(path, body, key)
            if status == http.HTTPStatus.CREATED:
                return answer
            self._refusals[status] += 1
            if status in range(400, 500) and status not in {401, 429} and answer["code"] != "idempotency_key_in_use":
                raise RuntimeError(f"{path}: {status} {answer}")
            if time.time() > self._stopped_at + self._patience:
                return None
            time.sleep(PAUSE)


def read(file: str) -> list[tuple[float, str]]:
    """Return when each write was acknowledged, and its title."""
    lines = (line.partition(" ") for line in Path(file).read_text(encoding="utf-8").splitlines())
    return sorted((float(at), title) for at, _, title in lines)


def compare(acknowledged: list[tuple[float, str]], there: Counter[str], until: float) -> dict[str, float]:
    """Return counts of what was acknowledged until then, and of what of it is not there or there twice; and the RPO."""
    before = [title for at, title in acknowledged if at <= until]
    later = [title for at, title in acknowledged if at > until]
    kept = [at for at, title in acknowledged if title in there]
    return {
        "acknowledged": len(before),
        "lost": sum(title not in there for title in before),
        "doubled": sum(count - 1 for count in there.values()),
        "unacknowledged": len(there.keys() - {title for _, title in acknowledged}),
        "later": len(later),
        "later_there": sum(title in there for title in later),
        "rpo": round(acknowledged[-1][0] - kept[-1], 1) if kept else -1,
    }


def gap(times: list[float], start: float, end: float) -> float:
    """Return the longest time between two acknowledged writes of which one at least is in this time."""
    gaps = (after - before for before, after in pairwise(times) if after > start and before < end)
    return max(gaps, default=end - start)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("write")
    command.add_argument("address")
    command.add_argument("file")
    command.add_argument("--username", default="admin")
    command.add_argument("--cafile")
    command.add_argument("--writers", type=int, default=8)
    command.add_argument("--patience", type=float, default=60, help="seconds to finish in")
    command = commands.add_parser("compare")
    command.add_argument("file")
    command.add_argument("titles")
    command.add_argument("--until", type=float, default=float("inf"))
    command = commands.add_parser("gap")
    command.add_argument("file")
    command.add_argument("start", type=float)
    command.add_argument("end", type=float)
    options = parser.parse_args()
    if options.command == "write":
        Load(options, sys.stdin.readline().rstrip("\n")).run()
    elif options.command == "compare":
        there = Counter(Path(options.titles).read_text(encoding="utf-8").splitlines())
        for name, value in compare(read(options.file), there, options.until).items():
            print(f"{name}={value}")
    else:
        print(f"{gap([at for at, _ in read(options.file)], options.start, options.end):.1f}")


if __name__ == "__main__":
    main()
