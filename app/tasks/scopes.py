"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from uuid import UUID

from sqlalchemy import ColumnElement, SQLColumnExpression, Uuid, select

from app.auth.scopes import Caller
from app.core.database.database import Database
from app.core.database.statements import Rows, given
from app.core.errors import AppError
from app.core.preconditions.etags import fulfilled, tag_of
from app.core.preconditions.headers import Preconditions, PreconditionShape
from app.projects.models import Project, Role
from app.projects.scopes import CallersScope, Permission, role_in
from app.tasks.errors import TaskNotFoundError
from app.tasks.models import Task


class TasksScope(CallersScope):
    """All tasks that this caller may see."""

    __slots__ = ()


class TaskScope(CallersScope):
    """One task as far as this caller may touch it. Not looked up yet: the statement that uses it does both."""

    __slots__ = ()

    def __init__(self, task_id: UUID, caller: Caller, least: Role, preconditions: Preconditions | None = None) -> None:
        super().__init__(caller, least, preconditions=preconditions, task_id=task_id)

    async def refusal(self, database: Database, target: UUID | None = None) -> AppError:
        """Why a statement with this condition, which was to move the task to `target` or nowhere, found nothing."""
        return await self.refusal_by_role(database, role_in_project_of_task, TaskNotFoundError, target)


def tag(version: SQLColumnExpression[int]) -> ColumnElement[str]:
    """A task's tag: all that it shows stands in its row. Another shape needs another letter."""
    return tag_of("t", version)


def this_task(permission: Permission, shape: PreconditionShape | None = None) -> ColumnElement[bool]:
    """Holds for the task's row if the caller is permitted and the preconditions, if there are any, hold as well."""
    found, permitted = Task.id == given("task_id", Uuid), permission.on(Task.project_id)
    if shape is None:
        return found & permitted
    # Asked for by itself and not joined: a write that waited for another one to move the task is then judged by where
    # the task is now. A joined row of a member would stay that of the project where it was.
    anew = select(permitted).correlate(Task).scalar_subquery()
    return found & anew & fulfilled(shape, tag(Task.version), _requires_if_match())


def _requires_if_match() -> ColumnElement[bool]:
    asked = select(Project.require_if_match).where(Project.id == Task.project_id)
    return asked.correlate(Task).scalar_subquery()


def role_in_project_of_task(permission: Permission) -> Rows:
    """The caller's role in the project of a task that they may see, its tag, and whether changes have to name it."""
    columns = role_in(Task.project_id), tag(Task.version).label("etag"), _requires_if_match().label("require_if_match")
    return select(*columns).where(this_task(permission))
