"""Tests stand where the code does."""

import pytest

from tests.architecture import rules
from tests.architecture.source import ROOT


def test_every_feature_has_tests_and_factories() -> None:
    assert rules.unmirrored_features(ROOT) == []


def test_every_table_has_a_factory() -> None:
    assert rules.tables_without_factory(ROOT) == []


@pytest.mark.slow
def test_importing_the_features_imports_every_table() -> None:
    assert rules.tables_outside_the_metadata(ROOT) == []
