"""The ceiling: what Python, asyncpg and PostgreSQL allow. No sign-in, no permissions, no framework, no validation.

Nothing that one would want to maintain could be faster; every other contender is measured against this one.
"""

import asyncio
import os
from datetime import date
from uuid import UUID

import asyncpg
import orjson
from argon2 import PasswordHasher
from uuid_v7 import uuid7

POOL_SIZE = int(os.environ["POOL_SIZE"])
OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_SUBCLASS

PROJECT_COLUMNS = "id, name, description, created_at, updated_at"
TASK_COLUMNS = "id, project_id, title, description, priority, completed, due_date, created_at, updated_at"

READ_PROJECT = f"SELECT {PROJECT_COLUMNS} FROM projects WHERE id = $1"
COUNT_TASKS = "SELECT count(*) FROM tasks WHERE project_id = $1"
LIST_TASKS = (
    f"SELECT {TASK_COLUMNS}, ({COUNT_TASKS}) AS total FROM tasks WHERE project_id = $1 "
    "ORDER BY priority DESC, id DESC LIMIT $2 OFFSET $3"
)
CREATE_TASK = (
    "INSERT INTO tasks (id, project_id, title, description, priority, completed, due_date) "
    f"VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING {TASK_COLUMNS}"
)
UPDATE_TASK = "UPDATE tasks SET {} WHERE id = $1 RETURNING " + TASK_COLUMNS
DELETE_TASK = "DELETE FROM tasks WHERE id = $1 RETURNING id"
READ_PASSWORD = "SELECT id, hashed_password FROM users WHERE lower(username) = lower($1)"

CHANGEABLE = frozenset({"title", "description", "priority", "completed", "due_date"})
JSON_HEADERS = [(b"content-type", b"application/json")]

hasher = PasswordHasher()
hashing = asyncio.Semaphore(2)
pool: asyncpg.Pool


def as_text(value: object) -> str:
    # asyncpg's UUIDs are of a subclass that orjson does not know.
    return str(value)


async def app(scope, receive, send):
    """Every operation in one function, as flat as it goes."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    status, body = await answer(scope, receive)
    if body is None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*JSON_HEADERS, (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def answer(scope, receive):
    """The status and the JSON of a request."""
    method, parts = scope["method"], scope["path"].split("/")
    # /api/v1/projects/{id}/tasks/ and so on: the first part is empty.
    kind = parts[3]
    if kind == "projects":
        project_id = UUID(parts[4])
        if len(parts) == 5:
            row = await pool.fetchrow(READ_PROJECT, project_id)
            return found(row)
        if method == "GET":
            return await list_tasks(project_id, scope["query_string"])
        return await create_task(project_id, await read_json(receive))
    if kind == "tasks":
        task_id = UUID(parts[4])
        if method == "DELETE":
            deleted = await pool.fetchval(DELETE_TASK, task_id)
            return (404, b"{}") if deleted is None else (204, None)
        return await update_task(task_id, await read_json(receive))
    if kind == "auth":
        return await log_in(await read_json(receive))
    return 404, b"{}"


def found(row):
    """200 with the row, or 404."""
    return (404, b"{}") if row is None else (200, orjson.dumps(dict(row), as_text, OPTIONS))


async def list_tasks(project_id, query):
    """A page of tasks and the exact total, in one statement."""
    page, size = 1, 50
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"page":
            page = int(value)
        elif name == b"size":
            size = int(value)
    rows = await pool.fetch(LIST_TASKS, project_id, size, size * (page - 1))
    items = [dict(row) for row in rows]
    total = items[0]["total"] if items else await pool.fetchval(COUNT_TASKS, project_id)
    for item in items:
        del item["total"]
    envelope = {"items": items, "total": total, "page": page, "size": size, "pages": -(-total // size)}
    return 200, orjson.dumps(envelope, as_text, OPTIONS)


async def create_task(project_id, new):
    """Insert and answer what is stored."""
    due = new.get("due_date")
    row = await pool.fetchrow(
        CREATE_TASK,
        uuid7(),
        project_id,
        new["title"],
        new.get("description"),
        new.get("priority", 0),
        new.get("completed", False),
        None if due is None else date.fromisoformat(due),
    )
    return 201, orjson.dumps(dict(row), as_text, OPTIONS)


async def update_task(task_id, changes):
    """Set what was sent."""
    names = [name for name in changes if name in CHANGEABLE]
    assignments = ", ".join(f"{name} = ${number}" for number, name in enumerate(names, 2))
    values = [date.fromisoformat(changes[n]) if n == "due_date" and changes[n] else changes[n] for n in names]
    return found(await pool.fetchrow(UPDATE_TASK.format(assignments), task_id, *values))


async def log_in(credentials):
    """Verify the password; there is no token, because nothing asks for one."""
    row = await pool.fetchrow(READ_PASSWORD, credentials["username"])
    async with hashing:
        await asyncio.to_thread(hasher.verify, row["hashed_password"], credentials["password"])
    return 200, orjson.dumps({"access_token": str(row["id"])})


async def read_json(receive):
    """The whole body."""
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return orjson.loads(body)


async def _no_reset(connection):
    """Nothing here changes a connection, so nothing has to be reset: a round trip less."""


async def lifespan(receive, send):
    """A warm pool of the same size as everybody's."""
    global pool  # noqa: PLW0603
    await receive()
    pool = await asyncpg.create_pool(min_size=POOL_SIZE, max_size=POOL_SIZE, reset=_no_reset)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await pool.close()
    await send({"type": "lifespan.shutdown.complete"})
