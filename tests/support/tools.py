"""Tools that read the OpenAPI document, installed on demand; as a program, the lint of `make check`.

None of them is a dependency of the service or of its development environment: they stand in `.tools`, as
`requirements/openapi` pins them with their hashes.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from app.core.migrations import ROOT

PINNED = ROOT / "requirements" / "openapi"
TOOLS = ROOT / ".tools"
NODE = (20, 19)
INSTALL_TIMEOUT = 300
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


class NodeMissingError(RuntimeError):
    """Node is not there, or too old."""


class ToolError(RuntimeError):
    """A tool cannot be installed, or says no; with its output."""


def run(*command: str | Path, directory: Path, timeout: float, environment: dict[str, str] | None = None) -> None:
    """Run a program to its end; raise `ToolError` with what it wrote unless it succeeds."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{command[0]} took more than {timeout} s:\n{error.stdout!r}") from error
    if done.returncode != 0:
        raise ToolError(f"{command[0]} exits with {done.returncode}:\n{done.stdout}")


def node() -> str:
    """The Node that there is, with npm; raise `NodeMissingError` without one that is new enough."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        raise NodeMissingError("Node is not installed with npm")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < NODE:
        raise NodeMissingError(f"Node {version.strip()} is too old: {'.'.join(map(str, NODE))} or newer is needed")
    return program


def node_modules() -> Path:
    """Where the packages for Node stand, installed if they were not."""
    node()
    lock = PINNED / "package-lock.json"

    def install(target: Path) -> None:
        for file in (PINNED / "package.json", lock):
            shutil.copy(file, target)
        run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", directory=target, timeout=INSTALL_TIMEOUT)

    return _installed("node", lock.read_bytes(), install) / "node_modules"


def python_environment() -> Path:
    """The `bin` of the environment that has the tools in Python, made if it was not there."""
    lock = PINNED / "requirements.txt"

    def install(target: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        run(uv, "venv", "--clear", "--python", sys.executable, target, directory=ROOT, timeout=INSTALL_TIMEOUT)
        packages = ("pip", "install", "--python", target / "bin" / "python", "--require-hashes", "-r", lock)
        run(uv, *packages, directory=ROOT, timeout=INSTALL_TIMEOUT)

    return _installed("python", lock.read_bytes() + sys.version.encode(), install) / "bin"


def _installed(name: str, wanted: bytes, install: Callable[[Path], None]) -> Path:
    """The folder of these tools, after `install` if what is `wanted` is not what stands there."""
    target = TOOLS / name
    target.mkdir(parents=True, exist_ok=True)
    stamp, wanted_stamp = target / ".installed", hashlib.sha256(wanted).hexdigest()
    # Tests in several processes may want it at once.
    with (TOOLS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted_stamp:
            install(target)
            stamp.write_text(wanted_stamp)
    return target


def lint(document: bytes) -> None:
    """Raise `ToolError` if the document has an error or a warning."""
    redocly = node_modules() / ".bin" / "redocly"
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "openapi.json"
        file.write_bytes(document)
        command = (redocly, "lint", file, f"--config={PINNED / 'redocly.yaml'}")
        run(*command, directory=Path(directory), timeout=60, environment={**os.environ, **QUIET})


def main() -> None:
    """Lint the document of this checkout."""
    document = subprocess.run([sys.executable, "-m", "app", "openapi"], cwd=ROOT, capture_output=True, check=True)
    try:
        lint(document.stdout)
    except NodeMissingError as error:
        print(f"the OpenAPI document was not linted: {error}")
    except ToolError as error:
        sys.exit(str(error))
    else:
        print("the OpenAPI document has no error and no warning")


if __name__ == "__main__":
    main()
