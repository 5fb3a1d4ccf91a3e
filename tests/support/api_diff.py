"""What a change takes from clients: `make api-diff` compares the OpenAPI document with that of the last release.

oasdiff judges it. A breaking change is allowed where the version says so (docs/operations.md, "Versions").
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from app.core.database.migrations import ROOT
from tests.support import tools

DOCUMENT = "docs/api/openapi.json"


def breaking_changes(before: str, after: str) -> list[str]:
    """Return what a client of the document before would notice, a line each. Raise `MissingError` without Go."""
    go = tools.program("go")
    # The module that pins oasdiff stands elsewhere than what it reads.
    module = tools.PINNED / "oasdiff"
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory, name) for name in ("before.json", "after.json")]
        for file, document in zip(files, (before, after), strict=True):
            file.write_text(document)
        # Generated clients go by the names of operations and schemas; and what was deprecated is still taken away.
        severity = "--severity-levels=severity.txt"
        command = (go, "tool", "oasdiff", "breaking", severity, "--format=json", *map(str, files))
        done = subprocess.run(
            command, cwd=module, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
    if done.returncode != 0:
        raise tools.ToolError(f"oasdiff exits with {done.returncode}:\n{done.stderr}")
    return [f"{_where(change)}: {change['text']} ({change['id']})" for change in json.loads(done.stdout or "[]")]


def _where(change: dict[str, str]) -> str:
    return f"{change['operation']} {change['path']}" if "operation" in change else change["section"]


def may_break(before: str, after: str) -> bool:
    """Return whether a version may break what another one had: before 1.0 by its second number, then by its first."""
    old, new = (tuple(map(int, version.split("."))) for version in (before, after))
    return new[0] > old[0] or (old[0] == new[0] == 0 and new[1] > old[1])


def compare(root: Path) -> tuple[bool, str]:
    """Return whether the document of this checkout keeps what the last release had, and what to say about it."""
    tag = _git(root, "describe", "--tags", "--abbrev=0", "--match", "v*")
    if tag is None:
        return True, "there is no release (no tag v…): nothing to compare the OpenAPI document with"
    released = _git(root, "show", f"{tag}:{DOCUMENT}")
    if released is None:
        return True, f"{tag} has no {DOCUMENT}: nothing to compare it with"
    document = (root / DOCUMENT).read_text()
    changes = breaking_changes(released, document)
    if not changes:
        return True, f"nothing that clients of {tag} rely on has changed"
    old, new = (json.loads(text)["info"]["version"] for text in (released, document))
    told = "\n".join([f"{len(changes)} breaking changes since {tag}:", *changes])
    if may_break(old, new):
        return True, f"{told}\nversion {new} may have them; CHANGELOG.md has to name them"
    return False, f"{told}\ntake them back, or raise the version {new} in app/__init__.py (docs/operations.md)"


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git writes, or None if it refuses."""
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)  # noqa: S607 - wherever it is
    return done.stdout.strip() if done.returncode == 0 else None


def main() -> None:
    """Compare this checkout with its last release."""
    try:
        holds, told = compare(ROOT)
    except tools.MissingError as error:
        holds, told = True, f"the OpenAPI document was not compared with the last release: {error}"
    except tools.ToolError as error:
        holds, told = False, str(error)
    print(told)
    sys.exit(not holds)


if __name__ == "__main__":
    main()
