"""docs/how-to/add-a-feature.md, followed on a copy of the checkout: what is laid holds and costs what the page says."""

import difflib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.docs import PAGES, ROOT
from devtools.new_feature import FeatureError, lay

GUARDS = (
    "tests/notes",
    "tests/architecture/test_boundaries.py::test_every_contract_holds",
    "tests/architecture/test_docs.py",
    "tests/architecture/test_mirror.py",
    "tests/architecture/test_routes.py",
    "tests/architecture/test_sources.py",
    "tests/migrations/test_drift.py",
    "tests/migrations/test_tables.py",
    "tests/access/test_matrix.py",
    "tests/access/test_mass_assignment.py",
    "tests/contract/test_openapi.py",
)
OF_ALL_OPERATIONS = "matrix or mass_assignment or contract"
"""Of these, the tests of the new operations."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout, without what is made on each machine but the compiled modules."""
    unwanted = shutil.ignore_patterns(
        ".git", ".venv", ".taller", ".tools", ".hypothesis", "*_cache", "node_modules", "results"
    )
    return Path(shutil.copytree(ROOT, tmp_path / "checkout", ignore=unwanted))


def run(checkout: Path, *command: str) -> str:
    """What a program says there; it has to succeed."""
    # The server of this run, and no template of it: the copy has a migration more.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(  # noqa: S603 - our own programs
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=checkout,
        env=environment | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def changed(checkout: Path) -> dict[str, int]:
    """The shared files that differ from this checkout, and in how many lines."""
    found = {}
    for path in sorted(checkout.rglob("*")):
        place = path.relative_to(checkout)
        original = ROOT / place
        if (
            path.is_file()
            and original.is_file()
            and path.suffix != ".pyc"
            and path.read_bytes() != original.read_bytes()
        ):
            lines = difflib.ndiff(original.read_text().splitlines(), path.read_text().splitlines())
            found[str(place)] = sum(line.startswith("+ ") for line in lines)
    return found


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_new_feature_passes_and_changes_three_shared_files(checkout: Path) -> None:
    run(checkout, "python", "-m", "devtools.new_feature", "notes")
    shared = changed(checkout)
    assert len(shared) <= 3
    assert sum(shared.values()) <= 6, shared
    run(checkout, "python", "-m", "devtools.docs")
    assert changed(checkout).keys() - shared.keys() <= PAGES.keys()
    new = ["app/notes", "tests/notes", "alembic/versions", "app/features.py"]
    run(checkout, "ruff", "check", *new)
    run(checkout, "ruff", "format", "--check", *new)
    run(checkout, "ty", "check", "--quiet", *new[:2])
    selected = f"note or not ({OF_ALL_OPERATIONS})"
    said = run(checkout, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", selected, *GUARDS)
    assert " passed" in said


def test_feature_name_is_an_unused_plural_noun(tmp_path: Path) -> None:
    for name in ("Notes", "note", "../notes"):
        with pytest.raises(FeatureError, match="plural noun"):
            lay(tmp_path, name)
    (tmp_path / "app" / "notes").mkdir(parents=True)
    with pytest.raises(FeatureError, match="app/notes/ exists"):
        lay(tmp_path, "notes")
