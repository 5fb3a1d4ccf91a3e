"""The README is true: its tour is pasted into a shell, block by block, and answers what the README shows."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # its stubs are not in the lock

from app.core.migrations import ROOT
from tests.support.process import running_service

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "http://localhost:8000"
SEPARATOR = "-- end of block --"

# `console` blocks start servers, containers or this suite itself: they are compared with what they call instead.
RUN, SHOWN, STARTED = {"sh"}, {"text", "json"}, {"console"}


def blocks() -> list[tuple[str, str]]:
    """The kind and the text of every fenced block, in order."""
    return BLOCK.findall(README)


def steps() -> list[tuple[str, str]]:
    """What is pasted, each with the output that is shown for it."""
    found: list[tuple[str, str]] = []
    for kind, text in blocks():
        if kind in RUN:
            found.append((text, ""))
        elif kind in SHOWN:
            found[-1] = (found[-1][0], text)
    return found


def paste(script: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Run in a bash that finds curl and python3, and no other program."""
    curl, bash = shutil.which("curl"), shutil.which("bash")
    assert curl is not None
    assert bash is not None
    (directory / "curl").symlink_to(curl)
    # What the environment's links lead to: version managers put scripts in the PATH that need more programs.
    (directory / "python3").symlink_to(Path(sys.executable).resolve())
    return subprocess.run(  # noqa: S603 - the README's own commands
        [bash, "--noprofile", "--norc", "-c", script],
        # A home without a .curlrc, and no proxy.
        env={"PATH": str(directory), "HOME": str(directory)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def pattern_of(shown: str) -> str:
    """Text in which `…` stands for what differs each time: an id, a moment."""
    return re.escape(shown).replace(re.escape("…"), r'[^"\n]+')


def test_the_tour_answers_what_the_readme_shows(server_url: str, tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + f"echo '{SEPARATOR}'\n".join(text for text, _ in steps())
    with running_service(server_url) as service:
        done = paste(script.replace(ADDRESS, service.url), tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    outputs = done.stdout.split(f"{SEPARATOR}\n")
    assert len(outputs) == len(steps())
    for (text, shown), output in zip(steps(), outputs, strict=True):
        assert re.fullmatch(pattern_of(shown), output), f"after\n{text}\nthe README shows\n{shown}\nbut it is\n{output}"


def test_every_block_is_run_shown_or_known_to_start_something() -> None:
    kinds = [kind for kind, _ in blocks()]
    assert README.count("\n```") == 2 * len(kinds), "a fence is not closed, or has no kind"
    assert set(kinds) <= RUN | SHOWN | STARTED
    assert all("curl" in text or "api " in text for text, _ in steps())
    assert not any("curl" in text for kind, text in blocks() if kind not in RUN)


def test_the_tour_shows_what_a_newcomer_wants_to_see() -> None:
    shown = "".join(text for _, text in steps())
    assert shown.index("Buy a workbench, Sharpen the chisels") < shown.index("page 2 of 2: Sweep the floor")
    for sign in ('"code":"invalid_request"', '"role":"editor"', '"code":"insufficient_scope"', "invalid_token"):
        assert sign in shown


def test_what_starts_something_calls_what_exists() -> None:
    commands = [
        line.removeprefix("$ ").partition("#")[0].split()
        for kind, text in blocks()
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
