"""What changes tasks, or makes something of many. Each of these is one statement."""

from typing import Any

from sqlalchemy import Executable, insert, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_in

from app.core.database import Database
from app.core.ids import uuid7
from app.core.statements import given_columns, prefixed, prepared
from app.projects.models import Project
from app.projects.scopes import Permission, ProjectScope, this_project
from app.tasks import queries
from app.tasks.models import Task
from app.tasks.schemas import TaskCreate, TaskUpdate
from app.tasks.scopes import TaskScope, this_task


async def summary(database: Database, project: ProjectScope) -> dict[str, Any]:
    """What a project's tasks amount to."""
    rows = await database.rows(prepared(queries.summary, project.permission), project.parameters)
    if not rows:
        raise await project.refusal(database)
    sums = ("tasks_total", "tasks_completed", "overdue", "due_soon")
    return {
        **{name: rows[0][f"{name}_in_all"] or 0 for name in sums},
        "by_priority": [row for row in rows if row["priority"] is not None],
    }


async def create(database: Database, project: ProjectScope, new: TaskCreate) -> dict[str, Any]:
    """Add a task to a project."""
    values = {"id": uuid7(), **new.model_dump()}
    return await database.one(_creation, project, tuple(values), **prefixed(values))


async def update(database: Database, scope: TaskScope, changes: TaskUpdate) -> dict[str, Any]:
    """Set what the client sent, and nothing else."""
    values = changes.values()
    if not values:
        return await database.one(queries.task, scope)
    return await database.one(_change, scope, tuple(values), **prefixed(values))


async def delete(database: Database, scope: TaskScope) -> None:
    """Delete a task."""
    await database.one(_deletion, scope)


def _creation(permission: Permission, names: tuple[str, ...]) -> Executable:
    row = select(Project.id, *given_columns(Task, names).values()).where(this_project(permission))
    # FOR KEY SHARE waits for a deletion of the project under way, and then finds no project instead of failing.
    locked = row.with_for_update(read=True, key_share=True)
    return insert(Task).from_select(["project_id", *names], locked, include_defaults=False).returning(*queries.COLUMNS)


def _change(permission: Permission, names: tuple[str, ...]) -> Executable:
    values = given_columns(Task, names)
    return update_in(Task).where(this_task(permission)).values(values).returning(*queries.COLUMNS)


def _deletion(permission: Permission) -> Executable:
    return delete_from(Task).where(this_task(permission)).returning(Task.id)
