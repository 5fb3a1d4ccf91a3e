"""Statements that return projects and their members."""

from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, select, true

from app.auth.models import User
from app.auth.scopes import Caller
from app.core.database import Rows
from app.core.pagination import PageParams, page_statement
from app.projects.models import Member, Project, Role
from app.projects.scopes import ProjectScope, ProjectsScope, permitted, role_in

COLUMNS = (Project.id, Project.name, Project.description, Project.created_at, Project.updated_at)
MEMBER_COLUMNS = (Member.user_id, User.username, Member.role, Member.created_at, Member.updated_at)


def columns(caller: Caller) -> tuple[ColumnElement[object], ...]:
    """A project's columns and the caller's role in it."""
    return (*COLUMNS, role_in(Project.id, caller).label("role"))  # type: ignore[return-value] # columns all


def project(scope: ProjectScope) -> Rows:
    """One project."""
    return select(*columns(scope.caller)).where(scope.condition())


def projects(scope: ProjectsScope, params: PageParams) -> Rows:
    """A page of the caller's projects, the newest first."""
    seen = permitted(Project.id, scope.caller, Role.VIEWER)
    return page_statement(
        anchor=select(literal(1)).subquery("caller"),
        permitted=true(),
        items=select(*columns(scope.caller)).where(seen).order_by(Project.id.desc()),
        total=select(func.count()).select_from(Project).where(seen),
        params=params,
    )


def members(scope: ProjectScope, params: PageParams) -> Rows:
    """A page of a project's members, in the order in which they joined."""
    of_project = Member.project_id == Project.id
    return page_statement(
        anchor=Project.__table__,
        permitted=scope.condition(),
        items=select(*MEMBER_COLUMNS)
        .join(User, User.id == Member.user_id)
        .where(of_project)
        .order_by(Member.created_at, Member.user_id)
        .correlate(Project),
        total=select(func.count()).select_from(Member).where(of_project).correlate(Project),
        params=params,
    )


def member(project_id: UUID, user_id: UUID) -> Rows:
    """One member."""
    return (
        select(*MEMBER_COLUMNS)
        .join(User, User.id == Member.user_id)
        .where(Member.project_id == project_id, Member.user_id == user_id)
    )
