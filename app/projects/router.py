"""`/projects/` and `/projects/{project_id}/members/`."""

from typing import Annotated, Any

from fastapi import Query, Response

from app.auth.errors import UserNotFoundError
from app.core.database.database import DatabaseDep
from app.core.database.rows import Row
from app.core.http.routing import API_PREFIX, FeatureRouter
from app.core.listing.pagination import Page, PageParamsDep, PagesDep
from app.projects import queries, service
from app.projects.access import (
    EditableProject,
    MemberId,
    NewProject,
    OwnedProject,
    ProjectWithManagedMembers,
    ProjectWithMembers,
    ReadableMember,
    ReadableProject,
    RemovableMember,
    VisibleProjects,
)
from app.projects.errors import LastOwnerError, MemberNotFoundError, TooManyMembersError
from app.projects.schemas import MemberRead, MemberSet, ProjectCreate, ProjectParams, ProjectRead, ProjectUpdate

router = FeatureRouter(prefix="/projects", tag="projects")


@router.get("/", summary="List projects", response_model=Page[ProjectRead])
async def list_projects(
    projects: VisibleProjects, params: Annotated[ProjectParams, Query()], pages: PagesDep
) -> dict[str, Any]:
    """List the projects that you may see, the newest first, page by page."""
    return await pages.read(queries.projects, projects, params)


@router.post("/", summary="Create a project", status_code=201, response_model=ProjectRead, location="/projects")
async def create_project(projects: NewProject, new: ProjectCreate, database: DatabaseDep) -> Row:
    """Create a project. You become its owner. `Location` is its address."""
    return await service.create(database, projects, new)


@router.get("/{project_id}", summary="Read a project", response_model=ProjectRead)
async def read_project(project: ReadableProject, database: DatabaseDep) -> Row:
    """Return one project."""
    return await database.fetch_one(queries.project(project.permission), project)


@router.put("/{project_id}", summary="Update a project", response_model=ProjectRead)
async def update_project(project: EditableProject, changes: ProjectUpdate, database: DatabaseDep) -> Row:
    """Set the members that the body names. **Omitted members stay unchanged**; null clears a member that may be
    null.
    """
    return await service.update(database, project, changes)


@router.patch("/{project_id}", summary="Patch a project", response_model=ProjectRead)
async def patch_project(project: EditableProject, changes: ProjectUpdate, database: DatabaseDep) -> Row:
    """Apply a JSON merge patch (RFC 7396): named members are set, null clears, all others stay unchanged."""
    return await service.update(database, project, changes)


@router.delete("/{project_id}", summary="Delete a project", status_code=204, takes_turns=True)
async def delete_project(project: OwnedProject, database: DatabaseDep) -> None:
    """Delete a project and all that is in it. This cannot be undone."""
    await service.delete(database, project)


@router.get("/{project_id}/members/", summary="List a project's members", response_model=Page[MemberRead])
async def list_members(project: ProjectWithMembers, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """List the project's members and their roles, in the order in which they joined."""
    return await pages.read(queries.members, project, params)


@router.get(
    "/{project_id}/members/{user_id}",
    summary="Read a member",
    response_model=MemberRead,
    errors=(MemberNotFoundError,),
)
async def read_member(member: ReadableMember, database: DatabaseDep) -> Row:
    """Return one member of the project."""
    return await database.fetch_one(queries.visible_member(member.permission), member)


@router.put(
    "/{project_id}/members/{user_id}",
    summary="Add a member or change a role",
    response_model=MemberRead,
    responses={201: {"model": MemberRead, "description": "The person is now a member"}},
    errors=(UserNotFoundError, LastOwnerError, TooManyMembersError),
)
async def set_member(
    project: ProjectWithManagedMembers,
    user_id: MemberId,
    new: MemberSet,
    database: DatabaseDep,
    response: Response,
) -> Row:
    """Give a person a role in the project: 201 if they were not a member before, otherwise 200.

    The last owner cannot be given another role.
    """
    member, is_new = await service.set_member(database, project, user_id, new.role)
    if is_new:
        response.status_code = 201
        response.headers["Location"] = f"{API_PREFIX}/projects/{project.project_id}/members/{user_id}"
    return member


@router.delete(
    "/{project_id}/members/{user_id}",
    summary="Remove a member, or leave",
    status_code=204,
    takes_turns=True,
    errors=(MemberNotFoundError, LastOwnerError),
)
async def remove_member(member: RemovableMember, database: DatabaseDep) -> None:
    """Remove a person from the project. Everybody may leave; owners may remove others. The last owner cannot leave."""
    await service.remove_member(database, member)
