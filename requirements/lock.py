"""The lock: `make lock` rewrites requirements/, `--check` says whether they are up to date.

Versions, hashes and the reason for each are recorded; no index and no download address is.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {
    "requirements/runtime.txt": [],
    "requirements/run.txt": ["--group", "run", "--constraint", "requirements/runtime.txt"],
    "requirements/otel.txt": ["--group", "otel", "--constraint", "requirements/runtime.txt"],
    "requirements/dev.txt": ["--group", "dev", "--constraint", "requirements/runtime.txt"],
}
ADDRESS = re.compile(r"\w+:[/]{2}|--(extra-)?index-url|--find-links")


def compile_lock(name: str, target: Path) -> None:
    """Resolve for every supported Python and platform; versions already pinned in `target` stay where they fit."""
    subprocess.run(
        [
            str(Path(sys.executable).with_name("uv")),
            "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes",
            "--no-header", "--no-emit-index-url", "--no-emit-find-links",
            *LOCKS[name], "pyproject.toml", "--output-file", str(target),
        ],
        cwd=ROOT,
        check=True,
    )  # fmt: skip
    if ADDRESS.search(target.read_text()):
        sys.exit(f"{name} names an address")


def main() -> None:
    """Rewrite or check."""
    if sys.argv[1:] != ["--check"]:
        for name in LOCKS:
            compile_lock(name, ROOT / name)
        return
    with tempfile.TemporaryDirectory() as directory:
        for name in LOCKS:
            copy = Path(directory) / "lock.txt"
            copy.write_bytes((ROOT / name).read_bytes())
            compile_lock(name, copy)
            if copy.read_bytes() != (ROOT / name).read_bytes():
                sys.exit(f"{name} is not up to date with pyproject.toml: run `make lock`")
    print("locks are up to date")


if __name__ == "__main__":
    main()
