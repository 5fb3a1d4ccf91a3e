"""Statements that return projects."""

from sqlalchemy import func, literal, select, true

from app.core.database import Rows
from app.core.pagination import PageParams, page_statement
from app.projects.models import Project
from app.projects.scopes import ProjectScope, ProjectsScope

COLUMNS = (Project.id, Project.name, Project.description, Project.created_at, Project.updated_at)


def project(scope: ProjectScope) -> Rows:
    """One project."""
    return select(*COLUMNS).where(scope.condition())


def projects(_scope: ProjectsScope, params: PageParams) -> Rows:
    """A page of the caller's projects, the newest first."""
    return page_statement(
        anchor=select(literal(1)).subquery("caller"),
        permitted=true(),
        items=select(*COLUMNS).order_by(Project.id.desc()),
        total=select(func.count()).select_from(Project),
        params=params,
    )
