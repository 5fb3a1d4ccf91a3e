"""Operations that change labels. Each is one statement."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Executable, insert, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_in

from app.core.database.database import Database, refusing
from app.core.database.rows import Row
from app.core.database.statements import as_params, column_params, compiled
from app.core.errors import AppError
from app.core.ids import uuid7
from app.core.preconditions.headers import PreconditionShape
from app.labels import queries
from app.labels.errors import LabelNameTakenError, TooManyLabelsError
from app.labels.models import MAX_LABELS, Label
from app.labels.schemas import LabelCreate, LabelRead, LabelUpdate
from app.labels.scopes import LabelScope, this_label
from app.projects.models import Project
from app.projects.scopes import Permission, ProjectScope, this_project

_REFUSALS: dict[str, Callable[[], AppError]] = {
    "labels_name_key": LabelNameTakenError,
    "labels_limit": partial(TooManyLabelsError, MAX_LABELS),
}
"""The refusals of labels, by the constraint that is violated."""


async def create(database: Database, project: ProjectScope, new: LabelCreate) -> Row:
    """Add a label to a project."""
    values = {"id": uuid7(), **new.model_dump()}
    with refusing(_REFUSALS):
        return await database.fetch_one(_insert_label(project.permission, tuple(values)), project, as_params(values))


async def update(database: Database, scope: LabelScope, changes: LabelUpdate) -> Row:
    """Set the members that the client sent, and nothing else."""
    values = changes.values()
    if not values:
        return await database.fetch_one(queries.label(scope.permission, scope.shape), scope)
    with refusing(_REFUSALS):
        return await database.fetch_one(
            _update_label(scope.permission, scope.shape, tuple(values)), scope, as_params(values)
        )


async def delete(database: Database, scope: LabelScope) -> None:
    """Delete a label; the database takes it off its tasks."""
    await database.fetch_one(_delete_label(scope.permission, scope.shape), scope)


@compiled(model=LabelRead)
def _insert_label(permission: Permission, names: tuple[str, ...]) -> Executable:
    values = column_params(Label, names).values()
    row = select(Project.id, *values).where(this_project(permission))
    # FOR KEY SHARE waits for a deletion of the project under way, and then finds no project instead of failing.
    locked = row.with_for_update(read=True, key_share=True)
    return (
        insert(Label)
        .from_select(["project_id", *names], locked, include_defaults=False)
        .returning(*queries.READ_COLUMNS)
    )


@compiled(model=LabelRead)
def _update_label(permission: Permission, shape: PreconditionShape | None, names: tuple[str, ...]) -> Executable:
    changed = update_in(Label).where(this_label(permission, shape)).values(column_params(Label, names))
    return changed.returning(*queries.READ_COLUMNS)


@compiled
def _delete_label(permission: Permission, shape: PreconditionShape | None) -> Executable:
    return delete_from(Label).where(this_label(permission, shape)).returning(Label.id)
