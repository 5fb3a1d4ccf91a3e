"""Driving a server with wrk, and what it and the database spent meanwhile."""

import asyncio
import json
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks import processes
from benchmarks.contender import Running
from benchmarks.data import Scale, project_id
from benchmarks.operations import BATCH, Operation
from benchmarks.server import BenchmarkError

BESIDE = 100
"""Milliseconds between the requests that are sent beside others, on average."""

SCRIPT = Path(__file__).resolve().parent / "lua" / "load.lua"
SETTLE_TIMEOUT = 60
SETTLE_STEP = 0.03


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one operation cost one contender in one round."""

    requests: int
    per_second: float
    p50: float
    """Milliseconds."""

    p99: float
    application: float
    """Processor time per request in microseconds."""

    database: float | None
    """The same, or None where the database runs elsewhere."""

    errors: int
    """Answers that were none, or refusals where none was wanted; the figures mean nothing if there is one."""

    @property
    def cost(self) -> float:
        """Processor time per request, application and database together, in microseconds."""
        return self.application + (self.database or 0.0)

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


def wrk_program() -> str:
    """Where wrk is."""
    found = shutil.which("wrk")
    if found is None:
        raise BenchmarkError("wrk is missing (Debian: apt-get install wrk)")
    return found


async def measure(
    running: Running,
    operation: Operation,
    scale: Scale,
    connection: "asyncpg.Connection[asyncpg.Record]",
    postmaster: int | None,
    *,
    seconds: float,
    start: int,
    query: str,
    pause: int = 0,
) -> Measurement:
    """Send requests for that long; `start` is where the counter of ids stands, `pause` the milliseconds between an
    answer and the next request of a connection.
    """
    application = processes.processor_seconds(running.pid)
    database = 0.0 if postmaster is None else processes.processor_seconds(postmaster)
    beside = None
    if pause and operation.is_accompanied:
        company = replace(operation, script="beside", connections=1)
        beside = asyncio.create_task(asyncio.to_thread(_wrk, running, company, scale, seconds, start, query, BESIDE))
    result = await asyncio.to_thread(_wrk, running, operation, scale, seconds, start, query, pause)
    if beside is not None and (failed := _wrong(operation, await beside)):
        raise BenchmarkError(f"{failed} requests beside {operation.name} failed:\n{running.log_tail()}")
    # wrk leaves at the end without waiting; what it had asked for is still answered, paid for and so counted: one
    # request on each connection.
    await settle(running, connection)
    done = result["requests"] + operation.connections
    spent = processes.processor_seconds(running.pid) - application
    spent_there = None if postmaster is None else processes.processor_seconds(postmaster) - database
    return Measurement(
        requests=result["requests"],
        per_second=result["requests"] / (result["microseconds"] / 1e6),
        p50=result["p50"] / 1000,
        p99=result["p99"] / 1000,
        application=spent / done * 1e6,
        database=None if spent_there is None else spent_there / done * 1e6,
        errors=_wrong(operation, result) + (result["requests"] == 0),
    )


def _wrong(operation: Operation, result: dict[str, int]) -> int:
    """Return how many requests were not answered as they should be."""
    refused = result["status"]
    return result["failed"] + result["timeout"] + (result["requests"] - refused if operation.status else refused)


async def settle(running: Running, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Wait until neither the application nor the database has anything to do any more."""
    quiet, before = 0, processes.processor_seconds(running.pid)
    for _ in range(int(SETTLE_TIMEOUT / SETTLE_STEP)):
        await asyncio.sleep(SETTLE_STEP)
        busy = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND backend_type = 'client backend' "
            "AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        now = processes.processor_seconds(running.pid)
        quiet = 0 if busy or now - before > processes.TICK else quiet + 1
        before = now
        # Three times, because a request may stand between two statements.
        if quiet == 3:
            return
    raise BenchmarkError(f"{running.contender.name} does not come to rest")


def _wrk(
    running: Running, operation: Operation, scale: Scale, seconds: float, start: int, query: str, pause: int
) -> dict[str, int]:
    bodies, content_type = running.login_bodies()
    environment = {
        **os.environ,
        "OPERATION": operation.script,
        "START": str(start),
        "PROJECTS": str(scale.projects),
        "TASKS": str(scale.tasks),
        "BATCH": str(BATCH),
        "PROJECT": str(operation.project),
        "TARGET": query,
        "AUTHORIZATION": running.authorization(),
        "LOGINS": "\n".join(bodies),
        "LOGIN_TYPE": content_type,
        "PAUSE": str(pause),
    }
    # wrk takes whole seconds; a fraction is for smoke tests, and ended by a signal, after which it still reports.
    whole = max(1, round(seconds))
    command = [
        wrk_program(), "--threads", "1", "--connections", str(operation.connections), "--duration", f"{whole}s",
        "--timeout", "60s", "--script", str(SCRIPT), f"http://127.0.0.1:{running.port}/api/v1/projects/{project_id(1)}",
    ]  # fmt: skip
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=processes.end_with_harness,  # noqa: PLW1509 - it makes one system call
    )
    try:
        if seconds < whole:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(2)
        output, _ = process.communicate(timeout=whole + 120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise BenchmarkError(f"wrk does not end ({running.contender.name}, {operation.name})") from None
    for line in output.splitlines():
        if line.startswith("RESULT "):
            answer: dict[str, int] = json.loads(line.removeprefix("RESULT "))
            return answer
    raise BenchmarkError(f"wrk did not report ({running.contender.name}, {operation.name}):\n{output[-800:]}")
