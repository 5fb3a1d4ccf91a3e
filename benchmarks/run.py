"""The run: install, build the data, compare the answers, measure in interleaved rounds."""

import asyncio
import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks import data, processes
from benchmarks.check import Answers, Findings, examine
from benchmarks.contender import BOUNCER, CONTENDERS, POOL_SIZE, ROOT, Contender, Running
from benchmarks.data import Scale
from benchmarks.load import Measurement, measure, wrk_program
from benchmarks.operations import Operation
from benchmarks.server import Address, BenchmarkError, address_of, another_database, fresh_database
from devtools.pgbouncer import running_bouncer

DELETES_PER_SECOND = 30_000
"""More than anybody manages; tasks to delete are made ready for that while warming up."""

ROUND_STEP = 1_000_003
"""By which the counter of ids moves on from round to round."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured, and for how long."""

    contenders: Sequence[Contender]
    operations: Sequence[Operation]
    scale: Scale
    rounds: int
    seconds: float
    directory: Path
    """Of the embedded PostgreSQL and of logs."""

    def title_of(self, name: str) -> str:
        """Return what a contender is called in tables."""
        return next(contender.title for contender in self.contenders if contender.name == name)


@dataclass(slots=True)
class Results:
    """Everything that was found out."""

    plan: Plan
    machine: dict[str, Any]
    skipped: dict[str, str] = field(default_factory=dict)
    """Contenders that could not be installed or started, and why."""

    findings: dict[str, Findings] = field(default_factory=dict)
    measurements: dict[str, dict[str, list[Measurement]]] = field(default_factory=dict)
    """By operation and contender, one for each round."""

    memory: dict[str, int] = field(default_factory=dict)
    """Peak, in bytes."""

    resident: dict[str, int] = field(default_factory=dict)
    """What was held at the end, in bytes."""


def run(plan: Plan) -> Results:
    """All of it."""
    wrk_program()
    results = Results(plan, machine())
    programs: dict[str, Path] = {}
    for contender in plan.contenders:
        try:
            programs[contender.name] = contender.install()
        except BenchmarkError as error:
            results.skipped[contender.name] = str(error)
            say(f"goes on without {contender.name}: {error}")
    contenders = [contender for contender in plan.contenders if contender.name in programs]
    logs = plan.directory / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with fresh_database(plan.directory) as address, contextlib.ExitStack() as stack:
        say(f"building the data: {plan.scale.projects} × {plan.scale.tasks} tasks, and {plan.scale.larger}")
        started = time.monotonic()
        addresses, ways = dict.fromkeys(programs, address), {}
        if BOUNCER in programs:
            ways[BOUNCER] = address_of(stack.enter_context(running_bouncer(address.url, servers=POOL_SIZE)))
        own = [contender for contender in contenders if not (contender.revision or contender.people)]
        hashes = {contender.name: contender.password_hash() for contender in own}
        data.build(address, plan.scale, hashes)
        for contender in contenders:
            if contender.revision:
                stack.callback(shutil.rmtree, contender.directory)
                addresses[contender.name] = another = stack.enter_context(another_database(address))
                data.build(another, plan.scale, {contender.name: contender.password_hash()}, contender.migrate)
        say(f"built in {time.monotonic() - started:.1f} s")
        asyncio.run(_run(results, contenders, programs, addresses, ways, logs))
    results.machine["load_after"] = os.getloadavg()
    return results


async def _run(
    results: Results,
    contenders: list[Contender],
    programs: dict[str, Path],
    addresses: dict[str, Address],
    ways: dict[str, Address],
    logs: Path,
) -> None:
    """`addresses`: where each contender's data are; `ways`: how it reaches them, if not directly."""
    plan = results.plan
    expected: Answers = {}
    for contender in contenders:
        say(f"comparing answers, counting statements: {contender.name}")
        results.findings[contender.name] = await examine(
            contender,
            programs[contender.name],
            addresses[contender.name],
            ways.get(contender.name, addresses[contender.name]),
            plan.scale,
            list(plan.operations),
            expected,
            logs,
        )
    async with contextlib.AsyncExitStack() as stack:
        connections = {}
        for address in set(addresses.values()):
            connections[address] = connection = await asyncpg.connect(address.dsn)
            stack.push_async_callback(connection.close)
        results.machine["postgresql"] = await connection.fetchval("SHOW server_version")
        results.machine["fsync"] = await connection.fetchval("SHOW fsync")
        postmaster = processes.postmaster_of(await connection.fetchval("SELECT pg_backend_pid()"))
        if postmaster is None:
            say("the database runs elsewhere: its processor time is not counted")
        running = [
            Running(one, programs[one.name], ways.get(one.name, addresses[one.name]), logs) for one in contenders
        ]
        for one in running:
            stack.callback(one.stop)
            one.start()
        for number in range(plan.rounds):
            say(f"round {number + 1} of {plan.rounds}")
            for operation in plan.operations:
                # Everybody starts once.
                turn = number % len(running)
                for one in running[turn:] + running[:turn]:
                    connection = connections[addresses[one.contender.name]]
                    await _measure(results, one, operation, connection, postmaster, number)
        for one in running:
            results.memory[one.contender.name] = processes.peak_memory(one.pid)
            results.resident[one.contender.name] = processes.resident_memory(one.pid)


async def _measure(
    results: Results,
    running: Running,
    operation: Operation,
    connection: "asyncpg.Connection[asyncpg.Record]",
    postmaster: int | None,
    number: int,
) -> None:
    plan, name = results.plan, running.contender.name
    findings = results.findings[name]
    if operation.name in findings.absent:
        return
    seconds = max(plan.seconds / 2 if operation.sweep else plan.seconds, operation.least)
    warming = min(0.5, seconds / 4)
    query = findings.queries.get(operation.name, operation.query)

    async def once(length: float, first: int, pause: int = 0) -> Measurement:
        how: dict[str, Any] = {"seconds": length, "start": first, "query": query, "pause": pause}
        return await measure(running, operation, plan.scale, connection, postmaster, **how)

    if operation.script == "delete":
        await data.add_disposable(connection, plan.scale, int(warming * DELETES_PER_SECOND) + 1_000)
        rate = (await once(warming, 0)).per_second
        await data.restore(connection)
        await data.add_disposable(connection, plan.scale, int(seconds * min(2 * rate, DELETES_PER_SECOND)) + 1_000)
        result = await once(seconds, 0)
    else:
        rate = (await once(warming, number * ROUND_STEP + ROUND_STEP // 2)).per_second
        # A part of the load: each connection waits, and its requests hardly take any of that time.
        pause = 0 if operation.load == 1 else round(operation.connections / (rate * operation.load) * 1000)
        result = await once(seconds, number * ROUND_STEP, pause)
    if running.has_ended:
        raise BenchmarkError(f"{name} ended during {operation.name}:\n{running.log_tail()}")
    results.measurements.setdefault(operation.name, {}).setdefault(name, []).append(result)
    void = f"  VOID: {result.errors} errors" if result.errors else ""
    say(
        f"  {operation.name:<14} {name:<9} {result.per_second:9.1f}/s  p50 {result.p50:8.2f} ms  "
        f"p99 {result.p99:8.2f} ms  {result.application:7.0f} + {result.database or 0:7.0f} µs{void}"
    )
    if operation.writes:
        await data.restore(connection)


def machine() -> dict[str, Any]:
    """Where and with what."""
    model = "unknown"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _output("git", "describe", "--always", "--dirty"),
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        # Without the others, which name directories of the machine.
        "python_options": " ".join(
            re.findall(r"--(?:enable|with)-[\w-]+", sysconfig.get_config_var("CONFIG_ARGS") or "")
        ),
        "python_package_of": _distribution() if Path(sys.executable).resolve().parent == Path("/usr/bin") else None,
        "node": _output("node", "--version"),
        "wrk": _output("wrk", "--version").split(" [")[0].split("\n")[0],
        "pool_size": POOL_SIZE,
        "load_before": os.getloadavg(),
        "versions": {path.parent.name: _pins(path) for path in sorted(CONTENDERS.glob("*/requirements.txt"))},
    }


def _pins(requirements: Path) -> dict[str, str]:
    lines = (line.split(" ")[0] for line in requirements.read_text().splitlines() if "==" in line and line[0] != " ")
    return {name: version for name, _, version in (line.partition("==") for line in lines)}


def _distribution() -> str | None:
    try:
        return platform.freedesktop_os_release()["ID"]
    except OSError:
        return None


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout or done.stderr).strip()


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
