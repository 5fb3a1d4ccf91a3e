"""Statements that return tasks."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, cast, func, literal, or_, select, true

from app.core.conditional import Shape
from app.core.pagination import page_statement
from app.core.statements import Rows, given
from app.projects.models import Project, TaskCount
from app.projects.scopes import Permission, this_project
from app.tasks.models import Task
from app.tasks.scopes import tag, this_task

COLUMNS = (
    Task.id,
    Task.project_id,
    Task.title,
    Task.description,
    Task.priority,
    Task.completed,
    Task.due_date,
    Task.created_at,
    Task.updated_at,
)
SEEN = (*COLUMNS, tag(Task.version).label("etag"))
"""A task's columns and its tag."""

LISTED = (*COLUMNS, Task.version)
"""A task's columns and what its tag is made of, when it is known which tasks are on the page."""


def shown(page: FromClause) -> list[ColumnElement[Any]]:
    """A listed task's columns and its tag."""
    return [*(page.c[column.name] for column in COLUMNS), tag(page.c.version).label("etag")]


kept = func.coalesce(cast(func.sum(TaskCount.total), BigInteger), 0).label("_total")
"""How many tasks there are, without counting them: the database keeps the sums."""


def permitted(permission: Permission) -> Rows:
    """The task's id, if the caller is permitted."""
    return select(Task.id).where(this_task(permission))


def task(permission: Permission, shape: Shape | None = None) -> Rows:
    """One task."""
    return select(*SEEN).where(this_task(permission, shape))


def tasks_by_priority(permission: Permission) -> Rows:
    """A page of a project's tasks, the most urgent first, the newest first among equals."""
    of_project = Task.project_id == Project.id
    return page_statement(
        anchor=Project.__table__,
        permitted=this_project(permission),
        items=select(*LISTED).where(of_project).order_by(Task.priority.desc(), Task.id.desc()).correlate(Project),
        shown=shown,
        total=select(kept).where(TaskCount.project_id == Project.id).correlate(Project),
    )


def visible_tasks(permission: Permission) -> Rows:
    """A page of the tasks of all the caller's projects, in the same order.

    No page holds more of one project than its first so many tasks, so no more are read of each, off the index.
    """
    seen = select(Project.id).where(permission.on(Project.id)).subquery("seen")
    first = (
        select(*LISTED)
        .where(Task.project_id == seen.c.id)
        .order_by(Task.priority.desc(), Task.id.desc())
        .limit(given("limit", BigInteger) + given("offset", BigInteger))
        .lateral("first")
    )
    return page_statement(
        anchor=select(literal(1)).subquery("caller"),
        permitted=true(),
        items=select(*first.c)
        .select_from(seen.join(first, true()))
        .order_by(first.c.priority.desc(), first.c.id.desc()),
        shown=shown,
        total=select(kept).where(permission.on(TaskCount.project_id)),
    )


def wrong_counts() -> Rows:
    """The projects whose kept counts are not the truth, both seen at the same moment: there should be none."""
    kept_counts = (
        select(
            TaskCount.project_id,
            func.sum(TaskCount.total).label("total"),
            func.sum(TaskCount.completed).label("completed"),
        )
        .group_by(TaskCount.project_id)
        .subquery("kept")
    )
    true_counts = (
        select(
            Task.project_id,
            func.count().label("total"),
            func.count().filter(Task.completed).label("completed"),
        )
        .group_by(Task.project_id)
        .subquery("there")
    )
    pairs = [
        (name, cast(func.coalesce(kept_counts.c[name], 0), BigInteger), func.coalesce(true_counts.c[name], 0))
        for name in ("total", "completed")
    ]
    return (
        select(
            Project.id.label("project_id"),
            *(column.label(f"kept_{name}") for name, column, _ in pairs),
            *(column.label(f"true_{name}") for name, _, column in pairs),
        )
        .outerjoin(kept_counts, kept_counts.c.project_id == Project.id)
        .outerjoin(true_counts, true_counts.c.project_id == Project.id)
        .where(or_(*(kept_column != true_column for _, kept_column, true_column in pairs)))
    )
