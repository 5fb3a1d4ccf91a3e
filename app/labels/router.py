"""`/projects/{project_id}/labels/` and `/labels/`."""

from typing import Any

from app.core.database.database import DatabaseDep
from app.core.database.rows import Row
from app.core.http.routing import FeatureRouter
from app.core.listing.pagination import Page, PageParamsDep, PagesDep
from app.labels import queries, service
from app.labels.access import EditableLabel, ProjectForLabels, ProjectWithLabels, ReadableLabel
from app.labels.errors import LabelNameTakenError, TooManyLabelsError
from app.labels.schemas import LabelCreate, LabelRead, LabelUpdate

router = FeatureRouter(tag="labels")


@router.get("/projects/{project_id}/labels/", summary="List a project's labels", response_model=Page[LabelRead])
async def list_labels(project: ProjectWithLabels, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """List a project's labels, in alphabetical order, page by page."""
    return await pages.read(queries.labels_of_project, project, params)


@router.post(
    "/projects/{project_id}/labels/",
    summary="Add a label to a project",
    status_code=201,
    response_model=LabelRead,
    location="/labels",
    errors=(LabelNameTakenError, TooManyLabelsError),
)
async def create_label(project: ProjectForLabels, new: LabelCreate, database: DatabaseDep) -> Row:
    """Add a label to a project, which has at most 200. `Location` is its address."""
    return await service.create(database, project, new)


@router.get("/labels/{label_id}", summary="Read a label", response_model=LabelRead)
async def read_label(label: ReadableLabel, database: DatabaseDep) -> Row:
    """Return one label."""
    return await database.fetch_one(queries.label(label.permission), label)


@router.put("/labels/{label_id}", summary="Update a label", response_model=LabelRead, errors=(LabelNameTakenError,))
async def update_label(label: EditableLabel, changes: LabelUpdate, database: DatabaseDep) -> Row:
    """Set the members that the body names; **omitted members stay unchanged**."""
    return await service.update(database, label, changes)


@router.patch("/labels/{label_id}", summary="Patch a label", response_model=LabelRead, errors=(LabelNameTakenError,))
async def patch_label(label: EditableLabel, changes: LabelUpdate, database: DatabaseDep) -> Row:
    """Apply a JSON merge patch (RFC 7396): named members are set, all others stay unchanged."""
    return await service.update(database, label, changes)


@router.delete("/labels/{label_id}", summary="Delete a label", status_code=204, takes_turns=True)
async def delete_label(label: EditableLabel, database: DatabaseDep) -> None:
    """Delete a label, and take it off all tasks that have it. This cannot be undone."""
    await service.delete(database, label)
