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

from app.core.database.migrations import ROOT

PINNED = ROOT / "requirements" / "openapi"
TOOLS = ROOT / ".tools"
LANGUAGES = {
    "node": (["node", "--version"], (20, 19), ["npm"]),
    "java": (["java", "--version"], (17, 0), ["javac", "mvn"]),
    "go": (["go", "env", "GOVERSION"], (1, 26), []),
}
"""How each says its version, the oldest that will do, and the programs that it needs besides."""
INSTALL_TIMEOUT = 300
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


class MissingError(RuntimeError):
    """What tools run on is not there, or too old."""


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


def program(language: str) -> str:
    """Return the program that runs a language. Raises `MissingError` if it or what it needs is missing or too old."""
    version, oldest, others = LANGUAGES[language]
    missing = [name for name in (language, *others) if shutil.which(name) is None]
    if missing:
        raise MissingError(f"{' and '.join(missing)} cannot be found")
    # Another Go would fetch the one that `go.mod` names.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    output = subprocess.run(version, capture_output=True, text=True, check=True, env=environment).stdout
    found = tuple(map(int, re.findall(r"\d+", output)[:2]))
    if found < oldest:
        raise MissingError(f"{language} {'.'.join(map(str, found))} is older than {'.'.join(map(str, oldest))}")
    return language


def node_modules() -> Path:
    """Return the directory of the packages for Node. Installs them first if need be."""
    program("node")
    # Some generators look for a `tsconfig.json` beside themselves, to write code that it compiles.
    files = [PINNED / name for name in ("package.json", "package-lock.json", "tsconfig.json")]

    def install(target: Path) -> None:
        for file in files:
            shutil.copy(file, target)
        run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", directory=target, timeout=INSTALL_TIMEOUT)

    return _installed("node", b"".join(file.read_bytes() for file in files), install) / "node_modules"


def python_environment() -> Path:
    """Return the `bin` directory of the environment with the Python tools. Makes it first if need be."""
    lock = PINNED / "requirements.txt"

    def install(target: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        run(uv, "venv", "--clear", "--python", sys.executable, target, directory=ROOT, timeout=INSTALL_TIMEOUT)
        # What `pyproject.toml` tells uv is for this project.
        packages = (
            "pip",
            "install",
            "--no-config",
            "--python",
            target / "bin" / "python",
            "--require-hashes",
            "-r",
            lock,
        )
        run(uv, *packages, directory=ROOT, timeout=INSTALL_TIMEOUT)

    return _installed("python", lock.read_bytes() + sys.version.encode(), install) / "bin"


def jars() -> Path:
    """Return the directory of the Java generator (`generator/`) and its libraries (`lib/`). Fetches them if need be."""
    pinned = PINNED / "java"
    sums = (pinned / "SHA256SUMS").read_bytes()

    def install(target: Path) -> None:
        shutil.copy(pinned / "pom.xml", target)
        for folder in ("generator", "lib"):
            shutil.rmtree(target / folder, ignore_errors=True)
        # -C: what does not have the checksum that its repository states is refused.
        run("mvn", "-q", "-B", "-C", "package", directory=target, timeout=INSTALL_TIMEOUT)
        files = sorted(path.relative_to(target) for path in target.glob("*/*.jar"))
        found = [f"{hashlib.sha256((target / file).read_bytes()).hexdigest()}  {file}\n" for file in files]
        if "".join(found).encode() != sums:
            raise ToolError(f"{target} does not hold what SHA256SUMS says:\n{''.join(found)}")

    return _installed("java", sums + (pinned / "pom.xml").read_bytes(), install)


def _installed(name: str, wanted: bytes, install: Callable[[Path], None]) -> Path:
    """Return the directory of these tools, after `install` unless it already holds what is `wanted`."""
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
    except MissingError as error:
        print(f"the OpenAPI document was not linted: {error}")
    except ToolError as error:
        sys.exit(str(error))
    else:
        print("the OpenAPI document has no error and no warning")


if __name__ == "__main__":
    main()
