"""Hostile requests: a short run of the benchmark, and what it calls too dear."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.database.migrations import ROOT
from benchmarks.hostile import Cost, Hostile
from benchmarks.server import VARIABLE
from tests.support.server import with_database

OPERATIONS = ("refresh_tokens", "read_project")


# 6 seconds, but many times that where other tests want the processors too.
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_quick_run_tries_every_kind_on_an_operation(server_url: str, worker_id: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks", "--hostile", "--quick", "--operations", ",".join(OPERATIONS),
            "--directory", str(tmp_path / "work"), "--output", str(tmp_path / "results"),
        ],
        cwd=ROOT,
        env={**os.environ, VARIABLE: with_database(server_url, f"taller_bench_{worker_id}_{os.getpid()}_hostile")},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (stored,) = (tmp_path / "results").glob("*.json")
    found = json.loads(stored.read_text())
    assert found["read_microseconds"] > 0
    costs = found["costs"]
    assert [cost for cost in costs if cost["status"] >= 500] == []
    answered = {(cost["operation"], cost["caller"], cost["kind"]): cost["status"] for cost in costs}
    ordinary = {(name, caller): answered[name, caller, "as it is documented"] for name, caller, _ in answered}
    assert ordinary == {
        **dict.fromkeys([("refresh_tokens", "nobody"), ("refresh_tokens", "somebody")], 401),
        ("read_project", "nobody"): 401,
        ("read_project", "somebody"): 200,
    }
    assert answered["read_project", "somebody", "If-None-Match: its tag"] == 304
    assert answered["read_project", "nobody", "an API key that is none"] == 401
    assert answered["refresh_tokens", "nobody", "1 MB of unknown members"] == 413
    assert answered["refresh_tokens", "nobody", "refresh_token: 4 KB of combining characters"] == 400
    for name in OPERATIONS:
        assert f"| `{name}` | " in done.stdout


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
