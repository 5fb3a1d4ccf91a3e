"""What `make docs` writes is what stands in docs/."""

import re
from pathlib import Path

import pytest

from devtools import docs


@pytest.mark.parametrize("place", docs.PAGES)
def test_a_written_page_is_up_to_date(place: str) -> None:
    assert (docs.ROOT / place).read_text() == docs.PAGES[place](), "run `make docs`"


def test_the_index_leaves_out_no_page() -> None:
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)\)", docs.index_page()))
    pages = {str(path.relative_to(docs.DOCS)) for path in docs.DOCS.rglob("*.md")} - {"README.md"}
    assert pages - linked == set(), "give the folder a section in devtools/docs.py"
    assert "decisions/0002-one-request-one-transaction.md); see [0024](" in docs.index_page()


def test_settings_of_this_process_do_not_change_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    before = docs.openapi_page()
    monkeypatch.setenv("TALLER_PUBLIC_URL", "https://taller.test/here")
    assert docs.openapi_page() == before


def test_a_page_without_a_section_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tips").mkdir()
    (tmp_path / "tips" / "new.md").write_text("# New\n")
    monkeypatch.setattr(docs, "DOCS", tmp_path)
    with pytest.raises(AssertionError, match=r"tips/new\.md"):
        test_the_index_leaves_out_no_page()
