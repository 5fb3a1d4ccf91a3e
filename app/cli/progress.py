"""The progress of migrations, for operators who wait for them."""

import asyncio
import sys
from contextlib import ExitStack
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Any, Self

import asyncpg
from alembic.script import ScriptDirectory

from app.cli.database import say
from app.cli.upgrading import alembic_config
from app.core.addresses import address_of
from app.core.database.connecting import connect
from app.core.errors import UnavailableError

PAUSE = 5.0
"""Seconds between two messages; a migration that is faster shows none."""

_INDEX = (
    "SELECT phase, coalesce(100 * blocks_done / nullif(blocks_total, 0), 0) AS percent "
    "FROM pg_stat_progress_create_index WHERE datname = current_database()"
)


class MigrationProgress:
    """Reports every few seconds which migration runs, since when, and the progress of an index build.

    A terminal shows a bar; any other output gets lines.
    """

    def __init__(self, url: str, revision: str | None, *, pause: float = PAUSE) -> None:
        self.url = url
        self.steps = pending_migrations(revision)
        """The pending migrations at the start; another runner may run them first."""

        self.applied: list[Any] = []
        """The migrations that were run, as Alembic reports them."""

        self._pause = pause
        self._begun = monotonic()
        self._ended = Event()
        self._watching = Thread(target=self._watch, daemon=True)
        self._closing = ExitStack()
        self._bar: Any = None

    def note(self, *, step: Any, **_: Any) -> None:
        """Count one migration as done."""
        self.applied.append(step)
        self._begun = monotonic()

    def __enter__(self) -> Self:
        if self.steps and sys.stderr.isatty():
            # The import takes 90 ms, and only a terminal needs it.
            from rich.console import Console  # noqa: PLC0415
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

            columns = (BarColumn(), TextColumn("{task.completed}/{task.total} {task.description}"), TimeElapsedColumn())
            bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar = self._closing.enter_context(bar)
            self._bar.add_task("", total=len(self.steps))
        self._watching.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._watching.join()
        self._closing.close()

    def _watch(self) -> None:
        while not self._ended.wait(self._pause if self._bar is None else min(self._pause, 0.5)):
            done = min(len(self.applied), len(self.steps))
            now = self.steps[done] if done < len(self.steps) else "indexes of words"
            seconds = monotonic() - self._begun
            if seconds >= self._pause:
                now = f"{now}{asyncio.run(_index_progress(self.url))}"
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=done, description=now)
            elif seconds >= self._pause:
                say(f"{now}, since {seconds:.0f} s")


async def _index_progress(url: str) -> str:
    """Return the progress of an index build in this database, or an empty text."""
    try:
        connection = await connect(address_of(url), timeout=PAUSE)
    except UnavailableError:
        return ""
    try:
        row = await connection.fetchrow(_INDEX)
    except asyncpg.PostgresError:
        return ""
    finally:
        await connection.close()
    return f" ({row['phase']}, {row['percent']} %)" if row is not None else ""


def pending_migrations(revision: str | None) -> list[str]:
    """Return what each migration does that a schema at this revision lacks, in their order."""
    scripts = ScriptDirectory.from_config(alembic_config()).iterate_revisions("head", revision or "base")
    return [f"{script.revision} {script.doc.rstrip('.')}" for script in scripts][::-1]
