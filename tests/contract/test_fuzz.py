"""`make fuzz` tries new cases each time, and says how to repeat them."""

import re
import subprocess
import sys

import pytest

from app.core.database.migrations import ROOT
from tests.contract.fuzz import main

pytestmark = pytest.mark.slow


def test_a_run_names_its_seed_and_how_to_repeat_it() -> None:
    chosen = ["--as=stranger", "--operations=read_liveness", "--examples=1"]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "tests.contract.fuzz", *chosen],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r'^seed (\d+); to repeat this: make fuzz options="(.+)"$', done.stdout, re.MULTILINE)
    assert found
    assert set(found[2].split()) == {f"--seed={found[1]}", *chosen}
    assert "as stranger: everything holds" in done.stdout


@pytest.mark.parametrize("option", ["--as=nobody", "--seed=x"])
def test_what_cannot_be_tried_is_said(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([option])
    assert option.partition("=")[2] in capsys.readouterr().err
