"""Who may touch which project. Every statement about a project starts from a scope that is made here."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request
from sqlalchemy import or_, select

from app.auth.access import CallerGuard
from app.auth.errors import KeyBoundToProjectError
from app.auth.models import User
from app.auth.scopes import KEY_SCOPES, MEMBERS_READ, KeyScope
from app.core.database.database import Unit, get_database
from app.core.errors import AppError
from app.core.guards import path_id
from app.core.preconditions.headers import (
    PreconditionFailedError,
    PreconditionRequiredError,
    Preconditions,
    preconditions_of,
)
from app.projects import queries
from app.projects.errors import ProjectNotFoundError, RoleRequiredError
from app.projects.models import Member, Project, Role
from app.projects.scopes import MemberScope, ProjectScope, ProjectsScope

PROJECTS_READ = KEY_SCOPES.declare("projects:read", "See projects.")
PROJECTS_WRITE = KEY_SCOPES.declare("projects:write", "See, create, change and delete projects.")
MEMBERS_WRITE = KEY_SCOPES.declare("members:write", "See, add, change and remove a project's members.")


class RoleGuard(CallerGuard):
    """Admits to something in a project those who have the role there; to others it is `missing`."""

    def __init__(self, least: Role, scope: KeyScope, missing: type[AppError], *, is_conditional: bool = False) -> None:
        super().__init__(scope)
        self.least = least
        self.is_conditional = is_conditional
        too_weak = () if least is Role.VIEWER else (RoleRequiredError,)
        unmet = (PreconditionFailedError, PreconditionRequiredError) if is_conditional else ()
        self.errors = (*self.errors, missing, *too_weak, *unmet)

    def preconditions(self, request: Request) -> Preconditions | None:
        """What has to hold of the tag; None if that is not asked here. Malformed, it is refused as anything is."""
        return preconditions_of(request) if self.is_conditional else None


class ProjectGuard(RoleGuard):
    """Admits to the project of the path those who have the role there."""

    def __init__(self, least: Role, scope: KeyScope, *, is_conditional: bool = False) -> None:
        super().__init__(least, scope, ProjectNotFoundError, is_conditional=is_conditional)

    async def __call__(
        self, request: Request, project_id: Annotated[UUID, Path(description="The project's id.")]
    ) -> ProjectScope:
        """The project's scope; nothing is looked up yet."""
        return ProjectScope(project_id, await self.caller(request), self.least, self.preconditions(request))

    async def admit(self, request: Request) -> None:
        """Look the permission up by itself, because the handler's statement will not run."""
        caller = await self.caller(request)
        if (project_id := path_id(request, "project_id")) is None:
            return
        await get_database(request).one(queries.permitted, ProjectScope(project_id, caller, self.least))


class ProjectsGuard(CallerGuard):
    """Admits those who are signed in to the projects that they may see."""

    async def __call__(self, request: Request) -> ProjectsScope:
        """The scope of all their projects."""
        return ProjectsScope(await self.caller(request), Role.VIEWER)


class ProjectCreation(CallerGuard):
    """Admits those who may create projects."""

    def __init__(self, scope: KeyScope) -> None:
        super().__init__(scope)
        self.errors = (*self.errors, KeyBoundToProjectError)

    async def __call__(self, request: Request) -> ProjectsScope:
        """The scope that the new project joins."""
        caller = await self.caller(request)
        if caller.project_id is not None:
            raise KeyBoundToProjectError
        return ProjectsScope(caller, Role.VIEWER)

    async def admit(self, request: Request) -> None:
        """As for the handler."""
        await self(request)


async def _member(user_id: Annotated[UUID, Path(description="The person's id.")]) -> UUID:
    return user_id


async def project_visible(unit: Unit, user_id: UUID, project_id: UUID) -> bool:
    """Whether a person may see a project: what `app.auth` asks before it binds a key to one."""
    member = select(Member.role).where(Member.user_id == user_id, Member.project_id == Project.id)
    admin = select(User.id).where(User.id == user_id, User.is_superuser)
    seen = select(Project.id).where(Project.id == project_id, or_(member.exists(), admin.exists()))
    # It stays until the key that refers to it is there.
    seen = seen.with_for_update(read=True, key_share=True)
    return await unit.row(seen) is not None


ReadableProject = Annotated[ProjectScope, Depends(ProjectGuard(Role.VIEWER, PROJECTS_READ))]
"""The project of the path, if the caller may see it."""

EditableProject = Annotated[ProjectScope, Depends(ProjectGuard(Role.EDITOR, PROJECTS_WRITE, is_conditional=True))]
"""The project of the path, if the caller may change its details."""

OwnedProject = Annotated[ProjectScope, Depends(ProjectGuard(Role.OWNER, PROJECTS_WRITE, is_conditional=True))]
"""The project of the path, if the caller may delete it."""

ProjectWithMembers = Annotated[ProjectScope, Depends(ProjectGuard(Role.VIEWER, MEMBERS_READ))]
"""The project of the path, if the caller may see its members."""

ProjectWithOwnMembership = Annotated[ProjectScope, Depends(ProjectGuard(Role.VIEWER, MEMBERS_WRITE))]
"""The project of the path, if the caller may see it: all may leave, and the service asks for more to remove others."""

ProjectWithManagedMembers = Annotated[ProjectScope, Depends(ProjectGuard(Role.OWNER, MEMBERS_WRITE))]
"""The project of the path, if the caller may change its members."""

VisibleProjects = Annotated[ProjectsScope, Depends(ProjectsGuard(PROJECTS_READ))]
"""The projects that the caller may see."""

NewProject = Annotated[ProjectsScope, Depends(ProjectCreation(PROJECTS_WRITE))]
"""Where the caller may create a project."""

MemberId = Annotated[UUID, Depends(_member)]
"""A person whom statements look for among the project's members, or make one."""


async def _read_member(project: ProjectWithMembers, user_id: MemberId) -> MemberScope:
    return MemberScope(project, user_id)


ReadableMember = Annotated[MemberScope, Depends(_read_member)]
"""A member of the project, if the caller may see its members."""
