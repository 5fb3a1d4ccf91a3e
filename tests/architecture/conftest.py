"""A tree to plant offences in."""

import shutil
from pathlib import Path

import pytest

from tests.architecture.source import ROOT


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the whole tree; what a test plants in it is gone at the end of the test."""
    root = tmp_path_factory.mktemp("tree")
    unwanted = shutil.ignore_patterns("__pycache__", "static", "data", "*.png")
    for name in ("app", "devtools", "alembic", "tests", "docs", ".github"):
        shutil.copytree(ROOT / name, root / name, ignore=unwanted)
    for path in (*ROOT.glob("*.md"), *map(ROOT.joinpath, ("pyproject.toml", "Makefile", ".env.example", ".gitignore"))):
        shutil.copy(path, root)
    return root
