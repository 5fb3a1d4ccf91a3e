"""Statements that return tasks."""

from sqlalchemy import func, literal, select, true

from app.core.database import Rows
from app.core.pagination import PageParams, page_statement
from app.projects.models import Project
from app.projects.scopes import ProjectScope
from app.tasks.models import Task
from app.tasks.scopes import TaskScope, TasksScope

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


def task(scope: TaskScope) -> Rows:
    """One task."""
    return select(*COLUMNS).where(scope.condition())


def tasks_by_priority(scope: ProjectScope, params: PageParams) -> Rows:
    """A page of a project's tasks, the most urgent first, the newest first among equals."""
    of_project = Task.project_id == Project.id
    return page_statement(
        anchor=Project.__table__,
        permitted=scope.condition(),
        items=select(*COLUMNS).where(of_project).order_by(Task.priority.desc(), Task.id.desc()).correlate(Project),
        total=select(func.count().label("_total")).select_from(Task).where(of_project).correlate(Project),
        params=params,
    )


def visible_tasks(scope: TasksScope, params: PageParams) -> Rows:
    """A page of the tasks of all the caller's projects, in the same order."""
    seen = scope.condition()
    return page_statement(
        anchor=select(literal(1)).subquery("caller"),
        permitted=true(),
        items=select(*COLUMNS).where(seen).order_by(Task.priority.desc(), Task.id.desc()),
        total=select(func.count().label("_total")).select_from(Task).where(seen),
        params=params,
    )
