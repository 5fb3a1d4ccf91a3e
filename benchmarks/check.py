"""Before anything is measured: whether everybody answers the same, and what each asks of the database for it."""

import asyncio
import re
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.contender import Contender, Running
from benchmarks.data import Scale, add_disposable, project_id, restore
from benchmarks.operations import Operation, cursors_at, offers_cursors, sample, send
from benchmarks.proxy import CountingProxy
from benchmarks.server import Address, BenchmarkError

WARMING, COUNTED = 12, 5
"""Requests before and while statements are counted: the first ones prepare statements on every connection."""

TOO_DEEP = "page_too_deep"
"""The code by which Taller refuses page numbers that it would have to count up to."""

COVERED = ("one", "many", "mix")
"""Made of the requests of other operations, which are looked at."""

MADE_UP = ("id", "created_at", "updated_at")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


@dataclass(slots=True)
class Findings:
    """What was found out about one contender."""

    statements: dict[str, float] = field(default_factory=dict)
    """Per request, by operation."""

    round_trips: dict[str, float] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    """For operations on pages: the query that asks for the page."""

    absent: dict[str, str] = field(default_factory=dict)
    """Operations that it does not take part in, and why."""


Answers = dict[str, tuple[int, Any]]


async def examine(
    contender: Contender,
    program: Path,
    address: Address,
    way: Address,
    scale: Scale,
    operations: list[Operation],
    expected: Answers,
    logs: Path,
) -> Findings:
    """Start it behind a counting proxy, compare its answers, count.

    It reaches the database at `address` by the `way`. `expected` is filled by the first contender. Raises
    `BenchmarkError` where an answer differs.
    """
    findings = Findings()
    connection = await asyncpg.connect(address.dsn)
    try:
        await restore(connection)
        await add_disposable(connection, scale, WARMING + COUNTED + 1)
        with tempfile.TemporaryDirectory(prefix="taller-bench-") as directory:
            async with CountingProxy(Path(directory), way.host, way.port) as proxy:
                running = Running(contender, program, address.at(directory), logs)
                await asyncio.to_thread(running.start)
                try:
                    await _examine(running, proxy, scale, operations, expected, findings)
                finally:
                    await asyncio.to_thread(running.stop)
        await restore(connection)
    finally:
        await connection.close()
    return findings


async def _examine(
    running: Running,
    proxy: CountingProxy,
    scale: Scale,
    operations: list[Operation],
    expected: Answers,
    findings: Findings,
) -> None:
    # Signs in and is recognised, which are statements of no operation.
    await asyncio.to_thread(running.call, "GET", f"/api/v1/projects/{project_id(1)}")
    await _find_cursors(running, operations, findings)
    # What only reads comes first, while all find the same data.
    for operation in sorted(operations, key=lambda one: one.writes):
        if not operation.includes(running.contender.name):
            findings.absent[operation.name] = "does not take part"
        elif operation.name not in findings.absent and operation.script not in COVERED:
            await _look_at(running, proxy, operation, scale, expected, findings)


async def _look_at(
    running: Running, proxy: CountingProxy, operation: Operation, scale: Scale, expected: Answers, findings: Findings
) -> None:
    asked, waited = proxy.statements, proxy.round_trips
    query = findings.queries.get(operation.name)
    answer = await asyncio.to_thread(send, running, sample(operation, scale, 0, query))
    if operation.by_cursor:
        _compare_pages(running.contender, operation, answer, expected)
    elif operation.script == "page":
        if answer[0] != 200:
            # Too deep or too slow for it: that is a result.
            findings.absent[operation.name] = _refusal(*answer)
            return
        compare(running.contender, operation, answer, expected)
        # These differ by a number only, and some take long: once is enough.
        findings.statements[operation.name] = proxy.statements - asked
        findings.round_trips[operation.name] = proxy.round_trips - waited
        findings.queries[operation.name] = operation.query
        return
    elif operation.script == "batch":
        if answer[0] in {404, 405}:
            findings.absent[operation.name] = "is not offered"
            return
    elif operation.script != "login":
        compare(running.contender, operation, answer, expected)
    await _count(running, proxy, operation, scale, findings)


async def _find_cursors(running: Running, operations: list[Operation], findings: Findings) -> None:
    by_cursor = [operation for operation in operations if operation.by_cursor]
    if not by_cursor:
        return
    if not await asyncio.to_thread(offers_cursors, running):
        findings.absent |= {operation.name: "offers no cursors" for operation in by_cursor}
        return
    depths = sorted({operation.depth for operation in by_cursor})
    found = await asyncio.to_thread(cursors_at, running, by_cursor[0].project, depths)
    for operation in by_cursor:
        if operation.depth in found:
            findings.queries[operation.name] = found[operation.depth]
        else:
            findings.absent[operation.name] = "no cursor leads there"


def _refusal(status: int, body: object) -> str:
    code = body.get("code") if isinstance(body, dict) else None
    if code == TOO_DEEP:
        return f"refused: {code}; see the same by cursor"
    return f"answers {status} {code or ''}".strip()


async def _count(
    running: Running,
    proxy: CountingProxy,
    operation: Operation,
    scale: Scale,
    findings: Findings,
) -> None:
    statements, round_trips = [], []
    for number in range(1, WARMING + COUNTED + 1):
        asked, waited = proxy.statements, proxy.round_trips
        request = sample(operation, scale, number, findings.queries.get(operation.name))
        status, answer = await asyncio.to_thread(send, running, request)
        if status != operation.status if operation.status else not (200 <= status < 300 or status == 304):
            raise BenchmarkError(
                f"{running.contender.name} answers {status} {answer} to {request}\n{running.log_tail()}"
            )
        if number > WARMING:
            statements.append(proxy.statements - asked)
            round_trips.append(proxy.round_trips - waited)
    # The median, because some have an eye on the database now and then between requests.
    findings.statements[operation.name] = statistics.median(statements)
    findings.round_trips[operation.name] = statistics.median(round_trips)


def compare(contender: Contender, operation: Operation, answer: tuple[int, Any], expected: Answers) -> None:
    """Hold an answer against what the first contender answered, or let it be that.

    Raises `BenchmarkError` where they differ.
    """
    status, body = answer[0], _without_completed_at(answer[1])
    if operation.writes and isinstance(body, dict):
        body = _without_made_up(contender, operation, status, body)
    wanted = expected.setdefault(operation.name, (status, body))
    seen = _known_to_all(body, wanted[1]) if contender.kind == "taller" else body
    if (status, seen) != wanted:
        raise BenchmarkError(
            f"{contender.name} does not answer as the others do ({operation.name}):\n"
            f"  wanted {str(wanted)[:1500]}\n  got    {str((status, seen))[:1500]}"
        )


def _compare_pages(contender: Contender, operation: Operation, answer: tuple[int, Any], expected: Answers) -> None:
    """Check that the page that a cursor leads to holds what the others find there by its number."""
    status, body = answer[0], _without_completed_at(answer[1])
    _, by_number = expected.get(operation.by_number, (200, body))
    items, wanted = (page.get("items") if isinstance(page, dict) else page for page in (body, by_number))
    if status != 200 or _known_to_all(items, wanted) != wanted:
        raise BenchmarkError(
            f"{contender.name}: the cursor leads elsewhere ({operation.name}):\n"
            f"  wanted {str(wanted)[:1500]}\n  got    {status} {str(body)[:1500]}"
        )


def _without_made_up(
    contender: Contender, operation: Operation, status: int, body: Mapping[str, Any]
) -> dict[str, Any]:
    # What is different every time has to have the right form at least.
    if not (UUID.fullmatch(str(body.get("id"))) and MOMENT.fullmatch(str(body.get("updated_at")))):
        raise BenchmarkError(f"{contender.name}: unexpected form ({operation.name}): {status} {str(body)[:1500]}")
    return {name: "made up" if name in MADE_UP else value for name, value in body.items()}


def _without_completed_at(body: Any) -> Any:
    # The database sets it anew when `restore` completes a task again.
    if isinstance(body, dict):
        return {name: _without_completed_at(value) for name, value in body.items() if name != "completed_at"}
    if isinstance(body, list):
        return [_without_completed_at(one) for one in body]
    return body


def _known_to_all(body: Any, wanted: Any) -> Any:
    """Without the members that Taller answers besides: they cost it something, and the others nothing."""
    if isinstance(body, dict) and isinstance(wanted, dict):
        return {name: _known_to_all(value, wanted[name]) for name, value in body.items() if name in wanted}
    if isinstance(body, list) and isinstance(wanted, list) and len(body) == len(wanted):
        return [_known_to_all(one, other) for one, other in zip(body, wanted, strict=True)]
    return body
