"""The benchmark works: a short run of it, and what it promises about databases, answers and counts."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from app.core.database.migrations import ROOT
from benchmarks import processes
from benchmarks.check import Answers, compare
from benchmarks.contender import BY_NAME, ENVIRONMENTS, earlier
from benchmarks.data import QUICK
from benchmarks.operations import operations
from benchmarks.proxy import CountingProxy
from benchmarks.server import VARIABLE, BenchmarkError, address_of
from tests.support.server import with_database

OPERATIONS = {operation.name: operation for operation in operations(QUICK)}


# 10 seconds, but many times that where other tests want the processors too.
@pytest.mark.timeout(180)
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (Debian: apt-get install wrk)")
def test_a_quick_run_measures_and_stores_what_it_found(server_url: str, worker_id: str, tmp_path: Path) -> None:
    # The ceiling too, where `make bench` has installed it: tests install nothing.
    names = ["taller", *(["ceiling"] if (ENVIRONMENTS / "ceiling" / ".installed").exists() else [])]
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks", "--quick", "--operations", "list,create,create-keyed", "--contenders",
            ",".join(names), "--directory", str(tmp_path / "work"), "--output", str(tmp_path / "results"),
        ],
        cwd=ROOT,
        env={**os.environ, VARIABLE: with_database(server_url, f"taller_bench_{worker_id}_{os.getpid()}")},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (stored,) = (tmp_path / "results").glob("*.json")
    found = json.loads(stored.read_text())["operations"]
    for name in names:
        for operation in ("list", "create"):
            measured = found[operation]["contenders"][name]
            assert measured["statements"] == 1, (name, operation, measured)
            (round_,) = measured["rounds"]
            assert round_["requests"] > 0, (name, operation, done.stderr)
            assert round_["errors"] == 0, (name, operation, done.stderr)
    assert "### List 50 of 200 tasks" in done.stdout
    assert re.search(r"^\| create a task with an `Idempotency-Key` .* × `create` \|$", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_a_commit_that_is_not_there_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="no commit"):
        earlier("no-such-commit")


@pytest.mark.parametrize("url", ["postgresql://me@host/taller", "postgresql://me@host/", "postgresql:///taller_bench"])
def test_a_database_that_is_not_ours_to_drop_is_refused(url: str) -> None:
    with pytest.raises(BenchmarkError, match=VARIABLE):
        address_of(url)


@pytest.mark.parametrize("other", [{"id": "1", "name": "b"}, {"id": "1"}, {"id": "1", "name": "a", "role": "owner"}])
def test_an_answer_that_differs_ends_the_run(other: dict[str, str]) -> None:
    expected: Answers = {}
    compare(BY_NAME["ceiling"], OPERATIONS["read"], (200, {"id": "1", "name": "a"}), expected)
    with pytest.raises(BenchmarkError, match="does not answer as the others do"):
        compare(BY_NAME["textbook"], OPERATIONS["read"], (200, other), expected)


def test_taller_may_answer_more_than_the_others_but_not_less() -> None:
    expected: Answers = {}
    compare(BY_NAME["ceiling"], OPERATIONS["list"], (200, {"items": [{"id": "1"}], "total": 1}), expected)
    more = {"items": [{"id": "1", "new": True}], "total": 1, "next_cursor": None}
    compare(BY_NAME["taller"], OPERATIONS["list"], (200, more), expected)
    with pytest.raises(BenchmarkError, match="does not answer as the others do"):
        compare(BY_NAME["taller"], OPERATIONS["list"], (200, {"items": [{"new": True}], "total": 1}), expected)


async def test_the_proxy_counts_what_is_executed_and_waited_for(server_url: str, tmp_path: Path) -> None:
    server = address_of(with_database(server_url, "taller_bench"))
    # Of the server only the address is used: there is no such database.
    async with CountingProxy(tmp_path, server.host, server.port) as proxy:
        connection = await asyncpg.connect(host=str(tmp_path), user=server.user, database="postgres")
        try:
            asked, waited = proxy.statements, proxy.round_trips
            await connection.execute("SELECT 1")
            assert (proxy.statements - asked, proxy.round_trips - waited) == (1, 1)
            asked, waited = proxy.statements, proxy.round_trips
            statement = await connection.prepare("SELECT $1::int")
            assert (proxy.statements - asked, proxy.round_trips - waited) == (0, 1)
            asked, waited = proxy.statements, proxy.round_trips
            assert await statement.fetchval(7) == 7
            assert (proxy.statements - asked, proxy.round_trips - waited) == (1, 1)
        finally:
            await connection.close()


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    # Ended, and perhaps nobody asks any more how.
    return state not in "ZX"


async def _dropped(server_url: str, name: str) -> bool:
    """Whether the database was there."""
    server = address_of(with_database(server_url, name))
    connection = await asyncpg.connect(host=server.host, port=server.port, user=server.user, database="postgres")
    try:
        was_there = await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name)
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()
    return bool(was_there)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (Debian: apt-get install wrk)")
# Asked to stop, it waits for the end of the measurement.
@pytest.mark.parametrize(("killed_by", "seconds"), [(signal.SIGTERM, "3"), (signal.SIGKILL, "30")])
def test_nothing_goes_on_after_a_harness_that_is_killed(
    server_url: str, worker_id: str, tmp_path: Path, killed_by: signal.Signals, seconds: str
) -> None:
    name = f"taller_bench_{worker_id}_{os.getpid()}_killed"
    harness = subprocess.Popen(
        [
            sys.executable, "-m", "benchmarks", "--quick", "--operations", "list", "--contenders", "taller",
            "--seconds", seconds, "--directory", str(tmp_path / "work"), "--output", str(tmp_path / "results"),
        ],
        cwd=ROOT,
        env={**os.environ, VARIABLE: with_database(server_url, name)},
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert harness.stderr is not None
    try:
        for line in harness.stderr:
            if line.startswith("round 1"):
                break
        deadline = time.monotonic() + 20
        while len(started := set(processes.tree(harness.pid)) - {harness.pid}) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(started) == 2, "the service and wrk"
    finally:
        harness.send_signal(killed_by)
        harness.wait(40)
        harness.stderr.close()
    deadline = time.monotonic() + 15
    while (left := [pid for pid in started if _is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    # Who is killed outright cannot clean up; the next run does.
    assert asyncio.run(_dropped(server_url, name)) == (killed_by is signal.SIGKILL)
