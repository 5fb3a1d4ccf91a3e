"""Documents whose examples are run: what is pasted from a page, and whether it answers what the page shows."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.process import Service

ADDRESS = "http://localhost:8000"
"""Where examples find the service."""

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SEPARATOR = "-- end of block --"
RUN, SHOWN = {"sh"}, {"text", "json"}


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the kind and the text of every fenced block, in order."""
    found: list[tuple[str, str]] = BLOCK.findall(page)
    assert page.count("\n```") == 2 * len(found), "a fence is not closed, or has no kind"
    return found


def steps(page: str) -> list[tuple[str, str]]:
    """Return each pasted block with the output that the page shows for it: empty if no output follows."""
    found: list[tuple[str, str]] = []
    for kind, text in blocks(page):
        if kind in RUN:
            found.append((text, ""))
        elif kind in SHOWN:
            found[-1] = (found[-1][0], text)
    return found


SHELLS = {
    name: [path, *options]
    for name, options in {"bash": ["--noprofile", "--norc"], "dash": [], "zsh": ["--no-rcs"]}.items()
    if (path := shutil.which(name)) is not None
}
"""How each shell that is installed is started, without what a person has configured."""


def has_right_syntax(page: str, shell: str) -> bool:
    """Whether a shell can read a page's blocks, which are not executed."""
    script = "".join(text for text, _ in steps(page))
    done = subprocess.run([*SHELLS[shell], "-n"], input=script, capture_output=True, text=True, check=False)
    return (done.returncode, done.stderr) == (0, "")


def paste(script: str, directory: Path, shell: str = "bash") -> "subprocess.CompletedProcess[str]":
    """Run in a shell that finds curl and python3, and no other program."""
    curl = shutil.which("curl")
    assert curl is not None
    (directory / "curl").symlink_to(curl)
    # What the environment's links lead to: version managers put scripts in the PATH that need more programs. Without
    # the packages of this machine (-S), which examples do not need, it starts in half the time.
    python = directory / "python3"
    python.write_text(f'#!/bin/sh\nexec {Path(sys.executable).resolve()} -S "$@"\n')
    python.chmod(0o755)
    return subprocess.run(
        [*SHELLS[shell], "-c", script],
        cwd=directory,
        # A home without a .curlrc, and no proxy.
        env={"PATH": str(directory), "HOME": str(directory)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def pattern_of(shown: str) -> str:
    """Return a regular expression in which `…` matches what differs each time: an id, a moment."""
    return re.escape(shown).replace(re.escape("…"), r'[^"\n]+')


def assert_answers_as_shown(page: str, service: Service, directory: Path, shell: str, *, twice: bool = False) -> None:
    """Paste a page's blocks into one shell: each writes what is shown. `twice` repeats them with an old token."""
    pasted = [*steps(page), *([("TOKEN=expired\n", ""), *steps(page)] if twice else [])]
    script = "set -eu\n" + f"echo '{SEPARATOR}'\n".join(text for text, _ in pasted)
    done = paste(script.replace(ADDRESS, service.url), directory, shell)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    outputs = done.stdout.split(f"{SEPARATOR}\n")
    assert len(outputs) == len(pasted)
    for (text, shown), output in zip(pasted, outputs, strict=True):
        assert re.fullmatch(pattern_of(shown), output), f"after\n{text}\nthe page shows\n{shown}\nbut it is\n{output}"
