"""Every migration, one after the other, while others read and write: no statement of theirs fails or waits for long."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import pytest

from app.cli.upgrading import upgrade
from app.core.ids import uuid7
from tests.migrations.history import empty_database, history, plain
from tests.support import server

TASKS = int(os.environ.get("TALLER_TEST_TASKS", "20000"))
"""`make drills` has a million."""

PROJECTS = 100

PAUSE = 0.01
"""Seconds between two rounds of a connection: without it they use more of the processors than the migrations."""

LOCK_TIMEOUT = "5s"
"""That of the migrations: whoever waits for one longer than it may wait itself has failed."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FILL = f"""
    INSERT INTO projects (id, name) SELECT gen_random_uuid(), 'Project ' || n FROM generate_series(1, {PROJECTS}) AS n;
    INSERT INTO tasks (id, project_id, title, description, priority, completed)
    SELECT gen_random_uuid(), projects.id, 'Task ' || n, 'Something about ' || n, n % 5, n % 3 = 0
    FROM projects, generate_series(1, {TASKS // PROJECTS}) AS n;
"""

CREATE = "INSERT INTO tasks (id, project_id, title) VALUES ($1, $2, 'New')"
RENAME = "UPDATE tasks SET title = $2 WHERE id = $1"
COMPLETE = "UPDATE tasks SET completed = true WHERE id = $1"
DELETE = "DELETE FROM tasks WHERE id = $1"
LIST = "SELECT id, title FROM tasks WHERE project_id = $1 ORDER BY priority DESC, id LIMIT 50"
READ = "SELECT id, name FROM projects WHERE id = $1"


@dataclass
class Load:
    """What one connection sends again and again, as both releases do."""

    url: str
    projects: Sequence[UUID]
    lock_timeout: str = LOCK_TIMEOUT
    rounds: int = 0
    slowest: float = 0
    kept: list[UUID] = field(default_factory=list)
    """The tasks that it has made and not deleted."""

    async def run(self, is_over: asyncio.Event) -> None:
        """Send until it is over. Raises what the database answers."""
        connection = await asyncpg.connect(plain(self.url), server_settings={"lock_timeout": self.lock_timeout})
        try:
            while not is_over.is_set():
                await self._round(connection)
                self.rounds += 1
                await asyncio.sleep(PAUSE)
        finally:
            await connection.close()

    async def _round(self, connection: asyncpg.Connection) -> None:
        task, project = uuid7(), random.choice(self.projects)
        await self._timed(connection.execute, CREATE, task, project)
        await self._timed(connection.fetch, LIST, project)
        await self._timed(connection.execute, RENAME, task, f"Renamed {self.rounds}")
        await self._timed(connection.execute, COMPLETE, task)
        await self._timed(connection.fetch, READ, project)
        self.kept.append(task)
        if len(self.kept) > 20:
            await self._timed(connection.execute, DELETE, self.kept.pop(0))

    async def _timed(self, run: Callable[..., Awaitable[object]], *statement: object) -> None:
        started = time.perf_counter()
        await run(*statement)
        self.slowest = max(self.slowest, time.perf_counter() - started)


async def migrate_under(loads: Sequence[Load], url: str) -> None:
    """Migrate step by step. After each, all of them get through once more."""
    is_over = asyncio.Event()
    running = [asyncio.create_task(load.run(is_over)) for load in loads]
    try:
        for script in history()[1:]:
            for load in loads:
                load.slowest = 0
            await asyncio.to_thread(upgrade, url, script.revision)
            reached = [load.rounds for load in loads]
            while any(load.rounds <= before for load, before in zip(loads, reached, strict=True)):
                for task in running:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)
            sys.stdout.write(
                f"{script.revision}: slowest statement {max(load.slowest for load in loads) * 1000:.0f} ms\n"
            )
    finally:
        is_over.set()
        await asyncio.gather(*running)


def test_nothing_fails_while_any_migration_runs(server_url: str) -> None:
    with empty_database(server_url) as url:
        upgrade(url, history()[0].revision)
        server.execute(url, FILL)
        projects = asyncio.run(_ids(url, "SELECT id FROM projects"))
        loads = [Load(url, projects) for _ in range(4)]
        asyncio.run(migrate_under(loads, url))
        kept = {task for load in loads for task in load.kept}
        assert kept == {*asyncio.run(_ids(url, "SELECT id FROM tasks WHERE title LIKE 'Renamed %' AND completed"))}


def test_a_migration_that_keeps_its_lock_is_noticed(server_url: str) -> None:
    async def send_while_locked(url: str) -> None:
        blocker = await asyncpg.connect(plain(url))
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE tasks")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await Load(url, [uuid7()], lock_timeout="50ms").run(asyncio.Event())
        await blocker.close()

    with empty_database(server_url) as url:
        upgrade(url)
        asyncio.run(send_while_locked(url))


async def _ids(url: str, query: str) -> list[UUID]:
    connection = await asyncpg.connect(plain(url))
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()
