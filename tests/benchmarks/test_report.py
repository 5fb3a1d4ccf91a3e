"""What the report says of targets, and where it writes."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.check import Findings
from benchmarks.contender import BY_NAME, VARIANTS
from benchmarks.data import QUICK
from benchmarks.load import Measurement
from benchmarks.operations import operations
from benchmarks.report import as_json, markdown, publish, replace_in_readme
from benchmarks.run import Plan, Results
from benchmarks.targets import Target

MACHINE = {
    "date": "2026-11-24", "revision": "1", "processor": "one", "cores": 2, "memory_gib": 4, "kernel": "6", "node": "20",
    "python": "3", "wrk": "4", "load_before": (0.0,), "load_after": (0.0,),
}  # fmt: skip


def measured(cost: float, p50: float = 1.0, errors: int = 0) -> Measurement:
    return Measurement(1000, 1000 / p50, p50, 2 * p50, cost, 0.0, errors)


def results_of(measurements: dict[str, dict[str, list[Measurement]]], absent: dict[str, str]) -> Results:
    names = ["ceiling", "taller", "textbook", "fastify"]
    chosen = [operation for operation in operations(QUICK) if operation.name in measurements]
    plan = Plan([*(BY_NAME[name] for name in names), *VARIANTS], chosen, QUICK, 1, 1.0, Path())
    findings = {name: Findings(absent=absent if name == "taller" else {}) for name in names}
    return Results(plan, MACHINE, {}, findings, measurements)


READ = {
    "ceiling": [measured(100)],
    "taller": [measured(200, 2)],
    "textbook": [measured(600, 3)],
    "fastify": [measured(400)],
}
DEEP = {"ceiling": [measured(100)], "textbook": [measured(600, 3)], "fastify": [measured(400)]}


def test_report_names_targets_figures_and_whether_they_are_reached() -> None:
    told = markdown(results_of({"read": READ, "deep": DEEP}, {"deep": "refused: page_too_deep"}))
    assert "| `read`: cost × the ceiling's | 2.00 | ≤ 1.4 | **no** |" in told
    assert "| `read`: cost × Fastify's | 0.50 | ≤ 1 | yes |" in told
    assert "| `list`: cost × the ceiling's | – | ≤ 1 | not measured |" in told
    assert "**Litestar is left out**: was not asked for." in told
    assert "| `read`: requests/s × that of textbook (FastAPI, ORM) | 1.50 | ≥ 1 | yes |" in told
    assert "| Taller | refused: page_too_deep | | | | | |" in told


def test_feature_cost_is_a_ratio_to_the_same_without() -> None:
    results = results_of({"read": READ, "read-unchanged": {"taller": [measured(150)]}}, {})
    results.findings["taller"].statements["read-unchanged"] = 1
    (row,) = (line for line in markdown(results).splitlines() if line.startswith("| read a project that"))
    assert row.endswith("| 150 | 0 | 1 | 0.75 × `read` |")
    assert "### Read a project that is unchanged" not in markdown(results)


def test_a_refusal_that_is_measured_costs_so_many_reads() -> None:
    results = results_of({"read": READ, "read-limited": {"limited": [measured(100)]}}, {})
    assert "| `read-limited`: cost × that of the same without | 0.50 | ≤ 1 | yes |" in markdown(
        replace(results, findings={**results.findings, "limited": Findings(statements={"read-limited": 0})})
    )


def test_the_readme_gets_one_table_and_what_was_missed(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- last run: begin --><!-- last run: end -->")
    publish(results_of({"read": READ}, {}), tmp_path, readme)
    assert "| read a project | 200 | 2.00 | 0.33 | 0.50 |" in readme.read_text()
    assert "- `read`: cost × the ceiling's: 2.00, not 1.4" in readme.read_text()
    assert "### Read a project" not in readme.read_text()


def test_programs_are_told_the_same() -> None:
    targets = {target["figure"]: target for target in as_json(results_of({"read": READ}, {}))["targets"]}
    assert targets["`read`: cost × the ceiling's"]["measured"] == 2.0
    assert targets["`read`: cost × the ceiling's"]["reached"] is False
    assert targets["`read`: cost × Fastify's"]["reached"] is True
    assert targets["`list`: cost × the ceiling's"]["reached"] is None


def test_a_void_figure_reaches_no_target() -> None:
    void = {**READ, "taller": [measured(1, errors=1)]}
    assert "| `read`: cost × the ceiling's | – | ≤ 1.4 | not measured |" in markdown(
        results_of({"read": void, "deep": DEEP, "list": READ}, {"deep": "refused"})
    )


@pytest.mark.parametrize(("value", "at_most", "reached"), [(2, True, True), (3, True, False), (3, False, True)])
def test_a_limit_itself_is_reached(value: float, *, at_most: bool, reached: bool) -> None:
    assert Target("x", value, 2, at_most).is_reached is reached
    assert Target("x", 2, 2, at_most).is_reached


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before <!-- last run: begin -->old<!-- last run: end --> after")
    replace_in_readme(readme, "last run", "new")
    replace_in_readme(readme, "last run", "newer")
    text = readme.read_text()
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert "newer" in text
    assert "old" not in text
    assert text.count("new") == 1
