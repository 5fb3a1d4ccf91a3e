"""A primary and a standby, both real."""

import os
import subprocess
import time
from pathlib import Path

from devtools.postgres import EmbeddedPostgres, unprivileged_user
from tests.migrations.history import fetch
from tests.support import server

OPTIONS = {"fsync": "off", "shared_buffers": "32MB"}
"""What is killed here is a process, not the machine: what was written is there."""


class Pair:
    """A primary, and a standby without which nothing is acknowledged unless it is told otherwise."""

    def __init__(self, directory: Path, **options_of_standby: str) -> None:
        self.directory = directory
        self.sockets = [directory / name / "s" for name in ("one", "two")]
        self.primary = self.server("one")
        self.standby = self.server("two", **options_of_standby)

    def server(self, name: str, **options: str) -> EmbeddedPostgres:
        """A server of this name."""
        place = self.directory / name
        return EmbeddedPostgres(place, options={**OPTIONS, **options}, socket_directory=place / "s")

    def start(self, migrated: Path, *, is_synchronous: bool = True) -> None:
        """Start both, from the data of a server that was stopped."""
        self.primary.directory.mkdir(parents=True)
        subprocess.run(["cp", "-a", migrated, self.primary.data], check=True)  # noqa: S603, S607 - our own paths
        self.primary.start()
        self.follow(self.standby)
        if not is_synchronous:
            return
        server.execute(
            self.primary.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"
        )
        for _ in range(300):
            if fetch(self.primary.url(), "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == [1]:
                return
            time.sleep(0.05)
        raise AssertionError("the standby does not follow")

    def follow(self, standby: EmbeddedPostgres) -> None:
        """Start a standby of the primary, from a copy of it."""
        standby.directory.mkdir(parents=True)
        copy = ["-D", str(standby.data), "-h", str(self.sockets[0]), "-U", "taller", "--checkpoint=fast", "-R"]
        user = unprivileged_user()
        if user is not None:
            os.chown(standby.directory, user.pw_uid, user.pw_gid)
        self.primary._run("pg_basebackup", *copy)  # noqa: SLF001 - as that user
        standby.start()

    def stop(self) -> None:
        """Stop both."""
        for postgres in (self.standby, self.primary):
            postgres.stop()

    def kill_primary(self) -> None:
        """End it as a crash would."""
        kill(self.primary)

    def demote_primary(self) -> None:
        """Let it answer, and refuse to write."""
        server.execute(
            self.primary.url(), "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
        )


def kill(postgres: EmbeddedPostgres) -> None:
    """End a server as a crash would."""
    process = postgres._process  # noqa: SLF001 - there is no other way, and should be none
    assert process is not None
    process.kill()
    process.wait()
