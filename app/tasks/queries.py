"""Statements that return tasks."""

from sqlalchemy import func, literal, select, true

from app.core.pagination import page_statement
from app.core.statements import Rows
from app.projects.models import Project
from app.projects.scopes import Permission, this_project
from app.tasks.models import Task
from app.tasks.scopes import this_task

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


def permitted(permission: Permission) -> Rows:
    """The task's id, if the caller is permitted."""
    return select(Task.id).where(this_task(permission))


def task(permission: Permission) -> Rows:
    """One task."""
    return select(*COLUMNS).where(this_task(permission))


def tasks_by_priority(permission: Permission) -> Rows:
    """A page of a project's tasks, the most urgent first, the newest first among equals."""
    of_project = Task.project_id == Project.id
    return page_statement(
        anchor=Project.__table__,
        permitted=this_project(permission),
        items=select(*COLUMNS).where(of_project).order_by(Task.priority.desc(), Task.id.desc()).correlate(Project),
        total=select(func.count().label("_total")).select_from(Task).where(of_project).correlate(Project),
    )


def visible_tasks(permission: Permission) -> Rows:
    """A page of the tasks of all the caller's projects, in the same order."""
    seen = permission.on(Task.project_id)
    return page_statement(
        anchor=select(literal(1)).subquery("caller"),
        permitted=true(),
        items=select(*COLUMNS).where(seen).order_by(Task.priority.desc(), Task.id.desc()),
        total=select(func.count().label("_total")).select_from(Task).where(seen),
    )
