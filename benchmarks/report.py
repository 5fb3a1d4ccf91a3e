"""Tables and files from results."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.contender import ALL, BY_NAME
from benchmarks.load import Measurement
from benchmarks.operations import Operation, spaced
from benchmarks.run import Results
from benchmarks.targets import CEILING, Figure, cost, own_ratio, p50, p99, ratio, speed, targets_of

MARKER = "last run"
SUMMARY = {
    "read": "read a project",
    "list": "list 50 of 1 000 tasks, with the total",
    "list-largest": "list 50 of 1 000 000 tasks",
    "create": "create a task",
    "update": "change a task's title",
    "complete": "complete a task",
    "delete": "delete a task",
    "login": "log in",
    "mix": "70 % list, 20 % read, 10 % write",
}
"""What stands in the README's table."""


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
        more = f"\nAll tables, rounds and curves: [{name}]({directory.name}/{name}.md).\n"
        replace_in_readme(readme, MARKER, "\n".join(_summary(results)) + more)


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
        f"{machine['memory_gib']} GiB, Linux {machine['kernel']}; Python {machine['python']} ({_build(machine)}), "
        f"PostgreSQL {machine.get('postgresql')}, Node {machine['node']}, {machine['wrk']}."
    )


def _build(machine: Mapping[str, Any]) -> str:
    """Say how the interpreter was built, as far as it tells (`sysconfig.get_config_var("CONFIG_ARGS")`).

    Debian's packages are built with a profile (`make profile-opt`), and do not tell.
    """
    if machine.get("python_package_of") == "debian":
        return "Debian's package, built with a profile"
    options = str(machine.get("python_options", ""))
    named = [name for name in ("--enable-optimizations", "--with-lto") if name in options]
    return f"built {' '.join(named)}" if named else "its build options name no optimisation"


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
        "targets": [target.as_json() for target in targets_of(results)],
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
    lines += _left_out(results)
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


def _summary(results: Results) -> list[str]:
    """Return the one table that tells how Taller compares, and what it did not reach."""
    others = [one for one in results.plan.contenders if one.name in results.findings and one.name in BY_NAME]
    others = [one for one in others if one.name not in {CEILING, "taller"}]
    lines = [
        f"{heading(results.machine)} Medians of {results.plan.rounds} rounds.",
        "",
        *_left_out(results),
        f"| | Taller, µs | × the ceiling's | {' | '.join(f'× that of {one.title}' for one in others)} |",
        f"|---|{'---:|' * (len(others) + 2)}",
    ]
    for name, title in SUMMARY.items():
        measured = results.measurements.get(name, {}).get("taller", [])
        if measured:
            ratios = (ratio(results, name, "taller", one, cost) for one in (CEILING, *(one.name for one in others)))
            cells = ("–" if value is None else f"{value:.2f}" for value in ratios)
            lines.append(f"| {title} | {statistics.median(map(cost, measured)):.0f} | {' | '.join(cells)} |")
    missed = [target for target in targets_of(results) if target.is_reached is False]
    lines += ["", "Taller does not reach:" if missed else "Taller reached everything that it set out to reach.", ""]
    lines += [f"- {target.text}: {target.value:.2f}, not {target.limit:g}" for target in missed]
    return [*lines, ""]


def _left_out(results: Results) -> list[str]:
    """Say who is not in the tables, and why."""
    present = {contender.name for contender in results.plan.contenders}
    reasons = {
        **{contender.title: "was not asked for" for contender in ALL if contender.name not in present},
        **{results.plan.title_of(name): reason.splitlines()[0] for name, reason in results.skipped.items()},
    }
    return [line for title, reason in reasons.items() for line in (f"**{title} is left out**: {reason}.", "")]


def _feature_table(results: Results) -> list[str]:
    rows = []
    for operation in (one for one in results.plan.operations if one.plain):
        measured = results.measurements.get(operation.name, {}).get(operation.only, [])
        against = own_ratio(results, operation.name, operation.plain, cost)
        if against is not None:
            spent, there = (statistics.median(values) for values in (map(cost, measured), _databases(measured)))
            statements = results.findings[operation.only].statements[operation.name]
            rows.append(
                f"| {operation.title} (`{operation.name}`) | {spent:.0f} | {there:.0f} | {statements:g} "
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
        if not operation.includes(name):
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
            for figure, digits in ((speed, 0), (p50, 2), (p99, 2), (cost, 0))
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


def _target_table(results: Results) -> list[str]:
    targets = targets_of(results)
    if all(target.value is None for target in targets):
        return []
    head = ["### What Taller set out to reach", "", "| figure | measured | wanted | reached |", "|---|---:|---:|---|"]
    return [*head, *(target.row for target in targets), ""]


def _databases(rounds: Sequence[Measurement]) -> list[float]:
    return [one.database or 0.0 for one in rounds]
