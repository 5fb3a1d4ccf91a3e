"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    SQLColumnExpression,
    Uuid,
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
from app.core.database.statements import Rows, compiled, inline, param
from app.core.errors import AppError, FieldError
from app.core.preconditions.etags import etag_expression, precondition_clause
from app.core.preconditions.headers import Preconditions, PreconditionShape
from app.projects.errors import MemberNotFoundError, ProjectNotFoundError, RoleRequiredError
from app.projects.models import Member, Project, Role, TaskCount

UuidColumn = SQLColumnExpression[UUID]


@dataclass(frozen=True, slots=True, eq=False)
class Permission:
    """What has to hold for a caller of this kind, with their ids left open: the one definition of who may do what.

    Made by `permissions`, once for each kind of caller, so that statements are found by what it is and not by what it
    says.
    """

    least: Role | None
    """The least role; None where no role is enough, nor to be an administrator, for what is somebody else's."""

    own: Role | None
    """The least role that is enough for what is the caller's own; None where that makes no difference."""

    is_superuser: bool
    is_bound: bool
    """Whether the caller is an API key that reaches one project only."""

    @property
    def sees_everything(self) -> bool:
        """Whether no project is closed to a caller of this kind."""
        return self.is_superuser and not self.is_bound

    def on(self, project_id: UuidColumn, owner_id: SQLColumnExpression[Any] | None = None) -> ColumnElement[bool]:
        """Return a condition that holds for a row of this project, and of this person, that the caller may touch."""
        is_own: ColumnElement[bool] = false() if owner_id is None else owner_id == param("caller_id", Uuid)
        if self.is_superuser:
            allowed: ColumnElement[bool] = is_own if self.least is None else true()
        else:
            suffices: ColumnElement[bool] = Member.role.in_(inline(_and_above(self.least)))
            if self.own is not None:
                assert owner_id is not None, "nothing of this kind is anybody's own"
                suffices |= Member.role.in_(inline(_and_above(self.own))) & is_own
            member = select(Member.user_id).where(
                Member.project_id == project_id, Member.user_id == param("caller_id", Uuid), suffices
            )
            # A statement may look for another member as well: this one is the caller's own.
            allowed = member.correlate_except(Member).exists()
        if self.is_bound:
            allowed &= project_id == param("bound_project_id", Uuid)
        return allowed

    def suffices(self, role: str | None, *, is_own: bool) -> bool:
        """Whether a member with this role may touch what they see."""
        if self.is_superuser and (is_own or self.least is not None):
            return True
        return role in _and_above(self.least) or (is_own and role in _and_above(self.own))


def _and_above(role: Role | None) -> list[str]:
    return [] if role is None else list(role.and_above)


@cache
def permissions(least: Role | None, own: Role | None = None) -> Mapping[tuple[bool, bool], Permission]:
    """Return the permissions that ask for this role: by whether the caller is an administrator, and a bound API key."""
    kinds = product((False, True), repeat=2)
    return {
        (is_superuser, is_bound): Permission(least, own, is_superuser, is_bound) for is_superuser, is_bound in kinds
    }


_READ_PERMISSIONS = permissions(Role.VIEWER)


def role_in(project_id: UuidColumn) -> Any:
    """Return the caller's own role in a project, as a column; null for an administrator who is not a member."""
    role = select(Member.role).where(Member.project_id == project_id, Member.user_id == param("caller_id", Uuid))
    return role.correlate_except(Member).scalar_subquery().label("role")


@dataclass(frozen=True, eq=False)
class Entity:
    """A kind of thing in a project, or the project: where its rows say what decides about who may touch them.

    Its methods are the conditions and statements that are the same for every kind.
    """

    model: type[Base]
    project_id: UuidColumn
    """The project of a row."""

    etag: ColumnElement[str]
    """The tag of a row."""

    missing: type[AppError]
    """How it is refused to whom it does not exist."""

    id_names: tuple[str, ...]
    """What its path calls the ids that it is found by; the first is the row's own."""

    owner_id: SQLColumnExpression[Any] | None = None
    """Whose a row is, where a person can have one of their own."""

    owner_required: type[AppError] | None = None
    """How those are refused for whom it would have to be their own, where that is not `RoleRequiredError`."""

    vanished: type[AppError] | None = None
    """How it is refused to whom it would exist, where that is not `missing`."""

    @property
    def id(self) -> UuidColumn:
        """The id of a row."""
        column: UuidColumn = self.model.__table__.c.id
        return column

    @property
    def is_project(self) -> bool:
        """Whether a row is a project, which is in no other project and never will be."""
        return self.model is Project

    def condition(self, permission: Permission, shape: PreconditionShape | None = None) -> ColumnElement[bool]:
        """Hold for its row if the caller is permitted and the preconditions, if there are any, hold as well."""
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
        """Its id, if the caller is permitted."""
        return select(self.id).where(self.condition(permission))

    @compiled
    def access_of(self, permission: Permission) -> Rows:
        """Select what decides about one that the caller may see: their role, whether it is their own, its tag, and
        whether changes have to name that.
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
    """What every scope has: a caller, a permission (here, to see), and the parameters of its condition."""

    __slots__ = ("caller", "parameters", "permission")

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.permission = _READ_PERMISSIONS[caller.is_superuser, caller.project_id is not None]
        self.parameters: dict[str, Any] = {"caller_id": caller.user_id, "bound_project_id": caller.project_id}

    @property
    def read_permission(self) -> Permission:
        """The permission of the same caller to see, whatever this scope asks for."""
        return _READ_PERMISSIONS[self.permission.is_superuser, self.permission.is_bound]

    async def refusal(self, database: Database) -> AppError:  # noqa: ARG002 - some scopes ask it
        """Return why a statement that starts here found nothing: lists always answer, so the caller is gone."""
        return InvalidTokenError()


class ProjectsScope(CallersScope):
    """All projects that this caller may see."""

    __slots__ = ()


class EntityScope(CallersScope):
    """One entity as far as this caller may touch it. Not looked up yet: the statement that uses it does both."""

    __slots__ = ("preconditions",)

    entity: ClassVar[Entity]

    def __init__(
        self, caller: Caller, permission: Permission, ids: Sequence[UUID], preconditions: Preconditions | None = None
    ) -> None:
        """`ids`: in the order of the entity's `id_names`."""
        # Made for each request: written out, it takes half as long.
        self.caller = caller
        self.permission = permission
        self.parameters = {"caller_id": caller.user_id, "bound_project_id": caller.project_id}
        self.parameters.update(zip(self.entity.id_names, ids))  # noqa: B905 - with `strict` it takes twice as long
        if preconditions is not None:
            self.parameters.update(preconditions.parameters)
        self.preconditions = preconditions
        """Of a write on something that has a tag; None of anything else."""

    @property
    def shape(self) -> PreconditionShape | None:
        """What the preconditions add to the condition's text."""
        return self.preconditions.shape if self.preconditions else None

    async def refusal(self, database: Database, target: UUID | None = None) -> AppError:
        """Return why a statement with this condition found nothing: there is nothing that the caller may see, or the
        role is too weak, there or in the project `target` where it was to go, or the preconditions fail.
        """
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
        return self.preconditions.refusal(row["etag"], is_required=row["require_if_match"]) or vanished()

    def _too_weak(self, *errors: FieldError, is_own: bool = False) -> AppError:
        least, own = self.permission.least, self.permission.own
        if own is not None and is_own:
            return RoleRequiredError(own.value, errors=errors)
        if own is not None and self.entity.owner_required is not None:
            return self.entity.owner_required(errors=errors)
        assert least is not None, "what only its owner may touch has an `owner_required`"
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
        assert least is not None, "what can be moved is open to others than its owner"
        error |= {"detail": f"is a project in which you lack the role {least.value}", "code": "role_required"}
        return self._too_weak(error)


def stats_columns(project_id: UuidColumn) -> tuple[SQLColumnExpression[Any], ...]:
    """Return what a project shows besides its row, from its `TaskCount`s: how many tasks it has, how many of them are
    completed, and the caller's role.
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
    """Return a project's tag: the number of its row's state, and what it shows besides. Another shape needs another
    letter.
    """
    return etag_expression("p", version, total, completed, func.coalesce(role, literal_column("''")))


def _tag_of_row() -> ColumnElement[str]:
    found = select(tag(Project.version, *stats_columns(Project.id))).where(TaskCount.project_id == Project.id)
    return found.correlate(Project).scalar_subquery()


PROJECT = Entity(Project, Project.id, _tag_of_row(), ProjectNotFoundError, ("project_id",))

this_project = PROJECT.condition


class ProjectScope(EntityScope):
    """One project as far as this caller may touch it."""

    __slots__ = ()

    entity = PROJECT

    @property
    def project_id(self) -> UUID:
        """The project's id."""
        project_id: UUID = self.parameters["project_id"]
        return project_id


class MemberScope(ProjectScope):
    """One member of a project as far as this caller may touch them; oneself is one's own."""

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
