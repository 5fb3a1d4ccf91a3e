"""Many requests to Taller alone: whether its memory stays what it is."""

import asyncio
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks import data, processes
from benchmarks.contender import BY_NAME, Running
from benchmarks.data import Scale
from benchmarks.load import measure, wrk_program
from benchmarks.operations import operations, spaced
from benchmarks.report import heading, replace_in_readme
from benchmarks.run import machine, say
from benchmarks.server import Address, BenchmarkError, fresh_database
from benchmarks.targets import MEMORY, PEAK, Target

STEPS = 20
"""How often the memory is read: every 50 000 requests of a million."""

LONGEST = 60.0
"""Seconds that wrk runs at a stretch; what was written is undone in between."""

GROWTH = 1.05
"""How much larger than after the first twentieth it may be at the end, to be called flat."""

MARKER = "last soak"


@dataclass(frozen=True, slots=True)
class Soak:
    """What was found out."""

    machine: dict[str, Any]
    resident: list[tuple[int, int]]
    """Requests so far, and the bytes that the worker held then."""

    peak: int

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is wanted."""
        (_, first), (_, last) = self.resident[0], self.resident[-1]
        return (
            Target("memory at the end × after the first twentieth", last / first, GROWTH),
            Target("memory at the end, MiB", last / 2**20, MEMORY),
            Target("peak memory, MiB", self.peak / 2**20, PEAK),
        )


def soak(requests: int, scale: Scale, directory: Path) -> Soak:
    """Send so many requests of the mix, and look at the worker's memory meanwhile."""
    wrk_program()
    logs = directory / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    # The mix asks for no larger projects.
    scale = dataclasses.replace(scale, larger=scale.larger[:1])
    where = machine()
    with fresh_database(directory) as address:
        data.build(address, scale, {"taller": BY_NAME["taller"].password_hash()})
        return asyncio.run(_soak(requests, scale, address, logs, where))


async def _soak(requests: int, scale: Scale, address: Address, logs: Path, where: dict[str, Any]) -> Soak:
    taller = BY_NAME["taller"]
    (mix,) = (operation for operation in operations(scale) if operation.name == "mix")
    connection = await asyncpg.connect(address.dsn)
    running = Running(taller, taller.install(), address, logs)
    found: list[tuple[int, int]] = []
    try:
        where["postgresql"] = await connection.fetchval("SHOW server_version")
        running.start()
        done, rate = 0, 1000.0
        while done < requests:
            mark = requests * (len(found) + 1) // STEPS
            seconds = min(LONGEST, max(0.3, (mark - done) / rate))
            result = await measure(running, mix, scale, connection, None, seconds=seconds, start=done, query="")
            if result.errors or running.has_ended:
                raise BenchmarkError(f"{result.errors} of {result.requests} requests failed:\n{running.log_tail()}")
            done, rate = done + result.requests, result.per_second
            if done >= mark:
                found.append((done, processes.resident_memory(running.pid)))
                say(f"  {spaced(done):>12} requests: {found[-1][1] / 2**20:.1f} MiB, {rate:.0f}/s")
            await data.restore(connection)
        return Soak(where, found, processes.peak_memory(running.pid))
    finally:
        running.stop()
        await connection.close()


def publish(found: Soak, directory: Path, readme: Path | None) -> None:
    """Print what was found out and store it, in the README too if there is one."""
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{str(found.machine['date'])[:10]}-soak"
    stored = {
        "machine": found.machine,
        "resident_bytes": found.resident,
        "peak_bytes": found.peak,
        "targets": [target.as_json() for target in found.targets],
    }
    (directory / f"{name}.json").write_text(json.dumps(stored, indent=1) + "\n")
    wanted = [
        "| figure | measured | wanted | reached |",
        "|---|---:|---:|---|",
        *(target.row for target in found.targets),
        "",
    ]
    counted = (f"| {spaced(done)} | {size / 2**20:.1f} |" for done, size in found.resident)
    text = "\n".join([heading(found.machine), "", "| requests | memory, MiB |", "|---:|---:|", *counted, "", *wanted])
    (directory / f"{name}.md").write_text(f"# Soak of {name[:10]}\n\n{text}")
    print(text)
    if readme is not None:
        replace_in_readme(readme, MARKER, "\n".join([heading(found.machine), "", *wanted]))
