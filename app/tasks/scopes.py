"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, select

from app.auth.scopes import Caller
from app.core.database import Database
from app.core.errors import AppError
from app.core.statements import Rows, given
from app.projects.models import Role
from app.projects.scopes import CallersScope, Permission, role_in
from app.tasks.errors import TaskNotFoundError
from app.tasks.models import Task


class TasksScope(CallersScope):
    """All tasks that this caller may see."""

    __slots__ = ()


class TaskScope(CallersScope):
    """One task as far as this caller may touch it. Not looked up yet: the statement that uses it does both."""

    __slots__ = ()

    def __init__(self, task_id: UUID, caller: Caller, least: Role) -> None:
        super().__init__(caller, least, task_id=task_id)

    async def refusal(self, database: Database) -> AppError:
        """Why a statement with this condition found nothing."""
        return await self.refusal_by_role(database, role_in_project_of_task, TaskNotFoundError)


def this_task(permission: Permission) -> ColumnElement[bool]:
    """Holds for the task's row if the caller is permitted."""
    return (Task.id == given("task_id", Uuid)) & permission.on(Task.project_id)


def role_in_project_of_task(permission: Permission) -> Rows:
    """The caller's role in the project of a task that they may see."""
    return select(role_in(Task.project_id)).where(this_task(permission))
