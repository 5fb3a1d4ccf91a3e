"""Statements that return projects and their members."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, literal, select, true

from app.auth.models import User
from app.auth.scopes import Caller
from app.core.database import Rows
from app.core.pagination import PageParams, page_statement
from app.projects.models import Member, Project, Role
from app.projects.scopes import ProjectScope, ProjectsScope, permitted, role_in

COLUMNS = (Project.id, Project.name, Project.description, Project.created_at, Project.updated_at)
MEMBER_COLUMNS = (Member.user_id, User.username, Member.role, Member.created_at, Member.updated_at)


def columns(caller: Caller) -> tuple[Any, ...]:
    """A project's columns and the caller's role in it."""
    return (*COLUMNS, role_in(Project.id, caller).label("role"))


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
        total=select(func.count().label("_total")).select_from(Project).where(seen),
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
        total=select(func.count().label("_total")).select_from(Member).where(of_project).correlate(Project),
        params=params,
    )


def member_seen_by(scope: ProjectScope, user_id: UUID) -> Rows:
    """One member of a project that the caller may see."""
    return (
        select(*MEMBER_COLUMNS)
        .join(User, User.id == Member.user_id)
        .join(Project, Project.id == Member.project_id)
        .where(scope.condition(), Member.user_id == user_id)
    )


def member(project_id: UUID, user_id: UUID) -> Rows:
    """One member."""
    return (
        select(*MEMBER_COLUMNS)
        .join(User, User.id == Member.user_id)
        .where(Member.project_id == project_id, Member.user_id == user_id)
    )


def project_locked(project_id: UUID) -> Rows:
    """A project, locked so that changes of its members wait for each other.

    NO KEY, so that tasks can be added meanwhile: their foreign key only needs the project to stay.
    """
    return select(Project.id).where(Project.id == project_id).with_for_update(key_share=True)


def permission(scope: ProjectScope) -> Rows:
    """The project's id, if the caller is permitted."""
    return select(Project.id).where(scope.condition())


def owners(project_id: UUID) -> Rows:
    """The project's owners."""
    return select(Member.user_id).where(Member.project_id == project_id, Member.role == Role.OWNER.value)


def member_count(project_id: UUID) -> Rows:
    """How many members the project has."""
    return select(func.count()).select_from(Member).where(Member.project_id == project_id)


def active_user(user_id: UUID) -> Rows:
    """A person who can be made a member."""
    return select(User.id).where(User.id == user_id, User.is_active)


def owned_projects_locked(user_id: UUID) -> Rows:
    """The projects that a person owns, locked in one order."""
    owned = select(Member.project_id).where(Member.user_id == user_id, Member.role == Role.OWNER.value)
    return select(Project.id).where(Project.id.in_(owned)).order_by(Project.id).with_for_update()


def shared_without_owner(project_ids: list[UUID], leaving: UUID) -> Rows:
    """Those of the projects that have members, but no other owner than the person who leaves."""
    return (
        select(Member.project_id)
        .where(Member.project_id.in_(project_ids), Member.user_id != leaving)
        .group_by(Member.project_id)
        .having(func.count().filter(Member.role == Role.OWNER.value) == 0)
        .limit(1)
    )


def shared(project_ids: list[UUID], leaving: UUID) -> Rows:
    """Those of the projects that have other members than the person who leaves."""
    return select(Member.project_id).where(Member.project_id.in_(project_ids), Member.user_id != leaving)
