"""What changes projects and their members."""

from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Executable, Integer, Uuid, insert, literal, literal_column, select, true
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_in
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.errors import InvalidTokenError, OnlyOwnerError, UserNotFoundError
from app.core.conditional import PreconditionShape
from app.core.database import ConstraintError, Database
from app.core.ids import uuid7
from app.core.statements import Rows, given, given_columns, prefixed
from app.projects import queries
from app.projects.errors import (
    LastOwnerError,
    MemberNotFoundError,
    ProjectNotFoundError,
    RoleRequiredError,
    TooManyMembersError,
)
from app.projects.models import Member, Project, Role
from app.projects.schemas import ProjectCreate, ProjectUpdate
from app.projects.scopes import Permission, ProjectScope, ProjectsScope, role_in_project, tag, this_project

MAX_MEMBERS = 1_000
"""Members that one project may have."""


async def create(database: Database, scope: ProjectsScope, new: ProjectCreate) -> dict[str, Any]:
    """Create a project that the caller owns."""
    values = {"id": uuid7(), **new.model_dump()}
    try:
        return await database.one(_creation, scope, tuple(values), **prefixed(values))
    except ConstraintError as error:
        if error.constraint == "project_members_user_id_fkey":
            # The caller's account was deleted a moment ago.
            raise InvalidTokenError from None
        raise


async def update(database: Database, scope: ProjectScope, changes: ProjectUpdate) -> dict[str, Any]:
    """Set what the client sent, and nothing else."""
    values = changes.values()
    if not values:
        return await database.one(queries.project, scope, scope.shape)
    return await database.one(_change, scope, scope.shape, tuple(values), **prefixed(values))


async def delete(database: Database, scope: ProjectScope) -> None:
    """Delete a project; the database takes its tasks and members along."""
    await database.one(_deletion, scope, scope.shape)


def _creation(_: Permission, names: tuple[str, ...]) -> Rows:
    """Both rows in one statement: the project and its owner."""
    project = insert(Project).values(given_columns(Project, names)).returning(*queries.ROW).cte("project")
    row = select(project.c.id, given("caller_id", Uuid), literal(Role.OWNER.value))
    member = insert(Member).from_select(["project_id", "user_id", "role"], row).returning(Member.role)
    owner = member.cte("owner")
    none: ColumnElement[int] = literal_column("0", Integer)
    no_tasks: tuple[ColumnElement[int], ...] = (none.label("tasks_total"), none.label("tasks_completed"))
    etag = tag(project.c.version, none, none, owner.c.role).label("etag")
    return select(project, *no_tasks, owner.c.role, etag).select_from(project.join(owner, true()))


def _change(permission: Permission, shape: PreconditionShape, names: tuple[str, ...]) -> Executable:
    values = given_columns(Project, names)
    changed = update_in(Project).where(this_project(permission, shape)).values(values)
    return queries.seen(changed.returning(*queries.ROW).cte("project"))


def _deletion(permission: Permission, shape: PreconditionShape) -> Executable:
    return delete_from(Project).where(this_project(permission, shape)).returning(Project.id)


async def set_member(
    session: AsyncSession, database: Database, scope: ProjectScope, user_id: UUID, role: Role
) -> tuple[dict[str, Any], bool]:
    """Make a person a member, or change their role; whether they are new. The last owner stays one."""
    await _lock(session, database, scope)
    if role is not Role.OWNER:
        await _refuse_last_owner(session, scope.project_id, user_id)
    if await session.scalar(queries.active_user(user_id)) is None:
        raise UserNotFoundError
    statement = (
        upsert(Member)
        .values(project_id=scope.project_id, user_id=user_id, role=role.value)
        .on_conflict_do_update(index_elements=[Member.project_id, Member.user_id], set_={"role": role.value})
        # Only a row that was inserted has no earlier transaction in it.
        .returning(literal_column("(xmax = 0)", Boolean))
    )
    is_new = bool(await session.scalar(statement))
    if is_new and (await session.scalars(queries.member_count(scope.project_id))).one() > MAX_MEMBERS:
        raise TooManyMembersError
    row = (await session.execute(queries.member(scope.project_id, user_id))).mappings().one()
    return dict(row), is_new


async def remove_member(session: AsyncSession, database: Database, scope: ProjectScope, user_id: UUID) -> None:
    """Take a person out of a project: oneself always, others as an owner. The last owner stays."""
    await _lock(session, database, scope)
    caller = scope.caller
    is_owner = caller.is_superuser or caller.user_id in list(await session.scalars(queries.owners(scope.project_id)))
    if user_id != caller.user_id and not is_owner:
        raise RoleRequiredError(Role.OWNER.value)
    await _refuse_last_owner(session, scope.project_id, user_id)
    statement = delete_from(Member).where(Member.project_id == scope.project_id, Member.user_id == user_id)
    if await session.scalar(statement.returning(Member.user_id)) is None:
        raise MemberNotFoundError


async def close_account(session: AsyncSession, user_id: UUID) -> None:
    """Before an account is deleted: delete the projects in which that person is alone, and refuse where others would be
    left without an owner.
    """
    owned = list(await session.scalars(queries.owned_projects_locked(user_id)))
    if await session.scalar(queries.shared_without_owner(owned, user_id)) is not None:
        raise OnlyOwnerError
    await session.execute(
        delete_from(Project).where(Project.id.in_(owned), Project.id.not_in(queries.shared(owned, user_id)))
    )


async def _lock(session: AsyncSession, database: Database, scope: ProjectScope) -> None:
    """Let changes of a project's members wait for each other, and check the permission under that lock."""
    # Before the session holds a connection, too: many who are refused at once would each wait for a second one.
    await database.one(queries.permitted, scope)
    if await session.scalar(queries.project_locked(scope.project_id)) is None:
        raise ProjectNotFoundError
    if await session.scalar(queries.permitted(scope.permission), dict(scope.parameters)) is None:
        # The role was lost while others had the lock.
        left = await session.scalar(role_in_project(scope.to_see), dict(scope.parameters))
        raise ProjectNotFoundError if left is None else RoleRequiredError(scope.least.value)


async def _refuse_last_owner(session: AsyncSession, project_id: UUID, user_id: UUID) -> None:
    if list(await session.scalars(queries.owners(project_id))) == [user_id]:
        raise LastOwnerError
