"""Operations that change projects and their members."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Executable,
    Integer,
    Uuid,
    insert,
    literal,
    literal_column,
    select,
    true,
)
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_in
from sqlalchemy.dialects.postgresql import insert as upsert

from app.auth.errors import InvalidTokenError, OnlyOwnerError, UserNotFoundError
from app.core.database.database import Database, Transaction, refusing, repeated_if_undone
from app.core.database.rows import Row
from app.core.database.statements import Rows, as_params, column_params, compiled, param
from app.core.errors import FieldError
from app.core.ids import uuid7
from app.core.preconditions.headers import PreconditionShape
from app.projects import queries
from app.projects.errors import (
    LastOwnerError,
    MemberNotFoundError,
    RoleRequiredError,
    TooManyMembersError,
)
from app.projects.models import Member, Project, Role
from app.projects.schemas import ProjectCreate, ProjectRead, ProjectUpdate
from app.projects.scopes import (
    MemberScope,
    Permission,
    ProjectScope,
    ProjectsScope,
    tag,
    this_project,
)

MAX_MEMBERS = 1_000
"""Members that one project may have."""


async def create(database: Database, scope: ProjectsScope, new: ProjectCreate) -> Row:
    """Create a project that the caller owns."""
    values = {"id": uuid7(), **new.model_dump()}
    # The caller's account may have been deleted a moment ago.
    with refusing({"project_members_user_id_fkey": InvalidTokenError}):
        return await database.fetch_one(_insert_project(scope.permission, tuple(values)), scope, as_params(values))


async def update(database: Database, scope: ProjectScope, changes: ProjectUpdate) -> Row:
    """Set the members that the client sent, and nothing else."""
    values = changes.values()
    if not values:
        return await database.fetch_one(queries.project(scope.permission, scope.shape), scope)
    parameters = {**scope.parameters, **as_params(values)}
    row = await database.fetch_one_or_none(_update_project(scope.permission, scope.shape, tuple(values)), parameters)
    if row is None:
        if "is_archived" in values:
            await _refuse_archiving(database, scope, parameters)
        raise await scope.refusal(database)
    return row


async def _refuse_archiving(database: Database, scope: ProjectScope, parameters: dict[str, Any]) -> None:
    """Raise `RoleRequiredError` if the caller may change the project, but not whether it is archived."""
    if await database.fetch_one_or_none(queries.project_not_to_archive(scope.permission), parameters) is not None:
        error = FieldError(pointer="/is_archived", detail="can only be changed by owners", code=RoleRequiredError.code)
        raise RoleRequiredError(Role.OWNER.value, errors=[error])


async def delete(database: Database, scope: ProjectScope) -> None:
    """Delete a project; the database cascades to its tasks and members."""
    await database.fetch_one(_delete_project(scope.permission, scope.shape), scope)


@compiled(model=ProjectRead)
def _insert_project(_: Permission, names: tuple[str, ...]) -> Rows:
    """Insert a project and its owner in one statement."""
    project = insert(Project).values(column_params(Project, names)).returning(*queries.ROW_COLUMNS).cte("project")
    row = select(project.c.id, param("caller_id", Uuid), literal(Role.OWNER.value))
    member = insert(Member).from_select(["project_id", "user_id", "role"], row).returning(Member.role)
    owner = member.cte("owner")
    none: ColumnElement[int] = literal_column("0", Integer)
    no_tasks: tuple[ColumnElement[int], ...] = (none.label("tasks_total"), none.label("tasks_completed"))
    etag = tag(project.c.version, none, none, owner.c.role).label("etag")
    return select(project, *no_tasks, owner.c.role, etag).select_from(project.join(owner, true()))


@compiled(model=ProjectRead)
def _update_project(
    permission: Permission, preconditions: PreconditionShape | None, names: tuple[str, ...]
) -> Executable:
    values = column_params(Project, names)
    changed = update_in(Project).where(this_project(permission, preconditions)).values(values)
    if "is_archived" in values:
        changed = changed.where(queries.may_set_archived(permission, values["is_archived"]))
    return queries.select_read(changed.returning(*queries.ROW_COLUMNS).cte("project"))


@compiled
def _delete_project(permission: Permission, preconditions: PreconditionShape | None) -> Executable:
    return delete_from(Project).where(this_project(permission, preconditions)).returning(Project.id)


@repeated_if_undone
async def set_member(database: Database, scope: ProjectScope, user_id: UUID, role: Role) -> tuple[Row, bool]:
    """Add a member or change their role. Return the member, and whether they are new. Raises `LastOwnerError`,
    `UserNotFoundError` or `TooManyMembersError`.
    """
    async with database.transaction() as transaction:
        await _lock(transaction, scope)
        if role is not Role.OWNER:
            await _refuse_last_owner(transaction, scope.project_id, user_id)
        if await transaction.fetch_one_or_none(queries.active_user(user_id)) is None:
            raise UserNotFoundError
        statement = (
            upsert(Member)
            .values(project_id=scope.project_id, user_id=user_id, role=role.value)
            .on_conflict_do_update(index_elements=[Member.project_id, Member.user_id], set_={"role": role.value})
            # xmax is 0 only in a row that was inserted, not updated.
            .returning(literal_column("(xmax = 0)", Boolean).label("is_new"))
        )
        (written,) = await transaction.fetch_all(statement)
        if written["is_new"]:
            (members,) = await transaction.fetch_all(queries.member_count(scope.project_id))
            if members["count"] > MAX_MEMBERS:
                raise TooManyMembersError(
                    f"The project has reached its limit of {MAX_MEMBERS} members: remove one first."
                )
        (member,) = await transaction.fetch_all(queries.member(scope.project_id, user_id))
    return member, written["is_new"]


@repeated_if_undone
async def remove_member(database: Database, member: MemberScope) -> None:
    """Remove a member from a project. Raises `LastOwnerError` or `MemberNotFoundError`."""
    async with database.transaction() as transaction:
        await _lock(transaction, member)
        await _refuse_last_owner(transaction, member.project_id, member.user_id)
        statement = delete_from(Member).where(Member.project_id == member.project_id, Member.user_id == member.user_id)
        if await transaction.fetch_one_or_none(statement.returning(Member.user_id)) is None:
            raise MemberNotFoundError


async def close_account(transaction: Transaction, user_id: UUID) -> None:
    """Delete the projects of which a user is the only member, before their account is deleted. Raises `OnlyOwnerError`
    if a project would be left without an active owner.
    """
    owned = [row["id"] for row in await transaction.fetch_all(queries.owned_projects_locked(user_id))]
    if await transaction.fetch_one_or_none(queries.shared_projects_without_owner(owned, user_id)) is not None:
        raise OnlyOwnerError
    await transaction.execute(
        delete_from(Project).where(
            queries.is_among(Project.id, owned), Project.id.not_in(queries.shared_projects(owned, user_id))
        )
    )


async def _lock(transaction: Transaction, scope: ProjectScope) -> None:
    """Lock a project against other changes of its members, and check the permission both before and after that."""
    await transaction.fetch_one(scope.entity.permitted_id(scope.permission), scope)
    await transaction.execute(queries.project_locked(scope.project_id))
    # While this waited for the lock, the project may have been deleted, or the caller have lost the role.
    await transaction.fetch_one(scope.entity.permitted_id(scope.permission), scope)


async def _refuse_last_owner(transaction: Transaction, project_id: UUID, user_id: UUID) -> None:
    """Raise `LastOwnerError` if this user is an owner and no other active one would be left."""
    owners = await transaction.fetch_all(queries.owners(project_id))
    others_are_active = any(owner["is_active"] and owner["user_id"] != user_id for owner in owners)
    if not others_are_active and any(owner["user_id"] == user_id for owner in owners):
        raise LastOwnerError
