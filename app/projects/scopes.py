"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement

from app.auth.errors import InvalidTokenError
from app.auth.scopes import AuthUser
from app.core.database import Database
from app.core.errors import AppError
from app.projects.errors import ProjectNotFoundError
from app.projects.models import Project


@dataclass(frozen=True, slots=True)
class ProjectScope:
    """One project as far as this caller may touch it. Not looked up yet: the statement that uses it does both."""

    project_id: UUID
    user: AuthUser

    def condition(self) -> ColumnElement[bool]:
        """Holds for the project's row if the caller is permitted."""
        return Project.id == self.project_id

    async def refusal(self, _database: Database) -> AppError:
        """Why a statement with this condition found nothing."""
        return ProjectNotFoundError()


@dataclass(frozen=True, slots=True)
class ProjectsScope:
    """All projects that this caller may see."""

    user: AuthUser

    async def refusal(self, _database: Database) -> AppError:
        """Why a statement that starts here found nothing: the caller is gone."""
        return InvalidTokenError()
