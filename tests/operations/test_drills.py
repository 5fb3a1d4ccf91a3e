"""What drills say of lost and doubled writes (deploy/load.py), and that the list of drills is what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.database.migrations import ROOT

pytestmark = pytest.mark.slow

ACKNOWLEDGED = "10.0 a\n11.0 b\n15.5 c\n16.0 d\n"


def load(*arguments: str) -> str:
    command = [sys.executable, str(ROOT / "deploy" / "load.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - ours


@pytest.mark.parametrize(
    ("there", "until", "found"),
    [
        ("abcd", "99", {"acknowledged": 4, "lost": 0, "doubled": 0, "unacknowledged": 0, "rpo": 0}),
        ("abbcx", "99", {"acknowledged": 4, "lost": 1, "doubled": 1, "unacknowledged": 1, "rpo": 0.5}),
        ("", "99", {"acknowledged": 4, "lost": 4, "rpo": -1}),
        ("abc", "12", {"acknowledged": 2, "lost": 0, "later": 2, "later_there": 1}),
    ],
)
def test_lost_and_doubled_writes_are_counted(tmp_path: Path, there: str, until: str, found: dict[str, float]) -> None:
    (tmp_path / "acknowledged").write_text(ACKNOWLEDGED)
    (tmp_path / "there").write_text("".join(f"{title}\n" for title in there))
    said = load("compare", str(tmp_path / "acknowledged"), str(tmp_path / "there"), "--until", until)
    counted = {name: float(value) for name, value in re.findall(r"^(\w+)=(\S+)$", said, re.MULTILINE)}
    assert found.items() <= counted.items()


@pytest.mark.parametrize(("start", "end", "longest"), [("0", "99", "4.5"), ("0", "10.5", "1.0"), ("20", "25", "5.0")])
def test_the_longest_gap_counts_what_began_before(tmp_path: Path, start: str, end: str, longest: str) -> None:
    (tmp_path / "acknowledged").write_text(ACKNOWLEDGED)
    assert load("gap", str(tmp_path / "acknowledged"), start, end).strip() == longest


def test_the_guide_lists_the_drills_that_there_are() -> None:
    script = (ROOT / "deploy" / "drills").read_text()
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    (all_of_them,) = re.findall(r"set -- (.*)$", script, re.MULTILINE)
    assert all_of_them.split() == listed
    own = {path.parent.name for path in (ROOT / "deploy").glob("*/drill")}
    assert own <= set(listed)
    for drill in listed:
        assert re.search(rf"^ +(?:\w+ \| )*{drill}(?: \| \w+)*\) ", script, re.MULTILINE)
