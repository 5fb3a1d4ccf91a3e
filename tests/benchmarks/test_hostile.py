"""Hostile requests: what the benchmark calls too dear. `make drills` runs it."""

from pathlib import Path

import pytest

from benchmarks.hostile import Cost, Hostile, publish
from benchmarks.server import BenchmarkError


def test_what_the_largest_ordinary_request_costs_explains_what_others_cost() -> None:
    def cost(kind: str, reads: float, *, caller: str = "somebody", is_plain: bool = False) -> Cost:
        return Cost("batch_tasks", kind, caller, 200, reads * 300, reads * 200, is_plain)

    found = Hostile(
        {},
        500.0,
        [
            cost("ordinary", 40, is_plain=True),
            cost("dear", 79),
            cost("too dear", 81),
            cost("dear enough", 9, caller="nobody"),
            cost("too dear for nobody", 11, caller="nobody"),
        ],
    )
    assert [excess.kind for excess in found.excesses()] == ["too dear", "too dear for nobody"]


def test_an_internal_error_fails_the_run(tmp_path: Path) -> None:
    machine = dict.fromkeys(
        ["date", "revision", "processor", "cores", "memory_gib", "kernel", "python", "node", "wrk"], "x"
    )
    costs = [Cost("read_task", "a key that is none", "nobody", status, 1, 1, False) for status in (401, 500)]
    with pytest.raises(BenchmarkError, match="5xx: read_task"):
        publish(Hostile(machine, 500.0, costs), tmp_path)
