"""What a caller may touch, as conditions that statements carry. Only `access` makes scopes."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import InstrumentedAttribute

from app.auth.errors import InvalidTokenError
from app.auth.scopes import Caller
from app.core.database import Database
from app.core.errors import AppError
from app.projects.errors import MemberNotFoundError, ProjectNotFoundError, RoleRequiredError
from app.projects.models import Member, Project, Role

UuidColumn = InstrumentedAttribute[UUID]


def role_in(project_id: UuidColumn, caller: Caller) -> Any:
    """The caller's own role in a project, as a column; null for an administrator who is not a member."""
    role = select(Member.role).where(Member.project_id == project_id, Member.user_id == caller.user_id)
    return role.correlate_except(Member).scalar_subquery()


def permitted(project_id: UuidColumn, caller: Caller, least: Role) -> ColumnElement[bool]:
    """Holds for a row whose project the caller may touch in this role. The one definition of who may do what."""
    if caller.is_superuser:
        allowed: ColumnElement[bool] = true()
    else:
        own = select(Member.user_id).where(
            Member.project_id == project_id, Member.user_id == caller.user_id, Member.role.in_(least.and_above)
        )
        # A statement may look for another member as well: this one is the caller's own.
        allowed = own.correlate_except(Member).exists()
    if caller.project_id is not None:
        allowed &= project_id == caller.project_id
    return allowed


async def refusal(
    database: Database, caller: Caller, least: Role, role_of: Select[Any], missing: type[AppError]
) -> AppError:
    """Why a statement found nothing: `missing`, unless `role_of` finds that the caller may see what is there."""
    row = await database.row(role_of)
    if row is None or row["role"] in least.and_above or (row["role"] is None and not caller.is_superuser):
        return missing()
    return RoleRequiredError(least.value)


@dataclass(frozen=True, slots=True)
class ProjectScope:
    """One project as far as this caller may touch it. Not looked up yet: the statement that uses it does both."""

    project_id: UUID
    caller: Caller
    least: Role

    def condition(self) -> ColumnElement[bool]:
        """Holds for the project's row if the caller is permitted."""
        return (Project.id == self.project_id) & permitted(Project.id, self.caller, self.least)

    async def refusal(self, database: Database) -> AppError:
        """Why a statement with this condition found nothing."""
        seen = (Project.id == self.project_id) & permitted(Project.id, self.caller, Role.VIEWER)
        role_of = select(role_in(Project.id, self.caller).label("role")).where(seen)
        return await refusal(database, self.caller, self.least, role_of, ProjectNotFoundError)

    async def member_refusal(self, database: Database) -> AppError:
        """Why a statement with this condition found no member: the project is not to be seen, or there is no such."""
        seen = (Project.id == self.project_id) & permitted(Project.id, self.caller, Role.VIEWER)
        found = await database.row(select(Project.id).where(seen))
        return ProjectNotFoundError() if found is None else MemberNotFoundError()


@dataclass(frozen=True, slots=True)
class ProjectsScope:
    """All projects that this caller may see."""

    caller: Caller

    async def refusal(self, database: Database) -> AppError:  # noqa: ARG002 - as every scope's
        """Why a statement that starts here found nothing: the caller is gone."""
        return InvalidTokenError()
