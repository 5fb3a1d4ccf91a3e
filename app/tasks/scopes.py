"""Authorisation scopes, whose conditions are part of every statement. Only `access` creates them."""

from sqlalchemy import ColumnElement, SQLColumnExpression

from app.core.preconditions.etags import etag_expression
from app.projects.scopes import CallersScope, Entity, EntityScope
from app.tasks.errors import TaskNotFoundError
from app.tasks.models import Task


class TasksScope(CallersScope):
    """All tasks that this caller may see."""

    __slots__ = ()


def tag(version: SQLColumnExpression[int]) -> ColumnElement[str]:
    """Return a task's entity tag. If the response's schema changes, the letter must change too."""
    return etag_expression("t", version)


TASK = Entity(Task, Task.project_id, tag(Task.version), TaskNotFoundError, ("task_id",))

this_task = TASK.condition


class TaskScope(EntityScope):
    """One task with the caller's permission."""

    __slots__ = ()

    entity = TASK
