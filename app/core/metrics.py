"""Metrics for Prometheus.

A feature adds one in one line, and counts by another:

    WRITTEN = Counter("taller_comments_written", "Comments that were written.")
    WRITTEN.inc()

All numbers of a worker lie in files that are mapped into its memory: the process that serves them to Prometheus reads
the files of all workers, also of those that have died, so that nothing is lost or counted twice
(docs/decisions/0043-metrics.md). Where no metrics are served, the numbers are counted and nobody reads them.
"""

import os
import platform
import resource
import sys
import time
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from app.core import clock

__all__ = ["Counter", "Gauge", "Histogram"]

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory of the files to the workers."""


class Number:
    """A number of a metric, which only its own process changes, in the thread of the event loop.

    The library's own number takes a lock, asks for the id of the process and packs bytes: ten times as long.
    """

    __slots__ = ("_at", "_cells", "_file", "_key")

    _multiprocess = True

    def __init__(
        self,
        kind: str,
        metric_name: str,
        name: str,
        label_names: Iterable[str],
        label_values: Iterable[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_options: Any,
    ) -> None:
        self._cells: Any = array("d", [0.0])
        self._at = 0
        self._file = f"{kind}_{multiprocess_mode}" if multiprocess_mode else kind
        self._key = mmap_key(metric_name, name, list(label_names), list(label_values), help_text)
        _shared.add(self)

    def inc(self, amount: float = 1.0) -> None:
        """Add to the number."""
        self._cells[self._at] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:  # noqa: ARG002 - the library passes it
        """Set the number."""
        self._cells[self._at] = value

    def get(self) -> float:
        """Return the number."""
        value: float = self._cells[self._at]
        return value

    def get_exemplar(self) -> None:
        """Return no exemplar: files hold none."""

    def move(self, files: dict[str, MmapedDict], path: Callable[[str], Path]) -> None:
        """Continue in the file of this process for numbers of this kind."""
        if self._file not in files:
            files[self._file] = MmapedDict(str(path(self._file)))
        file, value = files[self._file], self.get()
        before, _ = file.read_value(self._key)
        assert file._m is not None, "it is open"  # noqa: SLF001 - as below
        # The file grows by a new mapping. Numbers that lie in the former one stay valid: both map the same file.
        self._cells = memoryview(file._m).cast("d")  # noqa: SLF001 - its own `write_value` costs what is saved here
        self._at = file._positions[self._key] // 8  # noqa: SLF001
        self._cells[self._at] = before + value


class _Shared:
    """All numbers of this process, and the files in which they lie."""

    def __init__(self) -> None:
        self._numbers: list[Number] = []
        self._files: dict[str, MmapedDict] = {}
        self._directory: Path | None = None

    def add(self, number: Number) -> None:
        if self._directory is None:
            self._numbers.append(number)
        else:
            number.move(self._files, self._path)

    def move_to(self, directory: Path) -> None:
        self._directory = directory
        while self._numbers:
            self._numbers.pop().move(self._files, self._path)

    def _path(self, file: str) -> Path:
        assert self._directory is not None
        return self._directory / f"{file}_{os.getpid()}.db"


_shared = _Shared()
# As the library's documentation does it for other servers.
values.ValueClass = Number


def number_of(metric: Counter | Gauge) -> Number:
    """Return the number of a metric without labels, or with all of them. To add to it directly takes a third of the
    time.
    """
    number: Number = metric._value  # noqa: SLF001 - it has no public name
    return number


def numbers_of(metric: Histogram) -> tuple[Number, list[Number]]:
    """Return the sum of a histogram, and the number of each bucket, which counts what is not in a lower one."""
    return metric._sum, metric._buckets  # noqa: SLF001 - they have no public name


def share() -> None:
    """Put the numbers of this process where they are served from, if they are served."""
    if directory := os.environ.get(DIRECTORY_VARIABLE):
        _shared.move_to(Path(directory))


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
