"""The metrics of a server process."""

import platform
import resource
import sys
import time
from pathlib import Path

from app.core import clock
from app.core.metrics import Counter, Gauge

_WORKERS = Gauge("taller_workers", "Living workers.", multiprocess_mode="livesum")
_STARTS = Counter("taller_worker_starts", "Workers that were started, those included that replaced others.")
_MEMORY = Gauge("taller_process_resident_memory_bytes", "Memory of each worker.", multiprocess_mode="liveall")
_FILES = Gauge("taller_process_open_fds", "Open files and sockets of each worker.", multiprocess_mode="liveall")
_STARTED = Gauge(
    "taller_process_start_time_seconds", "When each worker started, in Unix time.", multiprocess_mode="liveall"
)
_CPU = Counter("taller_process_cpu_seconds", "Processor time of all workers.")

_BUILD = Gauge(
    "taller_build_info",
    "1; the release that runs is what it is marked with.",
    ["version", "python"],
    multiprocess_mode="livemax",
)


class ProcessReport:
    """What a worker says of itself."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._cpu = 0.0
        """The processor time that was reported."""

    def report_start(self) -> None:
        """Say what does not change."""
        _WORKERS.set(1)
        _STARTS.inc()
        _STARTED.set(clock.seconds())
        _BUILD.labels(self._version, platform.python_version()).set(1)

    def report(self) -> None:
        """Say what changes."""
        cpu = time.process_time()
        _CPU.inc(cpu - self._cpu)
        self._cpu = cpu
        if sys.platform == "linux":
            _MEMORY.set(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
            _FILES.set(len(list(Path("/proc/self/fd").iterdir())))
