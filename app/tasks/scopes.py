"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, select

from app.auth.errors import InvalidTokenError
from app.auth.scopes import Caller
from app.core.database import Database
from app.core.errors import AppError
from app.projects.models import Role
from app.projects.scopes import permitted, refusal, role_in
from app.tasks.errors import TaskNotFoundError
from app.tasks.models import Task


@dataclass(frozen=True, slots=True)
class TaskScope:
    """One task as far as this caller may touch it. Not looked up yet: the statement that uses it does both."""

    task_id: UUID
    caller: Caller
    least: Role

    def condition(self) -> ColumnElement[bool]:
        """Holds for the task's row if the caller is permitted."""
        return (Task.id == self.task_id) & permitted(Task.project_id, self.caller, self.least)

    async def refusal(self, database: Database) -> AppError:
        """Why a statement with this condition found nothing."""
        seen = (Task.id == self.task_id) & permitted(Task.project_id, self.caller, Role.VIEWER)
        role_of = select(role_in(Task.project_id, self.caller).label("role")).where(seen)
        return await refusal(database, self.caller, self.least, role_of, TaskNotFoundError)


@dataclass(frozen=True, slots=True)
class TasksScope:
    """All tasks that this caller may see."""

    caller: Caller

    def condition(self) -> ColumnElement[bool]:
        """Holds for the rows of those tasks."""
        return permitted(Task.project_id, self.caller, Role.VIEWER)

    async def refusal(self, database: Database) -> AppError:  # noqa: ARG002 - as every scope's
        """Why a statement that starts here found nothing: the caller is gone."""
        return InvalidTokenError()
