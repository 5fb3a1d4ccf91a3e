"""What changes tasks. Each of these is one statement."""

from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import insert, literal, select
from sqlalchemy import update as update_in

from app.core.database import Database
from app.core.ids import uuid7
from app.projects.models import Project
from app.projects.scopes import ProjectScope
from app.tasks import queries
from app.tasks.models import Task
from app.tasks.schemas import TaskCreate, TaskUpdate
from app.tasks.scopes import TaskScope


async def create(database: Database, project: ProjectScope, new: TaskCreate) -> dict[str, Any]:
    """Add a task to a project."""
    columns = Task.__table__.c
    values = {"id": uuid7(), **new.model_dump()}
    row = select(Project.id, *(literal(value, columns[name].type) for name, value in values.items()))
    statement = (
        # FOR KEY SHARE waits for a deletion of the project under way, and then finds no project instead of failing.
        insert(Task)
        .from_select(["project_id", *values], row.where(project.condition()).with_for_update(read=True, key_share=True))
        .returning(*queries.COLUMNS)
    )
    return await database.one(statement, otherwise=project.refusal)


async def update(database: Database, scope: TaskScope, changes: TaskUpdate) -> dict[str, Any]:
    """Set what the client sent, and nothing else."""
    values = changes.values()
    if not values:
        return await database.one(queries.task(scope), otherwise=scope.refusal)
    statement = update_in(Task).where(scope.condition()).values(values).returning(*queries.COLUMNS)
    return await database.one(statement, otherwise=scope.refusal)


async def delete(database: Database, scope: TaskScope) -> None:
    """Delete a task."""
    statement = delete_from(Task).where(scope.condition()).returning(Task.id)
    await database.one(statement, otherwise=scope.refusal)
