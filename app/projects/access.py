"""Guards of projects. Every statement about a project starts from a scope that a guard here has created."""

from collections.abc import Iterator
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Path, Request
from sqlalchemy import or_, select

from app.auth.access import CallerGuard
from app.auth.errors import KeyBoundToProjectError
from app.auth.models import User
from app.auth.scopes import KEY_SCOPES, MEMBERS_READ, Caller, KeyScope
from app.core.database.database import Transaction, get_database
from app.core.errors import AppError
from app.core.preconditions.headers import PreconditionFailedError, preconditions_of
from app.projects.errors import PreconditionRequiredError, ProjectArchivedError, RoleRequiredError
from app.projects.models import Member, Project, Role
from app.projects.scopes import Entity, EntityScope, MemberScope, ProjectScope, ProjectsScope, permissions

PROJECTS_READ = KEY_SCOPES.declare("projects:read", "See projects.")
PROJECTS_WRITE = KEY_SCOPES.declare("projects:write", "See, create, change and delete projects.")
MEMBERS_WRITE = KEY_SCOPES.declare("members:write", "See, add, change and remove a project's members.")


S = TypeVar("S", bound=EntityScope)


class EntityGuard(CallerGuard, Generic[S]):
    """Requires a role in the project of an entity; for the caller's own entities a lower role may suffice.

    A subclass sets `scope_class`; its `__call__` takes the ids from the path and calls `scope_of`.
    """

    scope_class: type[S]

    def __init__(
        self,
        least: Role | None,
        scope: KeyScope,
        *,
        own: Role | None = None,
        is_conditional: bool = False,
        needs_open_project: bool = True,
    ) -> None:
        """`least`: the required role; None if the entity must be the caller's own. `own`: the role for the caller's
        own. `needs_open_project`: whether the operation, if it writes, is refused in archived projects.
        """
        super().__init__(scope)
        self.least = least
        self.own = own
        self.is_conditional = is_conditional
        self._permissions = permissions(least, own)
        unmet = (PreconditionFailedError, PreconditionRequiredError) if is_conditional else ()
        self.is_refused_in_archive = scope.is_write and needs_open_project
        archived = (ProjectArchivedError,) if self.is_refused_in_archive else ()
        self.errors = (*self.errors, self.entity.missing, *self._too_weak(), *archived, *unmet)

    @property
    def entity(self) -> Entity:
        """The kind of entity that it guards."""
        return self.scope_class.entity

    def _too_weak(self) -> Iterator[type[AppError]]:
        """Yield the errors for callers who see the entity but lack the role."""
        required = self.entity.owner_required if self.own is not None else None
        if required is not None:
            yield required
        weakest = self.least if required is None else self.own
        if weakest is not Role.VIEWER:
            yield RoleRequiredError

    def scope_of(self, request: Request, caller: Caller, *ids: UUID) -> S:
        """Return the scope of the entity with these ids, without a query. Raises `InvalidRequestError` for malformed
        preconditions.
        """
        preconditions = preconditions_of(request) if self.is_conditional else None
        permission = self._permissions[caller.is_superuser, caller.project_id is not None]
        return self.scope_class(caller, permission, ids, preconditions)

    async def authorize(self, request: Request) -> None:
        """Check the permission with a query of its own, because the handler's statement will not run."""
        caller = self.caller(request)
        try:
            ids = [UUID(request.path_params[name]) for name in self.entity.id_names]
        except ValueError:
            # Validation reports it afterwards.
            return
        permission = self._permissions[caller.is_superuser, caller.project_id is not None]
        scope = self.scope_class(caller, permission, ids)
        await get_database(request).fetch_one(self.entity.permitted_id(permission), scope)


ProjectId = Annotated[UUID, Path(description="The project's id.")]


class ProjectGuard(EntityGuard[ProjectScope]):
    """Guards the project of the path."""

    scope_class = ProjectScope

    async def __call__(self, request: Request, project_id: ProjectId) -> ProjectScope:
        """Return the project's scope."""
        return self.scope_of(request, self.caller(request), project_id)


class MemberGuard(EntityGuard[MemberScope]):
    """Guards the member of the path."""

    scope_class = MemberScope

    async def __call__(
        self, request: Request, project_id: ProjectId, user_id: Annotated[UUID, Path(description="The person's id.")]
    ) -> MemberScope:
        """Return the member's scope."""
        return self.scope_of(request, self.caller(request), project_id, user_id)


class ProjectsGuard(CallerGuard):
    """Requires a signed-in caller, and passes on the scope of the projects that they may see."""

    async def __call__(self, request: Request) -> ProjectsScope:
        """Return the scope of the caller's projects."""
        return ProjectsScope(self.caller(request))


class ProjectCreation(CallerGuard):
    """Requires a caller who may create projects."""

    def __init__(self, scope: KeyScope) -> None:
        super().__init__(scope)
        self.errors = (*self.errors, KeyBoundToProjectError)

    async def __call__(self, request: Request) -> ProjectsScope:
        """Return the scope of the caller's projects. Raises `KeyBoundToProjectError`."""
        caller = self.caller(request)
        if caller.project_id is not None:
            raise KeyBoundToProjectError
        return ProjectsScope(caller)

    async def authorize(self, request: Request) -> None:
        """Check the same as for the handler."""
        await self(request)


async def _member(user_id: Annotated[UUID, Path(description="The person's id.")]) -> UUID:
    return user_id


async def project_visible(transaction: Transaction, user_id: UUID, project_id: UUID) -> bool:
    """Return whether a user may see a project. `app.auth` calls this before it binds a key to a project."""
    member = select(Member.role).where(Member.user_id == user_id, Member.project_id == Project.id)
    admin = select(User.id).where(User.id == user_id, User.is_superuser)
    seen = select(Project.id).where(Project.id == project_id, or_(member.exists(), admin.exists()))
    # The lock keeps the project until the key that refers to it is inserted.
    seen = seen.with_for_update(read=True, key_share=True)
    return await transaction.fetch_one_or_none(seen) is not None


ReadableProject = Annotated[ProjectScope, Depends(ProjectGuard(Role.VIEWER, PROJECTS_READ))]
"""The project of the path, if the caller may see it."""

EditableProject = Annotated[ProjectScope, Depends(ProjectGuard(Role.EDITOR, PROJECTS_WRITE, is_conditional=True))]
"""The project of the path, if the caller may change its details."""

OwnedProject = Annotated[
    ProjectScope,
    Depends(ProjectGuard(Role.OWNER, PROJECTS_WRITE, is_conditional=True, needs_open_project=False)),
]
"""The project of the path, if the caller may delete it."""

ProjectWithMembers = Annotated[ProjectScope, Depends(ProjectGuard(Role.VIEWER, MEMBERS_READ))]
"""The project of the path, if the caller may see its members."""

ProjectWithManagedMembers = Annotated[ProjectScope, Depends(ProjectGuard(Role.OWNER, MEMBERS_WRITE))]
"""The project of the path, if the caller may change its members."""

VisibleProjects = Annotated[ProjectsScope, Depends(ProjectsGuard(PROJECTS_READ))]
"""The projects that the caller may see."""

NewProject = Annotated[ProjectsScope, Depends(ProjectCreation(PROJECTS_WRITE))]
"""The scope in which the caller may create a project."""

MemberId = Annotated[UUID, Depends(_member)]
"""The id of a person who becomes a member."""

ReadableMember = Annotated[MemberScope, Depends(MemberGuard(Role.VIEWER, MEMBERS_READ))]
"""A member of the project, if the caller may see its members."""

RemovableMember = Annotated[MemberScope, Depends(MemberGuard(Role.OWNER, MEMBERS_WRITE, own=Role.VIEWER))]
"""A member of the project, if the caller may remove them: the caller's own membership always, others as an owner."""
