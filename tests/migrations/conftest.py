"""A tree to plant migrations in."""

from pathlib import Path

import pytest

from tests.migrations.history import copy_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the application and its migrations."""
    return copy_tree(tmp_path)
