"""Who may touch which project. Every statement about a project starts from a scope that is made here."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request
from sqlalchemy import select

from app.auth.access import CurrentUser, SignedIn, caller_of
from app.core.database import get_database
from app.core.guards import Guard, path_id
from app.projects.errors import ProjectNotFoundError
from app.projects.models import Project
from app.projects.scopes import ProjectScope, ProjectsScope


class _ProjectGuard(Guard):
    errors = (*SignedIn.errors, ProjectNotFoundError)

    async def __call__(
        self, user: CurrentUser, project_id: Annotated[UUID, Path(description="The project's id.")]
    ) -> ProjectScope:
        return ProjectScope(project_id, user)

    async def admit(self, request: Request) -> None:
        user = await caller_of(request)
        if (project_id := path_id(request, "project_id")) is None:
            return
        scope, database = ProjectScope(project_id, user), get_database(request)
        await database.one(select(Project.id).where(scope.condition()), otherwise=scope.refusal)


async def _visible_projects(user: CurrentUser) -> ProjectsScope:
    return ProjectsScope(user)


ReadableProject = Annotated[ProjectScope, Depends(_ProjectGuard())]
"""The project of the path, if the caller may see it."""

EditableProject = ReadableProject
"""The project of the path, if the caller may change it."""

VisibleProjects = Annotated[ProjectsScope, Depends(_visible_projects)]
"""The projects that the caller may see."""
