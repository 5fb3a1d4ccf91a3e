"""`/projects/`."""

from typing import Any

from fastapi import Response

from app.core.database import DatabaseDep
from app.core.pagination import Page, PageParamsDep, fetch_page
from app.core.routing import API_PREFIX, FeatureRouter
from app.projects import queries, service
from app.projects.access import EditableProject, ReadableProject, VisibleProjects
from app.projects.schemas import ProjectCreate, ProjectRead, ProjectUpdate

router = FeatureRouter(prefix="/projects", tag="projects")


@router.get("/", summary="List projects", response_model=Page[ProjectRead])
async def list_projects(projects: VisibleProjects, page: PageParamsDep, database: DatabaseDep) -> dict[str, Any]:
    """All projects that you may see, the newest first, page by page."""
    return await fetch_page(database, queries.projects(projects, page), page, otherwise=projects.refusal)


@router.post("/", summary="Create a project", status_code=201, response_model=ProjectRead)
async def create_project(
    projects: VisibleProjects, new: ProjectCreate, database: DatabaseDep, response: Response
) -> dict[str, Any]:
    """Create a project. `Location` is its address."""
    project = await service.create(database, projects, new)
    response.headers["Location"] = f"{API_PREFIX}/projects/{project['id']}"
    return project


@router.get("/{project_id}", summary="Read a project", response_model=ProjectRead)
async def read_project(project: ReadableProject, database: DatabaseDep) -> dict[str, Any]:
    """One project."""
    return await database.one(queries.project(project), otherwise=project.refusal)


@router.put("/{project_id}", summary="Update a project", response_model=ProjectRead)
async def update_project(project: EditableProject, changes: ProjectUpdate, database: DatabaseDep) -> dict[str, Any]:
    """Set the members that the body names; **what the body leaves out stays as it is**, and null clears what may be
    null.
    """
    return await service.update(database, project, changes)


@router.patch("/{project_id}", summary="Patch a project", response_model=ProjectRead)
async def patch_project(project: EditableProject, changes: ProjectUpdate, database: DatabaseDep) -> dict[str, Any]:
    """Apply a JSON merge patch (RFC 7396): members that it names are set, null clears, all others stay as they are."""
    return await service.update(database, project, changes)


@router.delete("/{project_id}", summary="Delete a project", status_code=204)
async def delete_project(project: EditableProject, database: DatabaseDep) -> None:
    """Delete a project and all its tasks. This cannot be undone."""
    await service.delete(database, project)
