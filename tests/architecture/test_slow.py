"""Tests that start processes carry the mark `slow`, so that `make test-quick` is quick."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

STARTED = """
import subprocess, sys
import pytest

def start():
    subprocess.run([sys.executable, "-c", ""], check=True)

@pytest.fixture
def started():
    start()

def test_unmarked():
    start()

def test_unmarked_by_fixture(started):
    pass

@pytest.mark.slow
def test_marked(started):
    start()

def test_that_starts_nothing():
    pass
"""


@pytest.mark.slow
def test_unmarked_test_that_starts_a_process_fails(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(STARTED)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.slow", "-p", "no:schemathesis", "-rA"]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [*command, f"--rootdir={tmp_path}", "-c", tmp_path / "pytest.ini", tmp_path / "test_it.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(re.findall(r"^(PASSED|FAILED) \S+::(\w+)", done.stdout, re.MULTILINE)) == {
        ("FAILED", "test_unmarked"),
        ("FAILED", "test_unmarked_by_fixture"),
        ("PASSED", "test_marked"),
        ("PASSED", "test_that_starts_nothing"),
    }
    assert "mark it with pytest.mark.slow" in done.stdout
