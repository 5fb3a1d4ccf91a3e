"""Metrics for Prometheus.

A feature adds one in one line, and counts by another:

    WRITTEN = Counter("taller_comments_written", "Comments that were written.")
    WRITTEN.inc()

All numbers of a worker lie in files that are mapped into its memory: the process that serves them to Prometheus reads
the files of all workers, also of those that have died, so that nothing is lost or counted twice
(docs/decisions/0043-metrics.md). Where no metrics are served, the numbers are counted and nobody reads them.
"""

import os
from array import array
from collections.abc import Iterable
from typing import Any, ClassVar

from prometheus_client import Counter, Gauge, Histogram, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

__all__ = ["Counter", "Gauge", "Histogram"]

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory of the files to the workers."""


class Number:
    """A number of a metric, which only its own process changes, in the thread of the event loop.

    The library's own number takes a lock, asks for the id of the process and packs bytes: ten times as long.
    """

    __slots__ = ("_at", "_cells", "_file", "_key")

    _multiprocess = True
    _unshared: ClassVar[list["Number"]] = []
    _files: ClassVar[dict[str, MmapedDict]] = {}
    _directory: ClassVar[str | None] = None
    """Where the files of this process are, if its numbers are served."""

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
        if self._directory is None:
            self._unshared.append(self)
        else:
            self.move_to(self._directory)

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

    @classmethod
    def share(cls) -> None:
        """Put the numbers of this process where they are served from, if they are served."""
        cls._directory = os.environ.get(DIRECTORY_VARIABLE) or None
        while cls._directory is not None and cls._unshared:
            cls._unshared.pop().move_to(cls._directory)

    def move_to(self, directory: str) -> None:
        """Continue in the file of this process for numbers of this kind."""
        if self._file not in self._files:
            self._files[self._file] = MmapedDict(f"{directory}/{self._file}_{os.getpid()}.db")
        file, value = self._files[self._file], self.get()
        before, _ = file.read_value(self._key)
        assert file._m is not None, "it is open"  # noqa: SLF001 - as below
        # The file grows by a new mapping. Numbers that lie in the former one stay valid: both map the same file.
        self._cells = memoryview(file._m).cast("d")  # noqa: SLF001 - its own `write_value` costs what is saved here
        self._at = file._positions[self._key] // 8  # noqa: SLF001
        self._cells[self._at] = before + value


# As the library's documentation does it for other servers.
values.ValueClass = Number


def number_of(metric: Counter | Gauge) -> Number:
    """Return the number of a metric without labels, or with all of them: adding to it takes a third of the time."""
    number: Number = metric._value  # noqa: SLF001 - it has no public name
    return number


def numbers_of(metric: Histogram) -> tuple[Number, list[Number]]:
    """Return the sum of a histogram, and the number of each bucket, which counts what is not in a lower one."""
    return metric._sum, metric._buckets  # noqa: SLF001 - they have no public name
