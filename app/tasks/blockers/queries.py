"""Statements that return tasks that wait, and what they wait for."""

from typing import Any

from sqlalchemy import ColumnElement, Uuid, select
from sqlalchemy.orm import aliased

from app.core.database.statements import param
from app.core.listing.sorting import Key, Keys
from app.core.listing.statement import ListSource, ListVariant, capped_count, list_query
from app.projects.scopes import Permission
from app.tasks.models import Task, TaskBlocker
from app.tasks.queries import list_columns, read_columns
from app.tasks.schemas import TaskRead
from app.tasks.scopes import this_task

_Other = aliased(Task, name="other")
"""A task of the list: the statement has that of the path, too."""

_BLOCKERS: Keys = {"id": Key(TaskBlocker.blocker_id)}
_BLOCKED: Keys = {"id": Key(TaskBlocker.task_id)}


@list_query(_BLOCKERS, "id", model=TaskRead)
def blockers(permission: Permission, _: ListVariant) -> ListSource:
    """Select a page of the tasks that a task waits for, the oldest first."""
    return _others(permission, TaskBlocker.blocker_id, TaskBlocker.task_id)


@list_query(_BLOCKED, "id", model=TaskRead)
def blocked_tasks(permission: Permission, _: ListVariant) -> ListSource:
    """Select a page of the tasks that wait for a task, the oldest first."""
    return _others(permission, TaskBlocker.task_id, TaskBlocker.blocker_id)


def _others(permission: Permission, other: Any, this: Any) -> ListSource:
    is_of_task: ColumnElement[bool] = this == param("task_id", Uuid)
    return ListSource(
        items=select(*list_columns(_Other)).join(TaskBlocker, other == _Other.id).where(is_of_task),
        # Nothing bounds how many wait for one.
        total=capped_count(select(other).where(is_of_task)),
        columns=read_columns,
        root=Task.__table__,
        where=this_task(permission),
    )
