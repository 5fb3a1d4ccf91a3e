"""The pages of docs/api/ are true: their examples are run, and answer what the page shows.

To write a page, write it: `docs/api/<page>.md` is found by this test. What holds for its fenced blocks:

- The first is that of the README, word for word, so that the page stands alone: `api` calls as admin, `field` takes a
  member from JSON, `show` any expression of `answer`; where that is a refusal they write its `detail`.
- `sh` is pasted, block by block, into zsh and then into bash (those that are installed) that have `curl`, `python3` and
  nothing else. The service is at `http://localhost:8000`, its first user is the seed's admin. bash finds what zsh has
  left: do not count on what only an empty database answers. dash only reads the blocks. (What defines `api` and signs
  in is the README's first block, and the README is pasted twice into each of the three.)
- `json` or `text` right behind a `sh` block is all that this wrote. `…` stands for what differs each time (within a
  line, and up to the next quotation mark). A `sh` block without one writes nothing.
- `ts` blocks are one program, which `tests/contract/test_written_client.py` compiles and runs.
- `console` starts the service with settings: `$ TALLER_RATE_LIMIT=10/5 make run`. The page is tried with them.
- There are no other kinds of block.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.database.migrations import ROOT
from tests.support.doc_examples import RUN, SHELLS, SHOWN, assert_answers_as_shown, blocks, has_right_syntax, steps
from tests.support.process import Service, running_service

pytestmark = pytest.mark.slow

PAGES = sorted((ROOT / "docs" / "api").glob("*.md"))
SIGNING_IN = steps((ROOT / "README.md").read_text())[0][0]
STARTED = re.compile(r"^\$ ((?:TALLER_\w+=\S+ )+)make run$", re.MULTILINE)
PASTED_INTO = [shell for shell in ("zsh", "bash") if shell in SHELLS]
"""The shells of people."""
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def settings_of(page: str) -> dict[str, str]:
    """What the page says that the service is started with."""
    said = STARTED.findall(page)
    return dict(setting.split("=", 1) for line in said for setting in line.split())


@pytest.fixture
def serving(path: Path, request: pytest.FixtureRequest, server_url: str) -> Iterator[Service]:
    """What serves a page's examples: the service of all tests, unless the page says what it is started with."""
    if environment := settings_of(path.read_text()):
        with running_service(server_url, environment=environment) as service:
            yield service
    else:
        yield request.getfixturevalue("service")


@each_page
def test_a_page_shows_what_is_answered(path: Path, serving: Service, tmp_path: Path) -> None:
    page = path.read_text()
    for shell in PASTED_INTO:
        directory = tmp_path / shell
        directory.mkdir()
        assert_answers_as_shown(page, serving, directory, shell)


@each_page
@pytest.mark.skipif("dash" not in SHELLS, reason="dash is not installed")
def test_a_page_has_the_syntax_of_posix_shells(path: Path) -> None:
    assert has_right_syntax(path.read_text(), "dash")


@pytest.mark.skipif("dash" not in SHELLS, reason="dash is not installed")
def test_syntax_of_other_shells_is_found() -> None:
    assert not has_right_syntax("# Page\n\n```sh\nids=(1 2)\n```\n", "dash")


@each_page
def test_a_page_has_examples_and_nothing_that_is_not_run(path: Path) -> None:
    page = path.read_text()
    assert [text for kind, text in blocks(page) if kind == "console" and not STARTED.fullmatch(text.rstrip())] == []
    assert {kind for kind, _ in blocks(page)} <= RUN | SHOWN | {"console", "ts"}
    [(first, _), *others] = steps(page)
    assert first == SIGNING_IN, "begin with the first block of the README, so that the page can be pasted alone"
    assert any("curl" in text or "api " in text for text, _ in others)


def test_there_are_pages() -> None:
    assert {path.stem for path in PAGES} >= {"errors", "limits"}


def test_settings_are_read_from_the_page() -> None:
    page = "# Page\n\n```console\n$ TALLER_RATE_LIMIT=10/5 TALLER_MAX_SESSIONS=2 make run\n```\n"
    assert settings_of(page) == {"TALLER_RATE_LIMIT": "10/5", "TALLER_MAX_SESSIONS": "2"}
