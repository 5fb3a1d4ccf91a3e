"""The metrics of all workers, as the process that has started them serves them (docs/decisions/0043-metrics.md)."""

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

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
