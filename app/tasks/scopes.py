"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement

from app.auth.scopes import AuthUser
from app.core.database import Database
from app.core.errors import AppError
from app.tasks.errors import TaskNotFoundError
from app.tasks.models import Task


@dataclass(frozen=True, slots=True)
class TaskScope:
    """One task as far as this caller may touch it. Not looked up yet: the statement that uses it does both."""

    task_id: UUID
    user: AuthUser

    def condition(self) -> ColumnElement[bool]:
        """Holds for the task's row if the caller is permitted."""
        return Task.id == self.task_id

    async def refusal(self, _database: Database) -> AppError:
        """Why a statement with this condition found nothing."""
        return TaskNotFoundError()
