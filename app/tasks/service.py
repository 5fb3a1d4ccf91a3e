"""Operations that change or summarise tasks. Each is one statement."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, insert, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_in

from app.core.database.database import ConstraintError, Database
from app.core.database.statements import as_params, column_params, compiled
from app.core.ids import uuid7
from app.core.preconditions.headers import PreconditionShape
from app.projects.models import Project
from app.projects.scopes import Permission, ProjectScope, this_project
from app.tasks import queries
from app.tasks.models import Task
from app.tasks.schemas import TaskCreate, TaskUpdate
from app.tasks.scopes import TaskScope, this_task


async def summary(database: Database, project: ProjectScope, today: date | None) -> dict[str, Any]:
    """Return a summary of a project's tasks on a day, by default the current one in UTC."""
    values = {**project.parameters, "today": today}
    rows = await database.fetch_all(queries.summary(project.permission), values)
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
    return await database.fetch_one(_insert_task(project.permission, tuple(values)), project, as_params(values))


async def update(database: Database, scope: TaskScope, changes: TaskUpdate) -> dict[str, Any]:
    """Set the members that the client sent, and nothing else."""
    values = changes.values()
    if not values:
        return await database.fetch_one(queries.task(scope.permission, scope.shape), scope)
    if (target := values.get("project_id")) is not None:
        return await _moved(database, scope, values, target)
    return await database.fetch_one(
        _update_task(scope.permission, scope.shape, tuple(values)), scope, as_params(values)
    )


async def _moved(database: Database, scope: TaskScope, values: dict[str, Any], target: UUID) -> dict[str, Any]:
    statement = _update_task(scope.permission, scope.shape, tuple(values))
    try:
        async with database.savepoint() as savepoint:
            row = await savepoint.fetch_one_or_none(statement, {**scope.parameters, **as_params(values)})
    except ConstraintError as error:
        if error.constraint != "tasks_project_id_fkey":
            raise
        # An administrator named a project that does not exist, or it was deleted a moment ago.
        row = None
    if row is None:
        raise await scope.refusal(database, target)
    return row


async def delete(database: Database, scope: TaskScope) -> None:
    """Delete a task."""
    await database.fetch_one(_delete_task(scope.permission, scope.shape), scope)


@compiled
def _insert_task(permission: Permission, names: tuple[str, ...]) -> Executable:
    row = select(Project.id, *column_params(Task, names).values()).where(this_project(permission))
    # FOR KEY SHARE waits for a deletion of the project under way, and then finds no project instead of failing.
    locked = row.with_for_update(read=True, key_share=True)
    return (
        insert(Task)
        .from_select(["project_id", *names], locked, include_defaults=False)
        .returning(*queries.READ_COLUMNS)
    )


@compiled
def _update_task(permission: Permission, preconditions: PreconditionShape | None, names: tuple[str, ...]) -> Executable:
    values = column_params(Task, names)
    condition = this_task(permission, preconditions)
    if "project_id" in values:
        # Moving a task needs the role in both projects.
        condition &= permission.on(values["project_id"])
    return update_in(Task).where(condition).values(values).returning(*queries.READ_COLUMNS)


@compiled
def _delete_task(permission: Permission, preconditions: PreconditionShape | None) -> Executable:
    return delete_from(Task).where(this_task(permission, preconditions)).returning(Task.id)
