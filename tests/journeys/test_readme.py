"""The README is true: its tour is pasted into a shell, block by block, and answers what the README shows."""

import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not in the lock

from app.core.database.migrations import ROOT
from tests.support.doc_examples import (
    ADDRESS,
    RUN,
    SHELLS,
    SHOWN,
    assert_answers_as_shown,
    blocks,
    paste,
    pattern_of,
    steps,
)
from tests.support.process import Service

README = (ROOT / "README.md").read_text()

# `console` blocks start servers, containers or this suite itself: they are compared with what they call instead.
STARTED = {"console"}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_the_tour_answers_what_the_readme_shows(service: Service, tmp_path: Path, shell: str) -> None:
    assert_answers_as_shown(README, service, tmp_path, shell, twice=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("TOKEN=expired", "The access token is malformed, expired, revoked or not issued by this service.*"),
        ("API=http://127.0.0.1:1", "curl: .*Failed to connect to 127.0.0.1 port 1 .*"),
        ("PROJECT=x", "project_id must be a UUID."),
    ],
)
def test_what_goes_wrong_in_the_tour_is_one_line(service: Service, tmp_path: Path, before: str, said: str) -> None:
    [(signing_in, _), *_] = steps(README)
    script = f"PROJECT=\n{signing_in}\n{before}\napi $API/projects/$PROJECT | field id"
    done = paste(script.replace(ADDRESS, service.url), tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(said, done.stderr.rstrip("\n")), done.stderr


def test_every_block_is_run_shown_or_known_to_start_something() -> None:
    assert {kind for kind, _ in blocks(README)} <= RUN | SHOWN | STARTED
    assert all("curl" in text or "api " in text for text, _ in steps(README))
    assert not any("curl" in text for kind, text in blocks(README) if kind not in RUN)


def test_the_tour_shows_what_a_newcomer_wants_to_see() -> None:
    shown = "".join(text for _, text in steps(README))
    assert shown.index("Buy a workbench, Sharpen the chisels") < shown.index("page 2 of 2: Sweep the floor")
    for sign in ('"code":"invalid_request"', '"role":"editor"', '"code":"insufficient_scope"', "invalid_token"):
        assert sign in shown


def test_what_starts_something_calls_what_exists() -> None:
    commands = [
        line.removeprefix("$ ").partition("#")[0].split()
        for kind, text in blocks(README)
        if kind in STARTED
        for line in text.splitlines()
    ]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [words[1] for words in commands if words[0] == "make"] == ["run", "test"]
    assert {"run", "test"} <= set(targets)
    assert [words[1:] for words in commands if words[0] == "docker"] == [
        ["compose", "up", "--build"],
        ["compose", "down", "-v"],
    ]
    compose = yaml.safe_load((ROOT / "compose.yml").read_text())
    assert {name for name, service in compose["services"].items() if "build" in service} == {"migrate", "api"}
    assert compose["volumes"] == {"db": None}, "which is what `down -v` deletes"
    assert {words[0] for words in commands} == {"make", "docker"}


def test_a_wrong_answer_is_noticed() -> None:
    shown = '{"id":"…","role":"owner"}\n'
    assert re.fullmatch(pattern_of(shown), '{"id":"7","role":"owner"}\n')
    assert not re.fullmatch(pattern_of(shown), '{"id":"7","role":"viewer"}\n')
    assert not re.fullmatch(pattern_of(shown), '{"id":"7","role":"owner"}\n{"id":"8","role":"owner"}\n')
    assert not re.fullmatch(pattern_of(""), "unexpected\n")
