"""What processes spent, read from /proc: children that have ended count, through those that waited for them."""

import contextlib
import ctypes
import os
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds; the resolution of processor times."""

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def end_with_harness() -> None:
    """For `preexec_fn`: let the process that is started be asked to stop when the thread that starts it is no more.

    So nothing goes on after the harness, even if that is killed. The harness starts what is to stay in its main thread.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class _Stat:
    pid: int
    parent: int
    name: str
    seconds: float


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold spaces and parentheses; what follows its last one does not.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    # proc(5) counts from 1 and these from the third field: utime, stime, cutime and cstime are 14 to 17.
    ticks = sum(int(value) for value in fields[11:15])
    return _Stat(pid, int(fields[1]), head.partition("(")[2], ticks * TICK)


def tree(root: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))) is not None:
            children.setdefault(stat.parent, []).append(stat.pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def processor_seconds(root: int) -> float:
    """User and system time of a process, its descendants, and those of them that have ended."""
    return sum(stat.seconds for pid in tree(root) if (stat := _stat(pid)) is not None)


def nanoseconds(pid: int) -> int:
    """User and system time of one process, its descendants aside, by the scheduler's own clock; what threads spent that
    have ended is missing.
    """
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in (PROC / str(pid) / "task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total


def peak_memory(root: int) -> int:
    """Return the largest resident sizes that a process and its descendants ever had, added up, in bytes."""
    return _memory(root, "VmHWM:")


def resident_memory(root: int) -> int:
    """Return the resident sizes of a process and its descendants now, added up, in bytes."""
    return _memory(root, "VmRSS:")


def _memory(root: int, figure: str) -> int:
    total = 0
    for pid in tree(root):
        try:
            status = (PROC / str(pid) / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in status.splitlines():
            if line.startswith(figure):
                total += int(line.split()[1]) * 1024
    return total


def postmaster_of(backend: int) -> int | None:
    """Return the server process behind one of its backends, or None if that runs on another machine."""
    stat = _stat(backend)
    if stat is None or "postgres" not in stat.name:
        return None
    parent = _stat(stat.parent)
    # In a container of its own, process ids mean something else.
    return parent.pid if parent is not None and "postgres" in parent.name else None
