"""Authorisation scopes, whose conditions are part of every statement. Only `access` creates them."""

from typing import ClassVar

from sqlalchemy import ColumnElement, SQLColumnExpression

from app.core.preconditions.etags import etag_expression
from app.labels.errors import LabelNotFoundError
from app.projects.errors import MemberNotFoundError
from app.projects.scopes import CallersScope, Entity, EntityScope
from app.tasks.errors import TaskNotFoundError, TooManyAssigneesError, TooManyTaskLabelsError
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

TASK_BLOCKER = Entity(
    Task,
    Task.project_id,
    tag(Task.version),
    TaskNotFoundError,
    ("task_id", "blocker_id"),
    vanished=TaskNotFoundError,
)
"""A task together with one that it waits for."""

this_task = TASK.condition


class TaskScope(EntityScope):
    """One task with the caller's permission."""

    __slots__ = ()

    entity = TASK


class ListedScope(TaskScope):
    """One task with the caller's permission, and one of its labels or assignees, which it has or gets."""

    __slots__ = ()

    list_name: ClassVar[str]
    """The column of the list."""

    too_many: ClassVar[type[TooManyTaskLabelsError | TooManyAssigneesError]]
    """The error where the list is full, which takes the limit."""


class TaskLabelScope(ListedScope):
    """One task and a label."""

    __slots__ = ()

    entity = TASK_LABEL
    list_name = "label_ids"
    too_many = TooManyTaskLabelsError


class TaskAssigneeScope(ListedScope):
    """One task and an assignee."""

    __slots__ = ()

    entity = TASK_ASSIGNEE
    list_name = "assignee_ids"
    too_many = TooManyAssigneesError


class TaskBlockerScope(TaskScope):
    """One task with the caller's permission, and another one that it waits for, or is to."""

    __slots__ = ()

    entity = TASK_BLOCKER
