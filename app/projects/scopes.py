"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    SQLColumnExpression,
    Uuid,
    cast,
    func,
    literal_column,
    select,
    true,
)

from app.auth.errors import InvalidTokenError
from app.auth.scopes import Caller
from app.core.database.database import Database
from app.core.database.statements import Rows, fixed, given, prepared
from app.core.errors import AppError, FieldError
from app.core.preconditions.etags import fulfilled, tag_of
from app.core.preconditions.headers import Preconditions, PreconditionShape
from app.projects.errors import MemberNotFoundError, ProjectNotFoundError, RoleRequiredError
from app.projects.models import Member, Project, Role, TaskCount

UuidColumn = SQLColumnExpression[UUID]


@dataclass(frozen=True, slots=True)
class Permission:
    """What has to hold for a caller of this kind, with their ids left open: the one definition of who may do what."""

    least: Role
    is_superuser: bool
    is_bound: bool
    """Whether the caller is an API key that reaches one project only."""

    @property
    def sees_everything(self) -> bool:
        """Whether no project is closed to a caller of this kind."""
        return self.is_superuser and not self.is_bound

    def on(self, project_id: UuidColumn) -> ColumnElement[bool]:
        """Holds for a row whose project the caller may touch in this role."""
        if self.is_superuser:
            allowed: ColumnElement[bool] = true()
        else:
            own = select(Member.user_id).where(
                Member.project_id == project_id,
                Member.user_id == given("caller_id", Uuid),
                Member.role.in_(fixed(list(self.least.and_above))),
            )
            # A statement may look for another member as well: this one is the caller's own.
            allowed = own.correlate_except(Member).exists()
        if self.is_bound:
            allowed &= project_id == given("bound_project_id", Uuid)
        return allowed


@cache
def permission_of(least: Role, is_superuser: bool, is_bound: bool) -> Permission:
    """There are a dozen of these, made once each."""
    return Permission(least, is_superuser, is_bound)


def role_in(project_id: UuidColumn) -> Any:
    """The caller's own role in a project, as a column; null for an administrator who is not a member."""
    role = select(Member.role).where(Member.project_id == project_id, Member.user_id == given("caller_id", Uuid))
    return role.correlate_except(Member).scalar_subquery().label("role")


class CallersScope:
    """What every scope has: a caller, the least role that is asked for, and the parameters of the condition."""

    __slots__ = ("caller", "least", "parameters", "permission", "preconditions")

    def __init__(self, caller: Caller, least: Role, *, preconditions: Preconditions | None = None, **ids: UUID) -> None:
        self.caller = caller
        self.least = least
        self.permission = permission_of(least, caller.is_superuser, caller.project_id is not None)
        self.parameters: Mapping[str, Any] = {
            "caller_id": caller.user_id,
            "bound_project_id": caller.project_id,
            **ids,
            **(preconditions.parameters if preconditions else {}),
        }
        self.preconditions = preconditions
        """Of a write on something that has a tag; None of anything else."""

    @property
    def shape(self) -> PreconditionShape | None:
        """What the preconditions add to the condition's text."""
        return self.preconditions.shape if self.preconditions else None

    @property
    def to_see(self) -> Permission:
        """The permission of the same caller to see, whatever this scope asks for."""
        return permission_of(Role.VIEWER, self.permission.is_superuser, self.permission.is_bound)

    async def refusal(self, database: Database) -> AppError:  # noqa: ARG002 - some scopes ask it
        """Why a statement that starts here found nothing: lists always answer, so the caller is gone."""
        return InvalidTokenError()

    async def refusal_by_role(
        self,
        database: Database,
        role: Callable[[Permission], Executable],
        missing: type[AppError],
        target: UUID | None = None,
    ) -> AppError:
        """`missing`, unless the caller may see what is there: then the role is too weak, there or in the project where
        it was to go, or the preconditions fail.
        """
        row = await database.row(prepared(role, self.to_see), self.parameters)
        if row is None:
            return missing()
        if not self._suffices(row["role"]):
            return RoleRequiredError(self.least.value)
        if target is not None and (refused := await self._refusal_of_target(database, target)):
            return refused
        if self.preconditions is None:
            return missing()
        return self.preconditions.refusal(row["etag"], is_required=row["require_if_match"]) or missing()

    def _suffices(self, role: str | None) -> bool:
        return role in self.least.and_above or self.caller.is_superuser

    async def _refusal_of_target(self, database: Database, project_id: UUID) -> AppError | None:
        found = await database.row(
            prepared(role_in_project, self.to_see), {**self.parameters, "project_id": project_id}
        )
        error = FieldError(pointer="/project_id", detail="is no project that you may see", code="unknown_project")
        if found is None:
            return ProjectNotFoundError(errors=[error])
        if self._suffices(found["role"]):
            return None
        error |= {"detail": f"is a project in which you lack the role {self.least.value}", "code": "role_required"}
        return RoleRequiredError(self.least.value, errors=[error])


class ProjectsScope(CallersScope):
    """All projects that this caller may see."""

    __slots__ = ()


class ProjectScope(CallersScope):
    """One project as far as this caller may touch it. Not looked up yet: the statement that uses it does both."""

    __slots__ = ("project_id",)

    def __init__(
        self, project_id: UUID, caller: Caller, least: Role, preconditions: Preconditions | None = None
    ) -> None:
        super().__init__(caller, least, preconditions=preconditions, project_id=project_id)
        self.project_id = project_id

    async def refusal(self, database: Database) -> AppError:
        """Why a statement with this condition found nothing."""
        return await self.refusal_by_role(database, role_in_project, ProjectNotFoundError)


class MemberScope(CallersScope):
    """One member of a project as far as this caller may see them."""

    __slots__ = ()

    def __init__(self, project: ProjectScope, user_id: UUID) -> None:
        super().__init__(project.caller, project.least, project_id=project.project_id, user_id=user_id)

    async def refusal(self, database: Database) -> AppError:
        """Why a statement with this condition found nothing: the project is not to be seen, or has no such member."""
        found = await database.row(prepared(role_in_project, self.permission), self.parameters)
        return ProjectNotFoundError() if found is None else MemberNotFoundError()


def beside(project_id: UuidColumn) -> tuple[SQLColumnExpression[Any], ...]:
    """What a project shows besides its row, from its `TaskCount`s: how many tasks it has, how many of them are
    completed, and the caller's role.
    """
    total, completed = (
        func.coalesce(cast(func.sum(column), BigInteger), fixed(0)) for column in (TaskCount.total, TaskCount.completed)
    )
    return total.label("tasks_total"), completed.label("tasks_completed"), role_in(project_id)


def tag(
    version: SQLColumnExpression[int],
    total: SQLColumnExpression[Any],
    completed: SQLColumnExpression[Any],
    role: SQLColumnExpression[Any],
) -> ColumnElement[str]:
    """A project's tag: the number of its row's state, and what it shows besides. Another shape needs another letter."""
    return tag_of("p", version, total, completed, func.coalesce(role, literal_column("''")))


def this_project(permission: Permission, shape: PreconditionShape | None = None) -> ColumnElement[bool]:
    """Holds for the project's row if the caller is permitted and the preconditions, if there are any, hold as well."""
    condition = (Project.id == given("project_id", Uuid)) & permission.on(Project.id)
    return condition if shape is None else condition & fulfilled(shape, _tag_of_row(), Project.require_if_match)


def _tag_of_row() -> ColumnElement[str]:
    found = select(tag(Project.version, *beside(Project.id))).where(TaskCount.project_id == Project.id)
    return found.correlate(Project).scalar_subquery()


def role_in_project(permission: Permission) -> Rows:
    """The caller's role in a project that they may see, its tag, and whether changes have to name it."""
    return select(role_in(Project.id), _tag_of_row().label("etag"), Project.require_if_match).where(
        this_project(permission)
    )
