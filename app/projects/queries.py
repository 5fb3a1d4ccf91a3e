"""Statements that return projects and their members."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Text, Uuid, any_, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from app.auth.models import User
from app.core.database.search import matches, relevance, without_index, words_of
from app.core.database.statements import Column, Rows, column_params, compiled, param
from app.core.listing.params import RELEVANCE, comparisons
from app.core.listing.sorting import Key, Keys, alphabetical
from app.core.listing.statement import ListSource, ListVariant, capped_count, list_query, sort_columns, total_of
from app.core.preconditions.headers import PreconditionShape
from app.projects.models import Member, Project, Role, TaskCount
from app.projects.schemas import MemberRead, ProjectRead
from app.projects.scopes import Permission, is_listed, permissions, stats_columns, tag, this_project

COLUMNS = (
    Project.id,
    Project.name,
    Project.description,
    Project.require_if_match,
    Project.is_archived,
    Project.created_at,
    Project.updated_at,
)
ROW_COLUMNS = (*COLUMNS, Project.version)
MEMBER_COLUMNS = (Member.user_id, User.username, Member.role, Member.created_at, Member.updated_at)


def select_read(row: FromClause, membership: ColumnElement[bool] | None = None) -> Rows:
    """Select the response columns of projects from their rows. `membership`: the condition for the caller's membership
    (`Permission.membership`), which then has the role.
    """
    # Lateral, so that the counts and the role are read once for both the columns and the tag.
    total, completed, role = stats_columns(row.c.id)
    read = [total, completed] if membership is not None else [total, completed, role]
    member = Member.__table__
    counted = row.c.id if membership is None else member.c.project_id
    shown = select(*read).where(TaskCount.project_id == counted).lateral("shown")
    # The row, which has more columns than the others, last: each join makes a descriptor of all that it has.
    source = row.join(shown, true()) if membership is None else member.join(shown, true()).join(row, membership)
    stats = (shown.c.tasks_total, shown.c.tasks_completed, shown.c.role if membership is None else Member.role)
    etag = tag(row.c.version, *stats).label("etag")
    return select(*(row.c[column.name] for column in COLUMNS), *stats, etag).select_from(source)


@compiled(model=ProjectRead)
def project(permission: Permission, shape: PreconditionShape | None = None) -> Rows:
    """Select one project."""
    if permission.is_superuser or shape is not None:
        return select_read(Project.__table__).where(this_project(permission, shape))
    # To look for the membership once, and not again for the role, takes PostgreSQL a fifth less time.
    found = select_read(Project.__table__, permission.membership(Project.id))
    return found.where(Project.id == param("project_id", Uuid))


WORDS = words_of(Project.name, Project.description)

KEYS: Keys = {
    **{column.key: Key(column) for column in (Project.id, Project.created_at, Project.updated_at)},
    "name": Key(Project.name, compared=alphabetical),
    RELEVANCE: Key(relevance(WORDS)),
}
"""The sort keys of projects."""

_OWN = select(Member.user_id).where(Member.project_id == Project.id, Member.user_id == param("caller_id", Uuid))

CONDITIONS = {
    **comparisons("created_at", Project.created_at),
    "role": _OWN.where(Member.role == param("role", Text)).correlate_except(Member).exists(),
    "q": matches(without_index(WORDS)),
    "is_archived": true(),
}
"""The SQL conditions of the filters in `ProjectParams`; that of `is_archived` is `is_listed`."""


@list_query(KEYS, "-id", model=ProjectRead)
def projects(permission: Permission, variant: ListVariant) -> ListSource:
    """Select a page of the caller's projects, by default the newest first."""
    # The index covers all projects, so only callers who see all of them use it: for others, the time that it takes
    # would reveal what strangers write.
    conditions = {**CONDITIONS, "q": matches(WORDS)} if permission.sees_everything else CONDITIONS
    matching = (permission.on(Project.id), is_listed(variant.filters), *(conditions[name] for name in variant.filters))
    shown = select_read(Project.__table__).where(*matching)
    counting = total_of(func.count()).select_from(Project).where(*matching)
    return ListSource(
        items=shown.add_columns(*sort_columns(variant, KEYS, shown.selected_columns)),
        total=capped_count(select(Project.id).where(*matching)) if variant.filters else counting,
    )


MEMBER_KEYS: Keys = {"created_at": Key(Member.created_at), "user_id": Key(Member.user_id)}


@list_query(MEMBER_KEYS, "created_at", tiebreaker="user_id", model=MemberRead)
def members(permission: Permission, _: ListVariant) -> ListSource:
    """Select a page of a project's members, in the order in which they joined."""
    of_project = Member.project_id == param("project_id", Uuid)
    return ListSource(
        items=select(*MEMBER_COLUMNS).join(User, User.id == Member.user_id).where(of_project),
        total=total_of(func.count()).select_from(Member).where(of_project),
        root=Project.__table__,
        where=this_project(permission),
    )


@compiled
def visible_member(permission: Permission) -> Rows:
    """Select one member of a project that the caller may see."""
    return (
        select(*MEMBER_COLUMNS)
        .join(User, User.id == Member.user_id)
        .join(Project, Project.id == Member.project_id)
        .where(this_project(permission), Member.user_id == param("user_id", Uuid))
    )


def member(project_id: UUID, user_id: UUID) -> Rows:
    """Select one member."""
    return (
        select(*MEMBER_COLUMNS)
        .join(User, User.id == Member.user_id)
        .where(Member.project_id == project_id, Member.user_id == user_id)
    )


def project_locked(project_id: UUID) -> Rows:
    """Select a project and lock it, so that changes of its members wait for each other.

    FOR NO KEY UPDATE allows tasks to be added meanwhile: their foreign key only needs the project's key.
    """
    return select(Project.id).where(Project.id == project_id).with_for_update(key_share=True)


def may_set_archived(permission: Permission, is_archived: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that the caller owns the project, or that setting `is_archived` to this changes nothing."""
    owner = permissions(Role.OWNER)[permission.is_superuser, permission.is_bound]
    return or_(Project.is_archived == is_archived, owner.on(Project.id))


@compiled
def project_not_to_archive(permission: Permission) -> Rows:
    """Select the project if the caller may change it, but not its `is_archived` to the given value."""
    is_archived = column_params(Project, ("is_archived",))["is_archived"]
    return select(Project.id).where(this_project(permission), ~may_set_archived(permission, is_archived))


def owners(project_id: UUID) -> Rows:
    """Select the project's owners, and whether each may sign in."""
    return (
        select(Member.user_id, User.is_active)
        .join(User, User.id == Member.user_id)
        .where(Member.project_id == project_id, Member.role == Role.OWNER.value)
    )


def projects_without_active_owner() -> Rows:
    """Select the projects that have members but no active owner, so that only administrators can appoint one."""
    owner = select(User.id).join(Member, Member.user_id == User.id)
    active = owner.where(Member.project_id == Project.id, Member.role == Role.OWNER.value, User.is_active)
    member = select(Member.user_id).where(Member.project_id == Project.id)
    return select(Project.id).where(member.exists(), ~active.exists()).order_by(Project.id)


def member_count(project_id: UUID) -> Rows:
    """Count the project's members."""
    return select(func.count().label("count")).where(Member.project_id == project_id)


def active_user(user_id: UUID) -> Rows:
    """Select and lock an active user, who can become a member."""
    return select(User.id).where(User.id == user_id, User.is_active).with_for_update(read=True, key_share=True)


def owned_projects_locked(user_id: UUID) -> Rows:
    """Select the projects that a user owns, locked in one order."""
    owned = select(Member.project_id).where(Member.user_id == user_id, Member.role == Role.OWNER.value)
    return select(Project.id).where(Project.id.in_(owned)).order_by(Project.id).with_for_update()


def shared_projects_without_owner(project_ids: list[UUID], leaving: UUID) -> Rows:
    """Select one of the projects that has further members, but no active owner other than the user who leaves."""
    return (
        select(Member.project_id)
        .join(User, User.id == Member.user_id)
        .where(is_among(Member.project_id, project_ids), Member.user_id != leaving)
        .group_by(Member.project_id)
        .having(func.count().filter(Member.role == Role.OWNER.value, User.is_active) == 0)
        .limit(1)
    )


def shared_projects(project_ids: list[UUID], leaving: UUID) -> Rows:
    """Select those of the projects that have other members than the user who leaves."""
    return select(Member.project_id).where(is_among(Member.project_id, project_ids), Member.user_id != leaving)


def is_among(column: Column, ids: list[UUID]) -> ColumnElement[bool]:
    """Return the condition that a column is one of these ids, which are one bind parameter of any length."""
    return column == any_(literal(ids, ARRAY(Uuid)))
