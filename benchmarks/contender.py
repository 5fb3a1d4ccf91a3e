"""Those who are measured: how each is installed, started and signed in to."""

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from argon2 import PasswordHasher

from benchmarks.data import LOGIN_USERS, PASSWORD, email_of, login_name
from benchmarks.processes import end_with_harness
from benchmarks.server import Address, BenchmarkError
from devtools.pgbouncer import knows_prepared_statements

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CONTENDERS = HERE / "contenders"
ENVIRONMENTS = HERE / ".venvs"
START_TIMEOUT = 60
STOP_TIMEOUT = 30
POOL_SIZE = 10
SECRET = "benchmarks-only-nObody-signs-anything-real-with-this-0123456789"  # noqa: S105 - see what it says
TOKEN_AGE = 300
"""Seconds after which the caller signs in anew; Taller's access tokens last 15 minutes."""

LIMITS = ("TALLER_RATE_LIMIT", "TALLER_RATE_LIMIT_LOGIN")

UVICORN = (
    "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--loop", "uvloop",
    "--http", "httptools", "--no-access-log", "--log-level", "warning", "--no-server-header",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody to measure."""

    name: str
    title: str
    kind: str
    """`python` and `node` are installed on demand; `taller` is this checkout."""

    command: tuple[str, ...]
    hasher: PasswordHasher
    """Argon2 as its documentation advises."""

    hash_prefix: str = ""
    login: str = "json"
    """`json` or `form`, with a username; `email` is a form with an e-mail address for one."""

    token_field: str = "access_token"  # noqa: S105 - the name of a field
    signs_in: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    revision: str = ""
    """Of an earlier Taller: the commit."""

    people: str = ""
    """The contender whose people sign in here, if they are not its own."""

    def password_hash(self) -> str:
        """Return what its table of users holds."""
        return self.hash_prefix + self.hasher.hash(PASSWORD)

    def credentials(self, username: str) -> tuple[str, str]:
        """Return the body and the content type of a login."""
        if self.login == "json":
            return json.dumps({"username": username, "password": PASSWORD}), "application/json"
        name = email_of(username) if self.login == "email" else username
        return urlencode({"username": name, "password": PASSWORD}), "application/x-www-form-urlencoded"

    def install(self) -> Path:
        """Install what it needs, unless that is done; the program to start it with.

        Raises `BenchmarkError` where that cannot be had.
        """
        if self.kind == "taller":
            if self.revision:
                _check_out(self.revision, self.directory)
            return Path(sys.executable)
        return _install_node(self.name) if self.kind == "node" else _install_python(self.name)

    def migrate(self, url: str) -> None:
        """Make the tables of an earlier Taller."""
        variables = {**os.environ, **self.environment, "TALLER_DATABASE_URL": url}
        _run(self.title, sys.executable, "-m", "app", "migrate", directory=self.directory, environment=variables)

    @property
    def directory(self) -> Path:
        """Where its program stands."""
        if self.kind == "taller":
            return ENVIRONMENTS / f"taller-{self.revision}" if self.revision else ROOT
        return (ENVIRONMENTS if self.kind == "node" else CONTENDERS) / self.name


_OWASP = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)

ALL = (
    Contender("ceiling", "ceiling (asyncpg, orjson)", "python", UVICORN, _OWASP, signs_in=False),
    Contender(
        "taller",
        "Taller",
        "taller",
        ("-m", "app", "run"),
        _OWASP,
        environment={
            "TALLER_ENV": "production",
            "TALLER_JWT_SECRET": SECRET,
            "TALLER_WORKERS": "1",
            # One caller sends more here than anybody should; counted it is all the same.
            **dict.fromkeys(LIMITS, "999999999/60"),
            "TALLER_DATABASE_POOL_SIZE": str(POOL_SIZE),
            "TALLER_HOST": "127.0.0.1",
            # As in the image.
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        },
    ),
    Contender(
        "textbook",
        "textbook (FastAPI, ORM)",
        "python",
        UVICORN,
        # pwdlib's recommended parameters.
        PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4),
        login="email",
    ),
    Contender(
        "drf",
        "Django REST Framework",
        "python",
        (
            "-m",
            "gunicorn",
            "wsgi",
            "--bind",
            "127.0.0.1:{port}",
            "--workers",
            "1",
            "--worker-class",
            "gthread",
            "--threads",
            str(POOL_SIZE),
            "--keep-alive",
            "75",
            "--timeout",
            "120",
            "--log-level",
            "warning",
            "--worker-tmp-dir",
            # As its documentation advises, for its heartbeat: nobody else reads or writes there.
            "/dev/shm",  # noqa: S108
        ),
        PasswordHasher(time_cost=2, memory_cost=102400, parallelism=8),
        hash_prefix="argon2",
        token_field="access",  # noqa: S106 - the name of a field
    ),
    Contender(
        "litestar",
        "Litestar",
        "python",
        UVICORN,
        # argon2-cffi's defaults; its documentation names no hash.
        PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4),
        environment={"LITESTAR_WARN_IMPLICIT_SYNC_TO_THREAD": "0"},
    ),
    Contender(
        "fastify",
        "Fastify (pg, Node)",
        "node",
        ("server.js",),
        # The package's defaults; Fastify's documentation names no hash.
        _OWASP,
        environment={"NODE_ENV": "production"},
    ),
)
BY_NAME = {contender.name: contender for contender in ALL}
EARLIER = "earlier"


def _taller(name: str, title: str, **environment: str) -> Contender:
    taller = BY_NAME["taller"]
    return replace(taller, name=name, title=title, people="taller", environment={**taller.environment, **environment})


BOUNCER, LIMITED = "bouncer", "limited"
VARIANTS = (
    _taller(
        BOUNCER,
        "Taller through PgBouncer",
        TALLER_PGBOUNCER="true",
        TALLER_PGBOUNCER_PREPARED_STATEMENTS=str(knows_prepared_statements()),
    ),
    _taller(LIMITED, "Taller, one request a day", TALLER_RATE_LIMIT="1/86400", TALLER_DATABASE_POOL_SIZE="2"),
)
"""Taller as it is run for the operations that name it."""


def without_limits(contender: Contender) -> Contender:
    """Taller without limits of requests, as it can be run and as its earlier versions were; others have none."""
    if contender.kind != "taller":
        return contender
    return replace(contender, environment={**contender.environment, **dict.fromkeys(LIMITS, "off")})


def earlier(revision: str) -> Contender:
    """Taller as it was at a commit; it has a database of its own, by its own migrations.

    Raises `BenchmarkError` where there is no such commit.
    """
    command = ["git", "rev-parse", "--short", "--verify", "--quiet", f"{revision}^{{commit}}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"there is no commit {revision} here")
    commit = done.stdout.strip()
    return replace(BY_NAME["taller"], name=EARLIER, title=f"Taller at {commit}", revision=commit)


class Running:
    """A contender's server process, from `start` to `stop`."""

    def __init__(self, contender: Contender, program: Path, address: Address, logs: Path) -> None:
        self.contender = contender
        self.log_file = logs / f"{contender.name}.log"
        self._program, self._address = program, address
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._authorization = ""
        self._signed_in_at = float("-inf")
        self.port = 0

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.port = _free_port()
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TALLER_", "PG", "PYTHON", "NODE_", "VIRTUAL_ENV", "BENCH_", "COV"))
        }
        variables = {
            **self._address.environment,
            "PORT": str(self.port),
            "POOL_SIZE": str(POOL_SIZE),
            "JWT_SECRET": SECRET,
            **self.contender.environment,
        }
        if self.contender.kind == "taller":
            variables |= {"TALLER_DATABASE_URL": self._address.url, "TALLER_PORT": str(self.port)}
        self._log = self.log_file.open("wb")
        self._process = subprocess.Popen(
            [str(self._program), *(part.replace("{port}", str(self.port)) for part in self.contender.command)],
            cwd=self.contender.directory,
            env={**inherited, **variables},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=end_with_harness,  # noqa: PLW1509 - it makes one system call
        )
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        raise BenchmarkError(f"{self.contender.name} did not start:\n{self.log_tail()}")

    @property
    def _people(self) -> str:
        return self.contender.people or self.contender.name

    @property
    def pid(self) -> int:
        """Of the process that was started; others may descend from it."""
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it stopped by itself."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """Ask it to stop, and see to it."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                # Its own session: nothing else is in this group.
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def log_tail(self) -> str:
        """Return the end of what it wrote."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-15:])

    def authorization(self) -> str:
        """Return the header of a caller who is an editor in every project."""
        if not self.contender.signs_in:
            return "none"
        if time.monotonic() - self._signed_in_at > TOKEN_AGE:
            body, content_type = self.contender.credentials(login_name(self._people, 0))
            self._authorization = self._sign_in(body, content_type)
            self._signed_in_at = time.monotonic()
        return self._authorization

    def sign_in_anew(self) -> None:
        """Make the next `authorization` another one."""
        self._signed_in_at = float("-inf")

    def _sign_in(self, body: str, content_type: str) -> str:
        status, answer = self.request("POST", "/api/v1/auth/login", body, {"Content-Type": content_type})
        if status != 200:
            raise BenchmarkError(f"{self.contender.name} answers {status} to a login: {answer!r}\n{self.log_tail()}")
        return f"Bearer {answer[self.contender.token_field]}"

    def request(
        self, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request; the status and the decoded JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(raw) if raw else None
        except ValueError:
            return response.status, raw.decode(errors="replace")

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request by the caller, with a JSON body if there is one."""
        headers = {**(headers or {}), "Authorization": self.authorization()}
        if body is None:
            return self.request(method, path, headers=headers)
        return self.request(method, path, json.dumps(body), {**headers, "Content-Type": "application/json"})

    def login_bodies(self) -> tuple[list[str], str]:
        """Logins of several people, and their content type."""
        pairs = [self.contender.credentials(login_name(self._people, n + 1)) for n in range(LOGIN_USERS)]
        return [body for body, _ in pairs], pairs[0][1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _check_out(revision: str, directory: Path) -> None:
    """Check out the repository at that commit; it runs with the packages of today."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    archive = directory / "taller.tar"
    _run(f"Taller at {revision}", "git", "archive", "--output", str(archive), revision)
    # `tarfile` has safe ways to extract from Python 3.11.4 on, and Debian 12 has 3.11.2.
    _run(f"Taller at {revision}", "tar", "--extract", "--file", str(archive), "--directory", str(directory))


def _install_python(name: str) -> Path:
    requirements, target = CONTENDERS / name / "requirements.txt", ENVIRONMENTS / name
    python, stamp = target / "bin" / "python", target / ".installed"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing {name} into {target.relative_to(ROOT)}", file=sys.stderr, flush=True)
    uv = Path(sys.executable).with_name("uv")
    _run(name, str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(target))
    _run(
        name, str(uv), "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(requirements)
    )
    stamp.write_text(wanted)
    return python


def _install_node(name: str) -> Path:
    source, target = CONTENDERS / name, ENVIRONMENTS / name
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise BenchmarkError(f"{name} needs node and npm (Debian: apt-get install nodejs npm)")
    target.mkdir(parents=True, exist_ok=True)
    stamp = target / ".installed"
    wanted = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    for file in ("package.json", "package-lock.json", "server.js"):
        # Node looks for packages beside the program.
        shutil.copyfile(source / file, target / file)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {name} into {target.relative_to(ROOT)}", file=sys.stderr, flush=True)
        _run(name, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev", directory=target)
        stamp.write_text(wanted)
    return Path(node)


def _run(name: str, *command: str, directory: Path = ROOT, environment: Mapping[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(f"{name} cannot be installed: {error}") from error
    if done.returncode != 0:
        raise BenchmarkError(f"{name} cannot be installed: {(done.stderr or done.stdout).strip()[-800:]}")
