"""Authorisation scopes, whose conditions are part of every statement. Only `access` creates them."""

from sqlalchemy import ColumnElement, SQLColumnExpression

from app.core.preconditions.etags import etag_expression
from app.labels.errors import LabelNotFoundError
from app.projects.errors import MemberNotFoundError
from app.projects.scopes import CallersScope, Entity, EntityScope
from app.tasks.errors import TaskNotFoundError
from app.tasks.models import Task


class TasksScope(CallersScope):
    """All tasks that this caller may see."""

    __slots__ = ()


def tag(version: SQLColumnExpression[int]) -> ColumnElement[str]:
    """Return a task's entity tag. If the response's schema changes, the second letter must change too."""
    return etag_expression("tb", version)


TASK = Entity(Task, Task.project_id, tag(Task.version), TaskNotFoundError, ("task_id",))

TASK_LABEL = Entity(
    Task,
    Task.project_id,
    tag(Task.version),
    TaskNotFoundError,
    ("task_id", "label_id"),
    vanished=LabelNotFoundError,
)
TASK_ASSIGNEE = Entity(
    Task,
    Task.project_id,
    tag(Task.version),
    TaskNotFoundError,
    ("task_id", "user_id"),
    vanished=MemberNotFoundError,
)
"""A task together with one of its labels or assignees."""

this_task = TASK.condition


class TaskScope(EntityScope):
    """One task with the caller's permission."""

    __slots__ = ()

    entity = TASK


class TaskLabelScope(TaskScope):
    """One task, and a label that it has or gets, as far as this caller may touch the task."""

    __slots__ = ()

    entity = TASK_LABEL


class TaskAssigneeScope(TaskScope):
    """One task, and a person who does or gets it, as far as this caller may touch the task."""

    __slots__ = ()

    entity = TASK_ASSIGNEE
