"""The data that everything is measured on: the same rows with the same ids every time."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from argon2 import PasswordHasher

from app.cli.upgrading import upgrade
from benchmarks.server import Address

PASSWORD = "benchmark password"  # noqa: S105 - of people who exist nowhere else
LOGIN_USERS = 16
"""People who sign in, for each contender; number 0 is one more, who calls."""

CALLERS = 1_000_000
"""By which the numbers of one contender's people are apart from those of the next."""

OTHERS = 4
"""Members of every project besides the contenders' callers, who are editors: an owner, and viewers."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is."""

    projects: int
    tasks: int
    """In each of those projects."""

    larger: tuple[int, ...]
    """Tasks of one more project each, the largest last."""

    people: int = 1_000
    """Who have accounts, besides those who sign in here."""

    def number_of(self, size: int) -> int:
        """Return the number of the (first) project that has this many tasks."""
        return 1 if size == self.tasks else self.projects + 3 + self.larger.index(size)

    @property
    def listed(self) -> int:
        """Return the number of the project whose tasks have labels and assignees: as many as the first ones have."""
        return self.projects + 1

    @property
    def nested(self) -> int:
        """Return the number of the project in which every tenth task has the nine after it below it, and waits for
        them.
        """
        return self.projects + 2

    @property
    def last(self) -> int:
        """Return the number of the last project: the largest, whose tasks may have the numbers of those that follow."""
        return self.projects + 2 + len(self.larger)

    @property
    def sizes(self) -> tuple[int, ...]:
        """All sizes of projects, ascending."""
        return (self.tasks, *self.larger)


FULL = Scale(projects=100, tasks=1_000, larger=(10_000, 100_000, 1_000_000))
LARGE = Scale(projects=100, tasks=1_000, larger=(10_000, 100_000, 1_000_000, 10_000_000), people=100_000)
QUICK = Scale(projects=16, tasks=200, larger=(400, 2_000))


def project_id(number: int) -> str:
    """Of the project with this number, counted from 1. lua/load.lua knows the same rule."""
    return f"01980000-0000-7000-8000-{number:012x}"


def task_id(project: int, task: int) -> str:
    """Of a task in a project, both counted from 1."""
    return f"01990000-0000-7000-8000-{project * 1_000_000 + task:012x}"


def login_name(contender: str, number: int) -> str:
    """Somebody whose password is hashed as this contender's documentation advises; number 0 is who calls."""
    return f"login-{contender}-{number}"


def email_of(username: str) -> str:
    """Return the address of somebody."""
    return f"{username}@example.org"


_TIMES = "timestamptz '2026-01-01 00:00:00.123456Z' + {} * interval '1 second'"

_TASK_COLUMNS = f"""
    'Task ' || k || ' of project ' || p,
    CASE WHEN k % 4 = 0 THEN NULL
         ELSE 'What has to be done before this is finished, in a sentence or two: ' || md5(p || '-' || k) END,
    (k::bigint * 7919 % 10)::int,
    k % 3 = 0,
    CASE WHEN k % 5 = 0 THEN NULL ELSE date '2026-01-01' + k % 700 END,
    {_TIMES.format("k")}, {_TIMES.format("k")}
"""

INSERT_TASKS = f"""
INSERT INTO tasks (id, project_id, title, description, priority, completed, due_date, created_at, updated_at)
SELECT ('01990000-0000-7000-8000-' || lpad(to_hex(p::bigint * 1000000 + k), 12, '0'))::uuid,
       ('01980000-0000-7000-8000-' || lpad(to_hex(p), 12, '0'))::uuid,
       {_TASK_COLUMNS}
FROM generate_series($1::int, $2::int) AS p, generate_series(1, $3::int) AS k
"""

INSERT_DISPOSABLE = """
INSERT INTO tasks (id, project_id, title)
SELECT ('019a0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('01980000-0000-7000-8000-' || lpad(to_hex(n % $2 + 1), 12, '0'))::uuid,
       'Benchmark task ' || n
FROM generate_series($3::int, $3::int + $1::int - 1) AS n
"""

INSERT_USERS = f"""
INSERT INTO users (id, username, email, hashed_password, created_at, updated_at)
SELECT ('01970000-0000-7000-8000-' || lpad(to_hex($1::int + n), 12, '0'))::uuid,
       $3 || n, $3 || n || '@example.org', $4, {_TIMES.format("n")}, {_TIMES.format("n")}
FROM generate_series($5::int, $2::int) AS n
"""

INSERT_PROJECTS = f"""
INSERT INTO projects (id, name, description, created_at, updated_at)
SELECT ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       'Project ' || n, 'Everything that belongs to project ' || n, {_TIMES.format("n")}, {_TIMES.format("n")}
FROM generate_series(1, $1::int) AS n
"""

# Members with numbers below zero are the contenders' callers.
INSERT_MEMBERS = f"""
INSERT INTO project_members (project_id, user_id, role)
SELECT ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('01970000-0000-7000-8000-' || lpad(to_hex(
           CASE WHEN m < 0 THEN -m * {CALLERS} ELSE (n * 13 + m * 101) % $2::int + 1 END
       ), 12, '0'))::uuid,
       CASE WHEN m < 0 THEN 'editor' WHEN m = 0 THEN 'owner' ELSE 'viewer' END
FROM generate_series(1, $1::int) AS n, generate_series(-$3::int, {OTHERS - 1}) AS m
"""

INSERT_LABELS = """
INSERT INTO labels (id, project_id, name)
SELECT ('01b00000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('01980000-0000-7000-8000-' || lpad(to_hex($1::int), 12, '0'))::uuid, 'Label ' || n
FROM generate_series(1, 20) AS n
"""

# Three labels and two members each. The caller does every tenth.
LIST = """
UPDATE tasks SET
    label_ids = list_of(ARRAY(
        SELECT ('01b00000-0000-7000-8000-' || lpad(to_hex((k + step) % 20 + 1), 12, '0'))::uuid
        FROM unnest(ARRAY[0, 7, 13]) AS step
    )),
    assignee_ids = list_of((
        SELECT array_agg(user_id) FROM (
            SELECT user_id FROM project_members AS member WHERE member.project_id = tasks.project_id
            ORDER BY (user_id <> ALL ($2::uuid[])) = (k % 10 = 0), user_id LIMIT 2
        ) AS two
    ))
FROM (SELECT id, row_number() OVER (ORDER BY id) AS k FROM tasks WHERE project_id = $1) AS numbered
WHERE tasks.id = numbered.id
"""

NEST = """
WITH nested AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS k FROM tasks WHERE project_id = $1)
UPDATE tasks SET parent_id = parent.id FROM nested AS parent, nested AS child
WHERE tasks.id = child.id AND parent.k = child.k / 10 * 10 AND child.k % 10 > 0
"""
BLOCK = """
INSERT INTO task_blockers (task_id, blocker_id, project_id)
SELECT parent_id, id, project_id FROM tasks WHERE project_id = $1 AND parent_id IS NOT NULL
"""


def label_id(number: int) -> str:
    """Return the id of a label of the project `Scale.listed`."""
    return f"01b00000-0000-7000-8000-{number:012x}"


INDEXES = """
SELECT index.relname, pg_get_indexdef(index.oid) AS definition
FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid
WHERE indrelid = 'tasks'::regclass AND NOT indisunique
"""

RESTORE = (
    # Tasks that were made come first: what follows then has less to look at.
    "DELETE FROM tasks WHERE title LIKE 'Benchmark task %'",
    """
    UPDATE tasks SET title = seed.title, completed = seed.completed FROM benchmark_seed AS seed
    WHERE tasks.id = seed.id AND (tasks.title, tasks.completed) IS DISTINCT FROM (seed.title, seed.completed)
    """,
)

VACUUMED = ("tasks", "projects", "users", "project_task_counts")


def build(address: Address, scale: Scale, logins: Mapping[str, str], migrate: Callable[[str], None] = upgrade) -> None:
    """Fill an empty database. `logins`: for each contender, the hash of the password as it wants it."""
    migrate(address.url)
    asyncio.run(_fill(address, scale, logins))


async def _fill(address: Address, scale: Scale, logins: Mapping[str, str]) -> None:
    connection = await asyncpg.connect(address.dsn)
    try:
        hashed = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(PASSWORD)
        await connection.execute(INSERT_USERS, 0, scale.people, "member-", hashed, 1)
        for number, (contender, own_hash) in enumerate(sorted(logins.items()), 1):
            await connection.execute(INSERT_USERS, CALLERS * number, LOGIN_USERS, f"login-{contender}-", own_hash, 0)
        await connection.execute(INSERT_PROJECTS, scale.last)
        await connection.execute(INSERT_MEMBERS, scale.last, scale.people, len(logins))
        await connection.execute(INSERT_TASKS, 1, scale.projects, scale.tasks, timeout=600)
        await connection.execute("CREATE TABLE benchmark_seed AS SELECT id, title, completed FROM tasks")
        async with _without_indexes(connection):
            for size in scale.larger:
                number = scale.number_of(size)
                await connection.execute(INSERT_TASKS, number, number, size, timeout=7200)
        await connection.execute(INSERT_TASKS, scale.listed, scale.listed, scale.tasks, timeout=600)
        await connection.execute(INSERT_TASKS, scale.nested, scale.nested, scale.tasks, timeout=600)
        # In an earlier version of Taller, tasks have no labels. or no subtasks.
        if await connection.fetchval("SELECT to_regclass('task_labels')"):
            callers = [f"01970000-0000-7000-8000-{CALLERS * number:012x}" for number in range(1, len(logins) + 1)]
            await connection.execute(INSERT_LABELS, scale.listed)
            await connection.execute(LIST, project_id(scale.listed), callers, timeout=600)
        if await connection.fetchval("SELECT to_regproc('subtasks_of')"):
            await connection.execute(NEST, project_id(scale.nested), timeout=600)
            await connection.execute(BLOCK, project_id(scale.nested), timeout=600)
        # Restored and vacuumed by the harness between measurements, and not in the midst of somebody's.
        for table in (*VACUUMED, "project_members"):
            await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        await connection.execute("VACUUM (ANALYZE)", timeout=3600)
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


@asynccontextmanager
async def _without_indexes(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncGenerator[None]:
    """Fill `tasks` without its indexes but for the unique ones, and build them afterwards: twice as quick."""
    indexes = await connection.fetch(INDEXES)
    for index in indexes:
        await connection.execute(f'DROP INDEX "{index["relname"]}"')
    yield
    await connection.execute("SET maintenance_work_mem = '1GB'")
    for index in indexes:
        await connection.execute(index["definition"], timeout=7200)
    await connection.execute("RESET maintenance_work_mem")


async def restore(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Undo what was written, so that the next one finds the same data and no debris."""
    for statement in RESTORE:
        await connection.execute(statement, timeout=120)
    # An earlier version of Taller has no such table.
    if await connection.fetchval("SELECT to_regclass('idempotency_keys')"):
        await connection.execute("TRUNCATE idempotency_keys")
    for table in VACUUMED:
        await connection.execute(f"VACUUM {table}", timeout=120)
    await connection.execute("CHECKPOINT")


async def add_disposable(
    connection: "asyncpg.Connection[asyncpg.Record]", scale: Scale, count: int, *, first: int = 1
) -> None:
    """Tasks whose numbers count up from `first`, for deletions."""
    await connection.execute(INSERT_DISPOSABLE, count, scale.projects, first, timeout=120)
