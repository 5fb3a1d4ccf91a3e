"""Tables and files from results."""

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.contender import BY_NAME
from benchmarks.load import Measurement
from benchmarks.operations import Operation
from benchmarks.run import Results

CEILING = "ceiling"
BEGIN, END = "<!-- last run: begin -->", "<!-- last run: end -->"
Figure = Callable[[Measurement], float]


def publish(results: Results, directory: Path, readme: Path | None) -> None:
    """Print the tables; store them, the raw figures and the plot; put the tables into the README if there is one."""
    directory.mkdir(parents=True, exist_ok=True)
    name = str(results.machine["date"])[:10]
    (directory / f"{name}.json").write_text(json.dumps(as_json(results), indent=1) + "\n")
    curves = plot.svg(results)
    if curves is not None:
        (directory / f"{name}.svg").write_text(curves)
    tables = markdown(results)
    (directory / f"{name}.md").write_text(f"# Benchmark of {name}\n\n{tables}")
    print(tables)
    if readme is not None:
        text = readme.read_text()
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        picture = f"![Cost against size and depth]({directory.name}/{name}.svg)\n\n" if curves is not None else ""
        readme.write_text(f"{before}{BEGIN}\n\n{tables}\n{picture}{END}{after}")


def as_json(results: Results) -> dict[str, Any]:
    """Everything, for programs."""
    plan = results.plan
    return {
        "machine": results.machine,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "data": {"projects": plan.scale.projects, "tasks": plan.scale.tasks, "larger": plan.scale.larger},
        "skipped": results.skipped,
        "peak_memory_bytes": results.memory,
        "operations": {
            operation.name: {
                "title": operation.title,
                "connections": operation.connections,
                "contenders": {
                    name: {
                        "statements": results.findings[name].statements.get(operation.name),
                        "round_trips": results.findings[name].round_trips.get(operation.name),
                        "rounds": [one.as_json() for one in measured],
                    }
                    for name, measured in results.measurements.get(operation.name, {}).items()
                },
            }
            for operation in plan.operations
        },
    }


def markdown(results: Results) -> str:
    """The tables, for people."""
    plan, machine = results.plan, results.machine
    larger = ", ".join(f"{size:,}".replace(",", " ") for size in plan.scale.larger)
    lines = [
        f"Run of {machine['date']}, revision {machine['revision']}: {plan.rounds} rounds of {plan.seconds:g} s. "
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}; "
        f"Python {machine['python']}, PostgreSQL {machine.get('postgresql')} (fsync {machine.get('fsync')}), "
        f"Node {machine['node']}, {machine['wrk']}. Data: {plan.scale.projects} projects × {plan.scale.tasks} tasks, "
        f"and one each of {larger}. Load average before and after: "
        f"{machine['load_before'][0]:.1f} and {machine['load_after'][0]:.1f}.",
        "",
        "Medians of the rounds, (lowest–highest), × the ceiling in the same round. *Cost* is processor time per "
        "request, application + database.",
        "",
    ]
    for name, reason in results.skipped.items():
        lines += [f"**{BY_NAME[name].title} is missing**: {reason.splitlines()[0]}", ""]
    lines += _targets(results)
    for operation in plan.operations:
        lines += _table(results, operation)
    if results.memory:
        lines += ["### Peak memory", "", "| | MiB |", "|---|---:|"]
        lines += [f"| {BY_NAME[name].title} | {size / 2**20:.0f} |" for name, size in results.memory.items()]
        lines.append("")
    return "\n".join(lines)


def _table(results: Results, operation: Operation) -> list[str]:
    measured = results.measurements.get(operation.name)
    if not measured:
        return []
    lines = [
        f"### {operation.title[0].upper()}{operation.title[1:]} (`{operation.name}`, {operation.connections} connections)",
        "",
        "| | requests/s | p50 ms | p99 ms | cost µs | of which database | statements (round trips) |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, findings in results.findings.items():
        title = BY_NAME[name].title
        if reason := findings.absent.get(operation.name):
            lines.append(f"| {title} | {reason} | | | | | |")
            continue
        rounds = measured.get(name, [])
        if errors := sum(one.errors for one in rounds):
            lines.append(f"| {title} | void: {errors} failed requests | | | | | |")
            continue
        statements, trips = findings.statements.get(operation.name), findings.round_trips.get(operation.name)
        count = "" if statements is None else f"{statements:g} ({trips:g})"
        cells = [
            _cell(results, operation, name, figure, digits)
            for figure, digits in ((_speed, 0), (_p50, 2), (_p99, 2), (_cost, 0))
        ]
        there = "not here" if rounds[0].database is None else f"{statistics.median(_databases(rounds)):.0f}"
        lines.append(f"| {title} | {' | '.join(cells)} | {there} | {count} |")
    return [*lines, ""]


def _cell(results: Results, operation: Operation, name: str, figure: Figure, digits: int) -> str:
    values = [figure(one) for one in results.measurements[operation.name][name]]
    text = f"{statistics.median(values):.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):.{digits}f}–{max(values):.{digits}f})"
    against = ratio(results, operation.name, name, CEILING, figure)
    return text if against is None or name == CEILING else f"{text} **{against:.2f}×**"


def ratio(results: Results, operation: str, name: str, other: str, figure: Figure) -> float | None:
    """The median over the rounds of one contender's figure divided by another's of the same round."""
    measured = results.measurements.get(operation, {})
    mine, theirs = measured.get(name, []), measured.get(other, [])
    pairs = [
        (figure(one), figure(two))
        for one, two in zip(mine, theirs, strict=False)
        if not one.errors and not two.errors and figure(two)
    ]
    return statistics.median(one / two for one, two in pairs) if pairs else None


def _targets(results: Results) -> list[str]:
    """What Taller set out to reach, and whether it does."""
    lines: list[str] = []

    def add(text: str, value: float | None, limit: float, *, at_most: bool) -> None:
        if value is not None:
            reached = value <= limit if at_most else value >= limit
            sign = "≤" if at_most else "≥"
            lines.append(f"| {text} | {value:.2f} | {sign} {limit:g} | {'yes' if reached else '**no**'} |")

    for operation, against_ceiling, against_textbook in (
        ("list", 2.0, 4.0), ("read", 2.5, 3.5), ("create", 2.5, 2.5), ("update", 2.5, 2.5),
    ):  # fmt: skip
        add(f"{operation}: cost × the ceiling's", ratio(results, operation, "taller", CEILING, _cost), against_ceiling,
            at_most=True)  # fmt: skip
        add(f"{operation}: the textbook's cost × ours", ratio(results, operation, "textbook", "taller", _cost),
            against_textbook, at_most=False)  # fmt: skip
    for operation in results.plan.operations:
        if operation.sweep:
            continue
        for rival in ("textbook", "drf", "litestar"):
            speed = ratio(results, operation.name, "taller", rival, _speed)
            late = ratio(results, operation.name, "taller", rival, _p99)
            if speed is not None and speed < 1:
                add(f"{operation.name}: requests/s × {rival}'s", speed, 1, at_most=False)
            if late is not None and late > 1:
                add(f"{operation.name}: p99 × {rival}'s", late, 1, at_most=True)
    add("p50 of the largest project's first page × that of the smallest", _median_ratio(results, "list-largest", "list"),
        1.25, at_most=True)  # fmt: skip
    depths = [operation.name for operation in results.plan.operations if operation.sweep == "cursor"]
    if depths:
        add("p50 by cursor at the greatest depth × that of the first page",
            _median_ratio(results, depths[-1], depths[0]), 1.25, at_most=True)  # fmt: skip
    writers = _median_ratio(results, "one-project", "16-projects", _speed)
    add("requests/s of 16 writers into one project × into 16", writers, 0.6, at_most=False)
    if "taller" in results.memory:
        add("peak memory, MiB", results.memory["taller"] / 2**20, 120, at_most=True)
    if not lines:
        return []
    head = ["### What Taller set out to reach", "", "| figure | measured | wanted | reached |", "|---|---:|---:|---|"]
    return [*head, *lines, "", "Where requests/s or p99 are not listed, Taller is better than all three.", ""]


def _median_ratio(results: Results, one: str, other: str, figure: Figure | None = None) -> float | None:
    figure = figure or _p50
    mine = results.measurements.get(one, {}).get("taller", [])
    theirs = results.measurements.get(other, {}).get("taller", [])
    pairs = [(figure(a), figure(b)) for a, b in zip(mine, theirs, strict=False) if not a.errors and not b.errors]
    return statistics.median(a / b for a, b in pairs if b) if pairs else None


def _databases(rounds: Sequence[Measurement]) -> list[float]:
    return [one.database or 0.0 for one in rounds]


def _speed(one: Measurement) -> float:
    return one.per_second


def _p50(one: Measurement) -> float:
    return one.p50


def _p99(one: Measurement) -> float:
    return one.p99


def _cost(one: Measurement) -> float:
    return one.cost
