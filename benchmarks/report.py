"""Tables and files from results."""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.contender import BY_NAME, EARLIER
from benchmarks.load import Measurement
from benchmarks.operations import BATCH, Operation, spaced
from benchmarks.run import Results

CEILING = "ceiling"
MARKER = "last run"
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
        picture = f"\n![Cost against size and depth]({directory.name}/{name}.svg)\n" if curves is not None else ""
        replace_in_readme(readme, MARKER, tables + picture)


def replace_in_readme(readme: Path, marker: str, text: str) -> None:
    """Put a text between the two comments that bear the marker."""
    begin, end = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
    before, found, rest = readme.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    assert found
    assert ended
    readme.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def heading(machine: Mapping[str, Any]) -> str:
    """When, of what and on what."""
    return (
        f"Run of {machine['date']}, revision {machine['revision']}. {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, Linux {machine['kernel']}; Python {machine['python']}, "
        f"PostgreSQL {machine.get('postgresql')}, Node {machine['node']}, {machine['wrk']}."
    )


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
        "memory_at_the_end_bytes": results.resident,
        "targets": [target.as_json() for target in _targets(results)],
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
    """Return the tables, for people."""
    plan, machine = results.plan, results.machine
    larger = ", ".join(spaced(size) for size in plan.scale.larger)
    before, after = machine["load_before"][0], machine["load_after"][0]
    where = (
        f"{heading(machine)} {plan.rounds} rounds of {plan.seconds:g} s, fsync {machine.get('fsync')}. "
        f"Data: {plan.scale.projects} projects × {plan.scale.tasks} tasks, and one each of {larger}. "
        f"Load average before and after: {before:.1f} and {after:.1f}."
    )
    how = (
        "Medians of the rounds, (lowest–highest), **× the ceiling** in the same round. *Cost* is processor time per "
        "request, application and database together."
    )
    lines = [where, "", how, ""]
    for name, reason in results.skipped.items():
        lines += [f"**{plan.title_of(name)} is missing**: {reason.splitlines()[0]}", ""]
    lines += _target_table(results)
    lines += _feature_table(results)
    for operation in plan.operations:
        if not operation.plain:
            lines += _table(results, operation)
    if results.memory:
        lines += ["### Memory", "", "| | peak, MiB | at the end, MiB |", "|---|---:|---:|"]
        for name, size in results.memory.items():
            ceiling = results.memory.get(CEILING, 0)
            against = f" **{size / ceiling:.2f}×**" if ceiling and name != CEILING else ""
            lines.append(
                f"| {plan.title_of(name)} | {size / 2**20:.0f}{against} | {results.resident[name] / 2**20:.0f} |"
            )
        lines.append("")
    return "\n".join(lines)


def _feature_table(results: Results) -> list[str]:
    rows = []
    for operation in (one for one in results.plan.operations if one.plain):
        measured = results.measurements.get(operation.name, {}).get("taller", [])
        against = _own_ratio(results, operation.name, operation.plain, _cost)
        if against is not None:
            cost, there = (statistics.median(values) for values in (map(_cost, measured), _databases(measured)))
            statements = results.findings["taller"].statements[operation.name]
            rows.append(
                f"| {operation.title} (`{operation.name}`) | {cost:.0f} | {there:.0f} | {statements:g} "
                f"| {against:.2f} × `{operation.plain}` |"
            )
    if not rows:
        return []
    head = "| | cost µs | of which database | statements | against the same without |"
    return ["### What Taller's features cost when used", "", head, "|---|---:|---:|---:|---|", *rows, ""]


def _table(results: Results, operation: Operation) -> list[str]:
    measured = results.measurements.get(operation.name)
    if not measured:
        return []
    title = f"{operation.title[0].upper()}{operation.title[1:]}"
    lines = [
        f"### {title} (`{operation.name}`, {operation.connections} connections)",
        "",
        "| | requests/s | p50 ms | p99 ms | cost µs | of which database | statements (round trips) |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, findings in results.findings.items():
        title = results.plan.title_of(name)
        if operation.only not in {"", name}:
            continue
        if reason := findings.absent.get(operation.name):
            lines.append(f"| {title} | {reason} | | | | | |")
            continue
        rounds = measured.get(name, [])
        if errors := sum(one.errors for one in rounds):
            some = any(one.requests for one in rounds)
            why = f"{errors} failed requests" if some else "no request was answered in time"
            lines.append(f"| {title} | void: {why} | | | | | |")
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
    """Return the median over the rounds of one contender's figure divided by another's of the same round."""
    measured = results.measurements.get(operation, {})
    mine, theirs = measured.get(name, []), measured.get(other, [])
    pairs = [
        (figure(one), figure(two))
        for one, two in zip(mine, theirs, strict=False)
        if not one.errors and not two.errors and figure(two)
    ]
    return statistics.median(one / two for one, two in pairs) if pairs else None


@dataclass(frozen=True, slots=True)
class Target:
    """Something that Taller set out to reach."""

    text: str
    value: float | None
    """What was measured; None where it was not, or where a figure that it needs is void."""

    limit: float
    at_most: bool = True

    @property
    def is_reached(self) -> bool | None:
        """Whether it is; None where nobody knows."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    @property
    def row(self) -> str:
        """In the table."""
        sign = "≤" if self.at_most else "≥"
        measured = "–" if self.value is None else f"{self.value:.2f}"
        reached = {True: "yes", False: "**no**", None: "not measured"}[self.is_reached]
        return f"| {self.text} | {measured} | {sign} {self.limit:g} | {reached} |"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "figure": self.text,
            "measured": None if self.value is None else round(self.value, 4),
            "at_most" if self.at_most else "at_least": self.limit,
            "reached": self.is_reached,
        }


RIVALS = ("textbook", "drf", "litestar")
AGAINST = (("list", 2.0, 4.0), ("read", 2.5, 3.5), ("create", 2.5, 2.5), ("update", 2.5, 2.5))
"""Operation, cost against the ceiling's at most, and how many times less than the textbook's at least."""

SLOWER = 1.05
"""What an operation may cost against the same in an earlier version."""

MEMORY = 120
"""MiB that a worker may take."""


def _target_table(results: Results) -> list[str]:
    targets = _targets(results)
    if all(target.value is None for target in targets):
        return []
    head = ["### What Taller set out to reach", "", "| figure | measured | wanted | reached |", "|---|---:|---:|---|"]
    return [*head, *(target.row for target in targets), ""]


def _targets(results: Results) -> list[Target]:
    """Return what Taller set out to reach; against the rivals, the worst of all operations, and each where it loses."""
    rivalry = list(_rivalry(results))
    worst = [(max if group[0].at_most else min)(group, key=lambda one: one.value or 0.0) for group in rivalry if group]
    lost = [target for group in rivalry for target in group if not target.is_reached and target not in worst]
    return [*_wanted(results), *worst, *lost]


def _wanted(results: Results) -> Iterator[Target]:
    earlier = next((contender.title for contender in results.plan.contenders if contender.revision), None)
    for operation, ceiling, textbook in AGAINST:
        if earlier is not None:
            slower = ratio(results, operation, "taller", EARLIER, _cost)
            yield Target(f"`{operation}`: cost × that of {earlier}", slower, SLOWER)
        yield Target(
            f"`{operation}`: cost × the ceiling's", ratio(results, operation, "taller", CEILING, _cost), ceiling
        )
        less = ratio(results, operation, "textbook", "taller", _cost)
        yield Target(f"`{operation}`: the textbook's cost × ours", less, textbook, at_most=False)
    largest = _own_ratio(results, "list-largest", "list", _p50)
    yield Target("p50 of `list-largest` × that of `list`", largest, 1.25)
    cursors = [operation.name for operation in results.plan.operations if operation.sweep == "cursor"]
    deepest = _own_ratio(results, cursors[-1], cursors[0], _p50) if cursors else None
    name = cursors[-1] if cursors else "deep-cursor"
    yield Target(f"p50 of `{name}` × that of the first page", deepest, 1.25)
    writers = _own_ratio(results, "one-project", "16-projects", _speed)
    yield Target("requests/s of `one-project` × those of `16-projects`", writers, 0.6, at_most=False)
    batch = _own_ratio(results, "create-alone", "batch-create", _p50)
    faster = None if batch is None else batch * BATCH
    yield Target(f"p50 of {BATCH} × `create-alone` × that of `batch-create`", faster, 20, at_most=False)
    for text, sizes in (("memory at the end", results.resident), ("peak memory, passwords included", results.memory)):
        size = sizes.get("taller")
        yield Target(f"{text}, MiB", None if size is None else size / 2**20, MEMORY)


def _rivalry(results: Results) -> Iterator[list[Target]]:
    """For each rival and figure, the targets of all operations on which both have one."""
    shared = [one.name for one in results.plan.operations if not (one.sweep or one.only or one.by_cursor)]
    for rival in RIVALS:
        for figure, of, at_most in ((_speed, "requests/s", False), (_p99, "p99", True)):
            ratios = {name: ratio(results, name, "taller", rival, figure) for name in shared}
            yield [
                Target(f"`{name}`: {of} × that of {BY_NAME[rival].title}", value, 1, at_most)
                for name, value in ratios.items()
                if value is not None
            ]


def _own_ratio(results: Results, one: str, other: str, figure: Figure) -> float | None:
    """Taller in one operation against Taller in another, in the same round."""
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
