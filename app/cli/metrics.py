"""The metrics of all workers, as the process that has started them serves them (docs/decisions/0043-metrics.md)."""

import socket
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Lock, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

MAX_CONNECTIONS = 20
"""Connections to the port of the metrics at a time; further ones are closed. Each has a thread."""

SILENCE = 5.0
"""Seconds after which a connection is closed that says nothing."""

_DEAD = "dead"
"""Stands for the id of the process in the names of the files that hold the sums of all dead workers."""


class WorkersCollector(Collector):
    """The metrics of all workers, from the files in a directory."""

    def __init__(self, directory: Path, alive: Callable[[], Iterable[int]]) -> None:
        """`alive` returns the ids of the living workers."""
        self._directory, self._alive = directory, alive
        self._lock = Lock()

    def collect(self) -> Iterable[Metric]:
        """Return the metrics. Where a worker has died, what it counted stays, and its gauges go."""
        # Each request for the metrics has a thread of its own.
        with self._lock:
            alive = {str(pid) for pid in self._alive()}
            for pid in {path.stem.rpartition("_")[2] for path in self._directory.glob("*.db")} - alive - {_DEAD}:
                mark_process_dead(pid, str(self._directory))
                for path in self._directory.glob(f"*_{pid}.db"):
                    self._bury(path)
            collected: Iterable[Metric] = MultiProcessCollector(None, str(self._directory)).collect()
            return collected

    def _bury(self, path: Path) -> None:
        """Add the numbers of a dead worker to those of all dead ones: otherwise each would leave files to be read."""
        if not path.stat().st_size:
            # Killed while it made the file.
            path.unlink()
            return
        sums = MmapedDict(str(path.with_stem(f"{path.stem.rpartition('_')[0]}_{_DEAD}")))
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
            before, _ = sums.read_value(key)
            sums.write_value(key, before + value, 0.0)
        sums.close()
        path.unlink()


class _MetricsHandler(WSGIRequestHandler):
    timeout = SILENCE

    def handle(self) -> None:
        """Answer one request. Whoever says nothing in time, or goes, is not answered."""
        with suppress(OSError):
            super().handle()

    def get_environ(self) -> dict[str, Any]:
        """Return the request without its query: `name[]`, which the library offers, needs names that are known before
        there are workers.
        """
        return super().get_environ() | {"QUERY_STRING": ""}

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""


class _MetricsServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, collector: Collector) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        self._places = BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((host, port), _MetricsHandler)
        self.set_app(make_wsgi_app(collector))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, or close it if there are too many."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


@contextmanager
def serving(host: str, port: int, collector: Collector) -> Generator[None]:
    """Serve metrics meanwhile, from a thread of this process."""
    server = _MetricsServer(host, port, collector)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
