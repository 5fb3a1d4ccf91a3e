"""A tree to plant migrations in."""

import shutil
from pathlib import Path

import pytest

from app.core.database.migrations import ROOT


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the application and its migrations."""
    for name in ("app", "alembic"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path
