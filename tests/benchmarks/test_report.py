"""What the report says of targets, and where it writes."""

from pathlib import Path

import pytest

from benchmarks.check import Findings
from benchmarks.contender import BY_NAME
from benchmarks.data import QUICK
from benchmarks.load import Measurement
from benchmarks.operations import operations
from benchmarks.report import Target, as_json, markdown, replace_in_readme
from benchmarks.run import Plan, Results

MACHINE = {
    "date": "2026-11-24", "revision": "1", "processor": "one", "cores": 2, "memory_gib": 4, "kernel": "6", "node": "20",
    "python": "3", "wrk": "4", "load_before": (0.0,), "load_after": (0.0,),
}  # fmt: skip


def measured(cost: float, p50: float = 1.0, errors: int = 0) -> Measurement:
    return Measurement(1000, 1000 / p50, p50, 2 * p50, cost, 0.0, errors)


def results_of(measurements: dict[str, dict[str, list[Measurement]]], absent: dict[str, str]) -> Results:
    names = ["ceiling", "taller", "textbook"]
    chosen = [operation for operation in operations(QUICK) if operation.name in measurements]
    plan = Plan([BY_NAME[name] for name in names], chosen, QUICK, 1, 1.0, Path())
    findings = {name: Findings(absent=absent if name == "taller" else {}) for name in names}
    return Results(plan, MACHINE, {}, findings, measurements)


READ = {"ceiling": [measured(100)], "taller": [measured(200, 2)], "textbook": [measured(600, 3)]}
DEEP = {"ceiling": [measured(100)], "textbook": [measured(600, 3)]}


def test_each_target_is_told_with_what_was_measured_and_whether_it_is_reached() -> None:
    told = markdown(results_of({"read": READ, "deep": DEEP}, {"deep": "refused: page_too_deep"}))
    assert "| `read`: cost × the ceiling's | 2.00 | ≤ 2.5 | yes |" in told
    assert "| `read`: the textbook's cost × ours | 3.00 | ≥ 3.5 | **no** |" in told
    assert "| `list`: cost × the ceiling's | – | ≤ 2 | not measured |" in told
    assert "| `read`: requests/s × that of textbook (FastAPI, ORM) | 1.50 | ≥ 1 | yes |" in told
    assert "| Taller | refused: page_too_deep | | | | | |" in told


def test_what_a_feature_costs_is_told_against_the_same_without_it() -> None:
    results = results_of({"read": READ, "read-unchanged": {"taller": [measured(150)]}}, {})
    results.findings["taller"].statements["read-unchanged"] = 1
    (row,) = (line for line in markdown(results).splitlines() if "`read-unchanged`" in line)
    assert row.endswith("| 150 | 0 | 1 | 0.75 × `read` |")
    assert "### Read a project that is unchanged" not in markdown(results)


def test_programs_are_told_the_same() -> None:
    targets = {target["figure"]: target for target in as_json(results_of({"read": READ}, {}))["targets"]}
    assert targets["`read`: cost × the ceiling's"]["measured"] == 2.0
    assert targets["`read`: cost × the ceiling's"]["reached"] is True
    assert targets["`list`: cost × the ceiling's"]["reached"] is None


def test_a_void_figure_reaches_no_target() -> None:
    void = {**READ, "taller": [measured(1, errors=1)]}
    assert "| `read`: cost × the ceiling's | – | ≤ 2.5 | not measured |" in markdown(
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
