"""What changes projects. Each of these is one statement."""

from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import insert
from sqlalchemy import update as update_in

from app.core.database import Database
from app.projects import queries
from app.projects.models import Project
from app.projects.schemas import ProjectCreate, ProjectUpdate
from app.projects.scopes import ProjectScope, ProjectsScope


async def create(database: Database, _scope: ProjectsScope, new: ProjectCreate) -> dict[str, Any]:
    """Create a project."""
    rows = await database.rows(insert(Project).values(**new.model_dump()).returning(*queries.COLUMNS))
    return rows[0]


async def update(database: Database, scope: ProjectScope, changes: ProjectUpdate) -> dict[str, Any]:
    """Set what the client sent, and nothing else."""
    values = changes.values()
    if not values:
        return await database.one(queries.project(scope), otherwise=scope.refusal)
    statement = update_in(Project).where(scope.condition()).values(values).returning(*queries.COLUMNS)
    return await database.one(statement, otherwise=scope.refusal)


async def delete(database: Database, scope: ProjectScope) -> None:
    """Delete a project; the database takes its tasks along."""
    statement = delete_from(Project).where(scope.condition()).returning(Project.id)
    await database.one(statement, otherwise=scope.refusal)
