"""Authorisation scopes, whose conditions are part of every statement. Only `access` creates them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import ARRAY, ColumnElement, Integer, SQLColumnExpression, Text, case, func, literal_column

from app.core.preconditions.etags import QUOTE, etag_expression
from app.labels.errors import LabelNotFoundError
from app.projects.errors import MemberNotFoundError
from app.projects.scopes import CallersScope, Entity, EntityScope
from app.tasks.errors import TaskNotFoundError, TooManyAssigneesError, TooManyTaskLabelsError
from app.tasks.models import Task


class TasksScope(CallersScope):
    """All tasks that this caller may see."""

    __slots__ = ()


@dataclass(frozen=True, eq=False)
class Subtasks:
    """What a statement knows of a task's subtasks: they are counted only if the task has some, or had."""

    is_counted: ColumnElement[bool]
    counts: ColumnElement[Any]
    """How many they are, and how many of them are completed."""

    def number(self, index: int) -> ColumnElement[int]:
        """Return one of the counts, by its index from 1."""
        return case((self.is_counted, self.counts[literal_column(str(index))]), else_=literal_column("0", Integer))

    def tag(self, version: SQLColumnExpression[int]) -> ColumnElement[str]:
        """Return the task's entity tag: its version and the counts. If the response's schema changes, the second
        letter must change too.
        """
        # PostgreSQL prepares every part of an expression each time, also what it then does not need: so the counts are
        # one call.
        end = case((self.is_counted, func.end_of_tag(self.counts, type_=Text)), else_=QUOTE)
        return etag_expression("tb", version, end=end)


def subtasks_of(task: Any) -> Subtasks:
    """Return the subtasks of a row of the mapped class of tasks, or of an alias of it."""
    return Subtasks(task.is_parent, func.subtasks_of(task.id, type_=ARRAY(Integer)))


_TAG = subtasks_of(Task).tag(Task.version)

TASK = Entity(Task, Task.project_id, _TAG, TaskNotFoundError, ("task_id",))

TASK_LABEL = Entity(
    Task,
    Task.project_id,
    _TAG,
    TaskNotFoundError,
    ("task_id", "label_id"),
    vanished=LabelNotFoundError,
)
TASK_ASSIGNEE = Entity(
    Task,
    Task.project_id,
    _TAG,
    TaskNotFoundError,
    ("task_id", "user_id"),
    vanished=MemberNotFoundError,
)
"""A task together with one of its labels or assignees."""

TASK_BLOCKER = Entity(
    Task,
    Task.project_id,
    _TAG,
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
