"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from sqlalchemy import ColumnElement, SQLColumnExpression

from app.core.preconditions.etags import etag_expression
from app.projects.scopes import CallersScope, Entity, EntityScope
from app.tasks.errors import TaskNotFoundError
from app.tasks.models import Task


class TasksScope(CallersScope):
    """All tasks that this caller may see."""

    __slots__ = ()


def tag(version: SQLColumnExpression[int]) -> ColumnElement[str]:
    """Return a task's tag: all that it shows stands in its row. Another shape needs another letter."""
    return etag_expression("t", version)


TASK = Entity(Task, Task.project_id, tag(Task.version), TaskNotFoundError, ("task_id",))

this_task = TASK.condition


class TaskScope(EntityScope):
    """One task as far as this caller may touch it."""

    __slots__ = ()

    entity = TASK
