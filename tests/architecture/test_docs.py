"""Documents name only what exists."""

from pathlib import Path

from app.core.config import Settings
from tests.architecture import documents
from tests.architecture.source import ROOT


def test_env_example_lists_exactly_the_settings() -> None:
    assert documents.settings_out_of_step(ROOT) == []


def test_env_example_uncommented_changes_nothing(tmp_path: Path) -> None:
    copy = tmp_path / ".env"
    copy.write_text((ROOT / ".env.example").read_text().replace("#TALLER_", "TALLER_"))
    assert Settings(_env_file=copy) == Settings(_env_file=None)


def test_documents_name_only_what_exists() -> None:
    assert {path.name for path in documents.documents(ROOT)} >= {"README.md", "CONTRIBUTING.md", "add-a-feature.md"}
    assert documents.dead_mentions(ROOT) == []


def test_references_to_documents_lead_somewhere() -> None:
    assert documents.dead_references(ROOT) == []


def test_every_feature_has_owners() -> None:
    assert documents.features_without_owners(ROOT) == []
