"""A real PgBouncer in transaction mode, in front of a real PostgreSQL."""

import os
import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from devtools.postgres import die_with_parent, short_temporary_directory, unprivileged_user

START_TIMEOUT = 10
SSL_REQUEST = struct.pack(">II", 8, 80877103)

# Debian installs it where only root's PATH leads.
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
NOT_INSTALLED = "PgBouncer is not installed (Debian: apt-get install pgbouncer)"


class BouncerError(RuntimeError):
    """PgBouncer is missing, or did not start."""


@cache
def knows_prepared_statements() -> bool:
    """Return whether the installed PgBouncer prepares a statement wherever it is executed, as 1.21 and newer do."""
    if PROGRAM is None:
        return False
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    found = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= (1, 21)


@contextmanager
def running_bouncer(url: str, *, servers: int, options: Mapping[str, str] | None = None) -> Generator[str]:
    """Run a PgBouncer with so many server connections for each database; yield the address of the database behind it.

    Each database of the server is found there, at the same address with another name.
    """
    if PROGRAM is None:
        raise BouncerError(NOT_INSTALLED)
    user = unprivileged_user()
    directory = short_temporary_directory()
    try:
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(_configuration(make_url(url), directory, servers, options or {}))
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
            os.chown(configuration, user.pw_uid, user.pw_gid)
        with (directory / "pgbouncer.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - the one that is installed
                [PROGRAM, str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - it makes one system call
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
            )
        try:
            _wait_until_ready(process, directory)
            yield at_socket(url, directory)
        finally:
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _configuration(server: URL, directory: Path, servers: int, options: Mapping[str, str]) -> str:
    target = {
        "host": server.query.get("host") or server.host or "127.0.0.1",
        "port": server.port or 5432,
        "user": server.username,
        "password": server.password,
    }
    settings = {
        "pool_mode": "transaction",
        "default_pool_size": str(servers),
        "max_client_conn": "2000",
        "unix_socket_dir": str(directory),
        "listen_port": "5432",
        # Whoever comes is the user named above: nobody else reaches the socket.
        "auth_type": "any",
        # Not 15 seconds: the tests take the database away, and bring it back.
        "server_login_retry": "0.5",
        **({"max_prepared_statements": "200"} if knows_prepared_statements() else {}),
        **options,
    }
    return "\n".join(
        (
            "[databases]",
            # A quote is doubled.
            "* = "
            + " ".join(
                f"{name}='{str(value).replace(chr(39), 2 * chr(39))}'" for name, value in target.items() if value
            ),
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in settings.items()),
            "",
        )
    )


def _wait_until_ready(process: "subprocess.Popen[bytes]", directory: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.settimeout(1)
            connection.connect(str(directory / ".s.PGSQL.5432"))
            connection.sendall(SSL_REQUEST)
            if connection.recv(1) == b"N":
                return
        time.sleep(0.02)
    log = (directory / "pgbouncer.log").read_text(errors="replace")
    process.kill()
    process.wait()
    raise BouncerError(f"PgBouncer did not start:\n{log[-2000:]}")


def at_socket(url: str, directory: Path) -> str:
    """Return the address of the same database and user, where somebody listens in this directory."""
    there = make_url(url)
    return URL.create(
        there.drivername, there.username, there.password, database=there.database, query={"host": str(directory)}
    ).render_as_string(hide_password=False)
