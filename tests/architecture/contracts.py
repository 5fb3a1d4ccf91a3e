"""import-linter's contracts, as `make check` runs them, over any tree."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.architecture.source import ROOT

CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]


def broken_contracts(root: Path) -> list[str]:
    """The names of the contracts that a tree breaks."""
    done = subprocess.run(  # noqa: S603 - our own program
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)(?: \(.+\))?$", done.stdout, re.MULTILINE))
    # A linter that did not get to its verdicts has not found the tree to be good.
    assert list(verdicts) == CONTRACTS, done.stdout + done.stderr
    return [name for name, verdict in verdicts.items() if verdict == "BROKEN"]
