"""Operations that change or summarise tasks. Each is one statement."""

from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, Uuid, any_, func, insert, select, true
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_in

from app.core.database.database import ConstraintError, Database, refusing
from app.core.database.rows import Row
from app.core.database.statements import Statement, as_params, column_params, compiled, param
from app.core.errors import InvalidRequestError
from app.core.ids import uuid7
from app.core.preconditions.headers import PreconditionShape
from app.projects.scopes import Permission, ProjectScope, UuidColumn
from app.tasks import queries
from app.tasks.errors import GONE, ExternalIdTakenError, TaskCycleError, TooManyLevelsError
from app.tasks.models import MAX_LEVELS, MAX_LISTED, Task
from app.tasks.schemas import TaskCreate, TaskRead, TaskUpdate
from app.tasks.scopes import ListedScope, TaskScope, this_task


async def summary(database: Database, project: ProjectScope, today: date | None) -> dict[str, Any]:
    """Return a summary of a project's tasks on a day, by default the current one in UTC."""
    values = {**project.parameters, "today": today}
    rows = await database.fetch_all(queries.summary(project.permission), values)
    if not rows:
        raise await project.refusal(database)
    sums = ("tasks_total", "tasks_completed", "overdue", "due_soon")
    return {
        **{name: rows[0][f"{name}_in_all"] or 0 for name in sums},
        "by_priority": [row for row in rows if row["priority"] is not None],
    }


async def create(database: Database, project: ProjectScope, new: TaskCreate) -> Row:
    """Add a task to a project."""
    with refusing(GONE):
        try:
            if new.external_id is None and new.parent_id is None:
                return await _created(database, project, new)
            async with database.savepoint() as savepoint:
                return await _created(savepoint, project, new)
        except ConstraintError as error:
            wanted = {"task_id": None, "project_id": project.project_id, "external_id": new.external_id}
            raise await _refusal_of(error, database, wanted) from None


async def _created(database: Database, project: ProjectScope, new: TaskCreate) -> Row:
    given = {name: value for name, value in vars(new).items() if name not in queries.RARE or value}
    values, lists = {"id": uuid7(), **given}, _lists_in(given)
    statement = _insert_task(project.permission, tuple(values), tuple(lists))
    if not lists and new.parent_id is None:
        return await database.fetch_one(statement, project, as_params(values))
    row = await database.fetch_one_or_none(statement, {**project.parameters, **as_params(values), **lists})
    if row is None:
        found = queries.listable_in_project(project.permission, tuple(lists)) if lists else None
        parent = queries.possible_parent_in_project(project.permission)
        await _refuse_unknown(database, found, parent, {**project.parameters, **as_params(given), **lists}, given)
        raise await project.refusal(database)
    return row


_CHECKED = frozenset({"project_id", "external_id", "parent_id"})
"""What can violate a constraint."""


async def update(database: Database, scope: TaskScope, changes: TaskUpdate) -> Row:
    """Set the members that the client sent, and nothing else."""
    values = changes.values()
    if not values:
        return await database.fetch_one(queries.task(scope.permission, scope.shape), scope)
    target, lists = values.get("project_id"), _lists_in(values)
    statement = _update_task(scope.permission, scope.shape, tuple(values), tuple(lists))
    may_violate = not _CHECKED.isdisjoint(values)
    if not may_violate and not lists:
        return await database.fetch_one(statement, scope, as_params(values))
    parameters = {**scope.parameters, **as_params(values), **lists}
    if may_violate:
        row = await _moved_or_renamed(database, statement, parameters, {**scope.parameters, **values})
    else:
        row = await database.fetch_one_or_none(statement, parameters)
    if row is None:
        moves = target is not None
        found = queries.listable_in_task(scope.permission, tuple(lists), moves=moves) if lists else None
        await _refuse_unknown(
            database, found, queries.possible_parent(scope.permission, moves=moves), parameters, values
        )
        raise await scope.refusal(database, target)
    return row


async def _moved_or_renamed(
    database: Database, statement: Statement, parameters: dict[str, Any], wanted: dict[str, Any]
) -> Row | None:
    try:
        async with database.savepoint() as savepoint:
            return await savepoint.fetch_one_or_none(statement, parameters)
    except ConstraintError as error:
        if error.constraint != "tasks_project_id_fkey":
            raise await _refusal_of(error, database, wanted) from None
        # An administrator named a project that does not exist, or it was deleted a moment ago.
        return None


async def _refusal_of(error: ConstraintError, database: Database, wanted: dict[str, Any]) -> Exception:
    """Return the refusal of a task that was to have the external id of another one, or a parent that it cannot have; or
    the error if it is another.
    """
    match error.constraint:
        case "tasks_parent_id_cycle":
            return TaskCycleError("/parent_id")
        case "tasks_parent_id_levels":
            return TooManyLevelsError("/parent_id", MAX_LEVELS)
        case "tasks_parent_id_project" | "tasks_parent_id_fkey":
            # It moved or was deleted a moment ago.
            return queries.unknown_parent()
    if error.constraint != "tasks_external_id_key":
        return error
    values = {f"new_{name}": wanted.get(name) for name in ("project_id", "external_id")}
    holder = await database.fetch_one_or_none(queries.external_id_holder(), {"task_id": wanted["task_id"], **values})
    pointer = "/project_id" if values["new_external_id"] is None else "/external_id"
    return ExternalIdTakenError(pointer, holder["id"] if holder else None)


def _lists_in(values: dict[str, Any]) -> dict[str, list[UUID]]:
    """Return the ids of each list that is not empty, without duplicates."""
    return {name: sorted(set(values[name])) for name in queries.LISTS if values.get(name)}


async def _refuse_unknown(
    database: Database, listable: Statement | None, parent: Statement, parameters: dict[str, Any], given: dict[str, Any]
) -> None:
    """Raise `InvalidRequestError` if nothing was written because a given id cannot be listed, or be the parent.

    `listable` and `parent`: statements that tell.
    """
    if listable is not None:
        row = await database.fetch_one_or_none(listable, parameters)
        if row is not None and (errors := queries.unknown_ids(given, row)):
            raise InvalidRequestError(errors=errors)
    if given.get("parent_id") is not None:
        row = await database.fetch_one_or_none(parent, parameters)
        if row is not None and not row["is_there"]:
            raise queries.unknown_parent()


async def add_listed(database: Database, scope: ListedScope) -> None:
    """Add a label or an assignee to a task, which may already have it."""
    with refusing({f"tasks_{scope.list_name}_limit": partial(scope.too_many, MAX_LISTED)}):
        await database.fetch_one(_extend_list(type(scope), scope.permission, scope.shape), scope)


async def remove_listed(database: Database, scope: ListedScope) -> None:
    """Remove a label or an assignee from a task."""
    await database.fetch_one(_reduce_list(type(scope), scope.permission, scope.shape), scope)


async def delete(database: Database, scope: TaskScope) -> None:
    """Delete a task."""
    await database.fetch_one(_delete_task(scope.permission, scope.shape), scope)


@compiled(model=TaskRead)
def _insert_task(permission: Permission, names: tuple[str, ...], lists: tuple[str, ...]) -> Executable:
    # A role in the project proves that it exists; for administrators, the foreign key does.
    project_id = param("project_id", Uuid)
    values = column_params(Task, names).values()
    row = select(project_id, param("caller_id", Uuid), *values).where(permission.on(project_id))
    if lists:
        row = row.where(queries.are_listable(lists, project_id))
    if "parent_id" in names:
        row = row.where(
            queries.is_in_project(param("new_parent_id", Uuid), project_id), queries.are_projects_held(project_id)
        )
    return (
        insert(Task)
        .from_select(["project_id", "created_by", *names], row, include_defaults=False)
        .returning(*queries.NEW_COLUMNS)
    )


@compiled(model=TaskRead)
def _update_task(
    permission: Permission, preconditions: PreconditionShape | None, names: tuple[str, ...], lists: tuple[str, ...]
) -> Executable:
    values = column_params(Task, names)
    condition = this_task(permission, preconditions)
    project_id: UuidColumn = values.get("project_id", Task.project_id)
    if moves := "project_id" in values:
        # Moving a task needs the role in both projects.
        condition &= permission.on(project_id)
    if lists:
        condition &= queries.are_listable(lists, project_id)
    stays_apart: ColumnElement[bool] = ~Task.is_parent if moves else true()
    parent_id = values.get("parent_id")
    if parent_id is not None:
        stays_apart &= parent_id.is_(None)
        condition &= parent_id.is_(None) | queries.is_in_project(parent_id, project_id)
    if moves or parent_id is not None:
        condition &= stays_apart | queries.is_tree_held(parent_id, project_id if moves else None)
    return update_in(Task).where(condition).values(values).returning(*queries.READ_COLUMNS)


@compiled
def _delete_task(permission: Permission, preconditions: PreconditionShape | None) -> Executable:
    condition = this_task(permission, preconditions) & (~Task.is_parent | queries.is_tree_held())
    return delete_from(Task).where(condition).returning(Task.id)


@compiled
def _extend_list(
    kind: type[ListedScope], permission: Permission, preconditions: PreconditionShape | None
) -> Executable:
    """Build a statement that adds an id to a task's list, if the list may contain it."""
    name, new = kind.list_name, param(kind.entity.id_names[1], Uuid)
    longer = queries.of_row(func.list_of(func.array_append(func.ids_in(Task.__table__.c[name]), new)))
    condition = kind.entity.condition(permission, preconditions) & queries.is_listable(name, new, Task.project_id)
    return update_in(Task).where(condition).values({name: longer}).returning(Task.id)


@compiled
def _reduce_list(
    kind: type[ListedScope], permission: Permission, preconditions: PreconditionShape | None
) -> Executable:
    """Build a statement that removes an id from a task's list, if it is there."""
    name, gone = kind.list_name, param(kind.entity.id_names[1], Uuid)
    ids = func.ids_in(Task.__table__.c[name])
    condition = kind.entity.condition(permission, preconditions) & queries.of_row(gone == any_(ids))
    shorter = queries.of_row(func.list_of(func.array_remove(ids, gone)))
    return update_in(Task).where(condition).values({name: shorter}).returning(Task.id)
