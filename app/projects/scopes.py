"""Authorisation scopes, whose conditions are part of every statement. Only `access` creates them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    SQLColumnExpression,
    Uuid,
    and_,
    cast,
    false,
    func,
    literal_column,
    select,
    true,
)

from app.auth.errors import InvalidTokenError
from app.auth.scopes import Caller
from app.core.database.database import Database
from app.core.database.models import Base
from app.core.database.statements import SAMPLES, Rows, compiled, inline, param
from app.core.errors import AppError, FieldError
from app.core.preconditions.etags import etag_expression, precondition_clause
from app.core.preconditions.headers import Preconditions, PreconditionShape
from app.projects.errors import MemberNotFoundError, PreconditionRequiredError, ProjectNotFoundError, RoleRequiredError
from app.projects.models import Member, Project, Role, TaskCount

UuidColumn = SQLColumnExpression[UUID]


@dataclass(frozen=True, slots=True, eq=False)
class Permission:
    """The authorisation rule for one kind of caller, whose ids are bind parameters.

    `permissions` creates one instance for each kind of caller, so that compiled statements are cached by identity.
    """

    least: Role | None
    """The lowest role that suffices; None if neither a role nor being an administrator suffices for others' rows."""

    own: Role | None
    """The lowest role that suffices for the caller's own rows; None if those make no difference."""

    is_superuser: bool
    is_bound: bool
    """Whether the caller is an API key that is bound to one project."""

    @property
    def sees_everything(self) -> bool:
        """Whether a caller of this kind may see every project."""
        return self.is_superuser and not self.is_bound

    def on(self, project_id: UuidColumn, owner_id: SQLColumnExpression[Any] | None = None) -> ColumnElement[bool]:
        """Return the condition that the caller may access a row with this project and owner."""
        is_own: ColumnElement[bool] = false() if owner_id is None else owner_id == param("caller_id", Uuid)
        if self.is_superuser:
            allowed: ColumnElement[bool] = is_own if self.least is None else true()
        else:
            assert self.own is None or owner_id is not None, "nothing of this kind is anybody's own"
            member = select(Member.user_id).where(self._is_member(project_id, is_own))
            # A statement may have another `Member` in its FROM clause: this subquery must not correlate with that.
            allowed = member.correlate_except(Member).exists()
        return self._within_bound(allowed, project_id)

    def membership(self, project_id: UuidColumn) -> ColumnElement[bool]:
        """Return the condition that a row of `Member` lets the caller access this project, for callers who are no
        administrators.
        """
        assert not self.is_superuser, "an administrator needs no membership"
        assert self.own is None, "nothing here is anybody's own"
        return self._within_bound(self._is_member(project_id, false()), project_id)

    def _is_member(self, project_id: UuidColumn, is_own: ColumnElement[bool]) -> ColumnElement[bool]:
        """Return the condition that a row of `Member` is the caller's in this project, with a role that suffices."""
        roles = _and_above(self.least)
        # The table has no other roles than these three, so that where each suffices, it need not be looked at.
        suffices: ColumnElement[bool] = true() if len(roles) == len(Role) else Member.role.in_(inline(roles))
        if self.own is not None:
            suffices |= Member.role.in_(inline(_and_above(self.own))) & is_own
        return and_(Member.project_id == project_id, Member.user_id == param("caller_id", Uuid), suffices)

    def _within_bound(self, allowed: ColumnElement[bool], project_id: UuidColumn) -> ColumnElement[bool]:
        """Add the condition of a key that is bound to a project."""
        return allowed & (project_id == param("bound_project_id", Uuid)) if self.is_bound else allowed

    def suffices(self, role: str | None, *, is_own: bool) -> bool:
        """Return whether a caller with this role may access a row that they can see."""
        if self.is_superuser and (is_own or self.least is not None):
            return True
        return role in _and_above(self.least) or (is_own and role in _and_above(self.own))


def _and_above(role: Role | None) -> list[str]:
    return [] if role is None else list(role.and_above)


def permissions(least: Role | None, own: Role | None = None) -> Mapping[tuple[bool, bool], Permission]:
    """Return the permissions for this role, by whether the caller is an administrator and whether a bound API key.

    They are the same objects each time.
    """
    return _permissions(least, own)


# The cache tells a default from the same value given.
@cache
def _permissions(least: Role | None, own: Role | None) -> Mapping[tuple[bool, bool], Permission]:
    kinds = product((False, True), repeat=2)
    return {
        (is_superuser, is_bound): Permission(least, own, is_superuser, is_bound) for is_superuser, is_bound in kinds
    }


_READ_PERMISSIONS = permissions(Role.VIEWER)

SAMPLES[Permission] = _READ_PERMISSIONS[False, False]


def role_in(project_id: UuidColumn) -> Any:
    """Return the caller's own role in a project, as a column; null for an administrator who is not a member."""
    role = select(Member.role).where(Member.project_id == project_id, Member.user_id == param("caller_id", Uuid))
    return role.correlate_except(Member).scalar_subquery().label("role")


@dataclass(frozen=True, eq=False)
class Entity:
    """A kind of entity in a project, or the project itself: the columns of its rows that decide about access.

    Its methods return the conditions and statements that are the same for every kind.
    """

    model: type[Base]
    project_id: UuidColumn
    """The project of a row."""

    etag: ColumnElement[str]
    """The tag of a row."""

    missing: type[AppError]
    """The error for callers who cannot see the entity."""

    id_names: tuple[str, ...]
    """The path parameters that identify it; the first is the row's own id."""

    owner_id: SQLColumnExpression[Any] | None = None
    """The owner of a row, for kinds that have one."""

    owner_required: type[AppError] | None = None
    """The error for callers who may only access their own, if it is not `RoleRequiredError`."""

    vanished: type[AppError] | None = None
    """The error if the caller may access the entity but it does not exist, if it is not `missing`."""

    @property
    def id(self) -> UuidColumn:
        """The id of a row."""
        column: UuidColumn = self.model.__table__.c.id
        return column

    @property
    def is_project(self) -> bool:
        """Whether the entity is the project itself, which cannot be moved."""
        return self.model is Project

    def condition(self, permission: Permission, shape: PreconditionShape | None = None) -> ColumnElement[bool]:
        """Return the condition for the entity's row: its id, the caller's permission, and any preconditions."""
        found = self.id == param(self.id_names[0], Uuid)
        permitted = permission.on(self.project_id, self.owner_id)
        if shape is None:
            return found & permitted
        if not self.is_project:
            # A subquery and not a join: after waiting for a row lock, PostgreSQL evaluates it again for the project
            # where the row is now. A joined membership would still be that of the project where the row was.
            permitted = select(permitted).correlate(self.model).scalar_subquery()
        return found & permitted & precondition_clause(shape, self.etag, self._requires_if_match())

    @compiled
    def permitted_id(self, permission: Permission) -> Rows:
        """Select the entity's id if the caller has the permission."""
        return select(self.id).where(self.condition(permission))

    @compiled
    def access_of(self, permission: Permission) -> Rows:
        """Select what explains a refusal to a caller who may see the entity: their role, whether it is their own, its
        tag, and whether its project requires `If-Match`.
        """
        is_own = false() if self.owner_id is None else self.owner_id == param("caller_id", Uuid)
        return select(
            role_in(self.project_id),
            is_own.label("is_own"),
            self.etag.label("etag"),
            self._requires_if_match().label("require_if_match"),
        ).where(self.condition(permission))

    def _requires_if_match(self) -> SQLColumnExpression[bool]:
        if self.is_project:
            return Project.require_if_match
        required = select(Project.require_if_match).where(Project.id == self.project_id)
        return required.correlate(self.model).scalar_subquery()


class CallersScope:
    """The base of scopes: a caller, a permission (here, to see), and the bind parameters of its condition."""

    __slots__ = ("caller", "parameters", "permission")

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.permission = _READ_PERMISSIONS[caller.is_superuser, caller.project_id is not None]
        self.parameters: dict[str, Any] = {"caller_id": caller.user_id, "bound_project_id": caller.project_id}

    @property
    def read_permission(self) -> Permission:
        """The same caller's permission to see, whatever permission this scope has."""
        return _READ_PERMISSIONS[self.permission.is_superuser, self.permission.is_bound]

    async def refusal(self, database: Database) -> AppError:  # noqa: ARG002 - some scopes ask it
        """Return the error for a statement that found no row: lists always return one, so the account is gone."""
        return InvalidTokenError()


class ProjectsScope(CallersScope):
    """All projects that this caller may see."""

    __slots__ = ()


class EntityScope(CallersScope):
    """One entity with the caller's permission. It is not looked up: the statement that uses it checks both."""

    __slots__ = ("preconditions",)

    entity: ClassVar[Entity]

    def __init__(
        self, caller: Caller, permission: Permission, ids: Sequence[UUID], preconditions: Preconditions | None = None
    ) -> None:
        """`ids`: in the order of the entity's `id_names`."""
        # Runs on every request: without the base class's __init__, it takes half as long.
        self.caller = caller
        self.permission = permission
        self.parameters = {"caller_id": caller.user_id, "bound_project_id": caller.project_id}
        self.parameters.update(zip(self.entity.id_names, ids))  # noqa: B905 - with `strict` it takes twice as long
        if preconditions is not None:
            self.parameters.update(preconditions.parameters)
        self.preconditions = preconditions
        """The preconditions of a write to a tagged entity; None otherwise."""

    @property
    def shape(self) -> PreconditionShape | None:
        """The part of the preconditions that determines the condition's SQL."""
        return self.preconditions.shape if self.preconditions else None

    async def refusal(self, database: Database, target: UUID | None = None) -> AppError:
        """Return the error for a statement that found no row: the caller cannot see the entity, or their role does not
        suffice, there or in the project `target` of a move, or the preconditions fail.
        """
        if self.permission is self.read_permission and self.entity.vanished is None:
            # The statement has asked for no more than to see it.
            return self.entity.missing()
        row = await database.fetch_one_or_none(self.entity.access_of(self.read_permission), self.parameters)
        if row is None:
            return self.entity.missing()
        if not self.permission.suffices(row["role"], is_own=row["is_own"]):
            return self._too_weak(is_own=row["is_own"])
        if target is not None and (refused := await self._refusal_of_target(database, target)):
            return refused
        vanished = self.entity.vanished or self.entity.missing
        if self.preconditions is None:
            return vanished()
        return unmet(self.preconditions, row["etag"], is_required=row["require_if_match"]) or vanished()

    def _too_weak(self, *errors: FieldError, is_own: bool = False) -> AppError:
        least, own = self.permission.least, self.permission.own
        if own is not None and is_own:
            return RoleRequiredError(own.value, errors=errors)
        if own is not None and self.entity.owner_required is not None:
            return self.entity.owner_required(errors=errors)
        assert least is not None, "an entity that only its owner may access has an `owner_required`"
        return RoleRequiredError(least.value, but_own=own is not None, errors=errors)

    async def _refusal_of_target(self, database: Database, project_id: UUID) -> AppError | None:
        found = await database.fetch_one_or_none(
            PROJECT.access_of(self.read_permission), {**self.parameters, "project_id": project_id}
        )
        error = FieldError(
            pointer="/project_id", detail="does not exist or is not visible to you", code="unknown_project"
        )
        if found is None:
            return ProjectNotFoundError(errors=[error])
        if self.permission.suffices(found["role"], is_own=False):
            return None
        least = self.permission.least
        assert least is not None, "an entity that can be moved is not restricted to its owner"
        error |= {"detail": f"is a project in which you lack the role {least.value}", "code": "role_required"}
        return self._too_weak(error)


def is_listed(filters: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a list with these filters contains a project, or what is in it: an archived one only if
    the client asks for that.
    """
    return Project.is_archived == param("is_archived", Boolean) if "is_archived" in filters else ~Project.is_archived


def stats_columns(project_id: UuidColumn) -> tuple[SQLColumnExpression[Any], ...]:
    """Return the columns of a project that are not in its row: the number of its tasks and of its completed tasks, from
    its `TaskCount`s, and the caller's role.
    """
    total, completed = (
        func.coalesce(cast(func.sum(column), BigInteger), inline(0))
        for column in (TaskCount.total, TaskCount.completed)
    )
    return total.label("tasks_total"), completed.label("tasks_completed"), role_in(project_id)


def tag(
    version: SQLColumnExpression[int],
    total: SQLColumnExpression[Any],
    completed: SQLColumnExpression[Any],
    role: SQLColumnExpression[Any],
) -> ColumnElement[str]:
    """Return a project's entity tag: the version of its row and its further columns. If the response's schema changes,
    the second letter must change too.
    """
    return etag_expression("pb", version, total, completed, func.coalesce(role, literal_column("''")))


def _tag_of_row() -> ColumnElement[str]:
    found = select(tag(Project.version, *stats_columns(Project.id))).where(TaskCount.project_id == Project.id)
    return found.correlate(Project).scalar_subquery()


PROJECT = Entity(Project, Project.id, _tag_of_row(), ProjectNotFoundError, ("project_id",))

this_project = PROJECT.condition


class ProjectScope(EntityScope):
    """One project with the caller's permission."""

    __slots__ = ()

    entity = PROJECT

    @property
    def project_id(self) -> UUID:
        """The project's id."""
        project_id: UUID = self.parameters["project_id"]
        return project_id


class MemberScope(ProjectScope):
    """One member of a project with the caller's permission; the caller's own membership is their own row."""

    __slots__ = ()

    entity = Entity(
        Project,
        Project.id,
        _tag_of_row(),
        ProjectNotFoundError,
        ("project_id", "user_id"),
        owner_id=param("user_id", Uuid),
        vanished=MemberNotFoundError,
    )

    @property
    def user_id(self) -> UUID:
        """The member's id."""
        user_id: UUID = self.parameters["user_id"]
        return user_id


def unmet(preconditions: Preconditions, tag: str, *, is_required: bool) -> AppError | None:
    """Return the error for a write that found no row whose tag fulfils these preconditions; None if they are not the
    reason. `tag`: the current one. `is_required`: whether the project requires `If-Match`.
    """
    if is_required and preconditions.match.kind == "absent":
        return PreconditionRequiredError()
    return preconditions.refusal(tag)
