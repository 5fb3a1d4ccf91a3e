"""Execution of batches, in a number of statements that does not depend on the number of operations.

All statements run in one transaction, in which the project and the tasks are locked, so that the validation's results
stay true until the changes are written.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Boolean, Executable, TableValuedAlias, Uuid, case, func, insert, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_in

from app.core.database.database import ConstraintError, Database, refusing, repeated_if_undone
from app.core.database.rows import Row
from app.core.database.statements import Statement, compiled, param
from app.core.errors import AppError, FieldError, InvalidRequestError
from app.core.ids import uuid7
from app.core.preconditions.headers import UNCONDITIONAL, Preconditions, condition_of
from app.projects.errors import PreconditionRequiredError
from app.projects.scopes import ProjectScope, unmet
from app.tasks import queries
from app.tasks.batch.schemas import (
    MAX_ANSWERED_BYTES,
    CreateOperation,
    DeleteOperation,
    MalformedOperation,
    Operation,
    TaskBatch,
    UpdateOperation,
)
from app.tasks.batch.tree import Tree
from app.tasks.errors import GONE, BatchAnswerTooLargeError, ExternalIdTakenError, TaskNotFoundError
from app.tasks.models import Task
from app.tasks.schemas import TaskChanges, TaskCreate, TaskRead

OperationOutcome = Row | AppError | None
"""The outcome of an operation: the task, an error, or None for a deleted task."""

OperationT = TypeVar("OperationT", CreateOperation, UpdateOperation, DeleteOperation, MalformedOperation)


class _BatchRun:
    """The state of a batch during its execution."""

    def __init__(
        self, transaction: Database, project: ProjectScope, operations: Sequence[Operation | MalformedOperation]
    ) -> None:
        self.transaction = transaction
        self.project = project
        self.operations = operations
        self.outcomes: dict[int, OperationOutcome] = {}
        """By the operation's index; operations without an outcome are pending."""

        self._of_kind: defaultdict[type, list[tuple[int, Any]]] = defaultdict(list)
        for index, operation in enumerate(operations):
            self._of_kind[type(operation)].append((index, operation))
        given = [operation.task.parent_id for _, operation in self._of_kind[CreateOperation]]
        given += [operation.changes.parent_id for _, operation in self._of_kind[UpdateOperation]]
        self.parent_ids = {id_ for id_ in given if id_ is not None}
        """The parents that operations are to set."""

    def left(self, kind: type[OperationT]) -> list[tuple[int, OperationT]]:
        """Return the pending operations of a kind with their indexes."""
        return [pair for pair in self._of_kind[kind] if pair[0] not in self.outcomes]

    def changing(self) -> list[tuple[int, UpdateOperation | DeleteOperation]]:
        """Return the pending operations on tasks that are there, in order."""
        return sorted([*self.left(UpdateOperation), *self.left(DeleteOperation)], key=itemgetter(0))

    async def fetch_all(self, statement: Statement, values: dict[str, Any]) -> dict[UUID, Row]:
        """Return the rows of a statement by their ids."""
        rows = await self.transaction.fetch_all(statement, {"project_id": self.project.project_id, **values})
        return {row["id"]: row for row in rows}


async def execute_batch(database: Database, project: ProjectScope, batch: TaskBatch) -> list[OperationOutcome]:
    """Execute a batch, and return the outcome of each operation in order.

    An atomic batch raises the error of the first operation that fails, with a pointer to it, and changes nothing.
    """
    with refusing(GONE):
        try:
            return await _executed(database, project, batch)
        except ConstraintError as error:
            if error.constraint not in _OVERTAKEN:
                raise
            # Somebody took an external id since it was looked for, or a parent went: now that is found.
            return await _executed(database, project, batch)


_OVERTAKEN = {"tasks_external_id_key", "tasks_parent_id_project", "tasks_parent_id_fkey"}
"""Constraints that are violated by what others did since the batch was validated."""


@repeated_if_undone
async def _executed(database: Database, project: ProjectScope, batch: TaskBatch) -> list[OperationOutcome]:
    async with database.transaction() as transaction:
        work = _BatchRun(transaction, project, batch.operations)
        is_exclusive = bool(work.parent_ids or work.left(DeleteOperation))
        locked = queries.project_locked(project.permission, is_exclusive=is_exclusive)
        is_required = (await transaction.fetch_one(locked, project))["require_if_match"]
        await _validate(work, is_required=is_required)
        if batch.atomic:
            for _, outcome in sorted(work.outcomes.items()):
                assert isinstance(outcome, AppError), "nothing is done yet"
                raise outcome
        await _create(work)
        updated = await _update(work)
        await _delete(work)
        await _read_parents(work, updated)
        return [work.outcomes[index] for index in range(len(batch.operations))]


async def _validate(work: _BatchRun, *, is_required: bool) -> None:
    """Store the outcomes of operations that cannot be executed."""
    for index, malformed in work.left(MalformedOperation):
        work.outcomes[index] = InvalidRequestError(errors=malformed.errors)
    named: set[UUID] = set()
    for index, operation in work.changing():
        if operation.id in named:
            work.outcomes[index] = _repeated(index, "id")
        named.add(operation.id)
    await _validate_lists(work)
    await _validate_external_ids(work)
    if named:
        await _validate_named(work, named, is_required=is_required)
    await _validate_parents(work)


async def _validate_named(work: _BatchRun, named: set[UUID], *, is_required: bool) -> None:
    """Find out which operations name a task that is not there, or whose preconditions fail."""
    deleted = [operation.id for _, operation in work.left(DeleteOperation)]
    # Parents are locked, too: whoever places a task below them holds both.
    held = named | work.parent_ids
    found = await work.fetch_all(
        queries.tasks_locked(has_deletions=bool(deleted)), {"ids": list(held), "deleted_ids": deleted}
    )
    for index, change in work.changing():
        refusal = _refusal(found.get(change.id), _preconditions(change), index, is_required=is_required)
        if refusal is not None:
            work.outcomes[index] = refusal
    shown = (
        found[one.id]["size"] for _, one in work.left(UpdateOperation) if "description" not in one.changes.values()
    )
    if sum(shown) > MAX_ANSWERED_BYTES:
        raise BatchAnswerTooLargeError(MAX_ANSWERED_BYTES)


async def _validate_lists(work: _BatchRun) -> None:
    """Find out which operations list what there is not. What there is stays until the batch is done, and is locked
    before the tasks (see `queries.listable`).
    """
    given = [
        (index, f"/operations/{index}/task", vars(operation.task)) for index, operation in work.left(CreateOperation)
    ] + [
        (index, f"/operations/{index}/changes", operation.changes.values())
        for index, operation in work.left(UpdateOperation)
    ]
    ids = {name: {id_ for _, _, lists in given for id_ in lists.get(name) or ()} for name in queries.LISTS}
    names = tuple(name for name in ids if ids[name])
    if not names:
        return
    project = work.project
    found = await work.transaction.fetch_one(
        queries.listable_in_project(project.permission, names), project, {name: sorted(ids[name]) for name in names}
    )
    for index, place, lists in given:
        if errors := queries.unknown_ids(lists, found, place):
            work.outcomes[index] = InvalidRequestError(errors=errors)


async def _validate_external_ids(work: _BatchRun) -> None:
    """Find out which operations are to set an external id that another task has, or another operation sets."""
    wanted: dict[str, int] = {}
    for index, operation in enumerate(work.operations):
        external_id = _external_id(operation)
        if external_id is not None and index not in work.outcomes:
            if external_id in wanted:
                work.outcomes[index] = _repeated(index, _place_of_external_id(operation))
            else:
                wanted[external_id] = index
    if wanted:
        for id_, row in (await work.fetch_all(queries.external_ids(), {"external_ids": list(wanted)})).items():
            index = wanted[row["external_id"]]
            operation = work.operations[index]
            if not isinstance(operation, UpdateOperation) or operation.id != id_:
                pointer = f"/operations/{index}/{_place_of_external_id(operation)}"
                work.outcomes[index] = ExternalIdTakenError(pointer, id_)


async def _validate_parents(work: _BatchRun) -> None:
    """Find out which operations are to give a task a parent that it cannot have, after those before them."""
    placed = [
        (index, f"/operations/{index}/task/parent_id", uuid7(), operation.task.parent_id)
        for index, operation in work.left(CreateOperation)
        if operation.task.parent_id is not None
    ] + [
        (index, f"/operations/{index}/changes/parent_id", operation.id, operation.changes.parent_id)
        for index, operation in work.left(UpdateOperation)
        if "parent_id" in operation.changes.values()
    ]
    if all(parent is None for *_, parent in placed):
        return
    ids = {id_ for *_, task, parent in placed for id_ in (task, parent) if id_ is not None}
    tree = Tree(
        {id_: row["parent_id"] for id_, row in (await work.fetch_all(queries.relatives(), {"ids": list(ids)})).items()}
    )
    for index, pointer, task, parent in placed:
        refusal = tree.place(task, parent, pointer)
        if refusal is not None:
            work.outcomes[index] = refusal


def _external_id(operation: Operation | MalformedOperation) -> str | None:
    """Return the external id that an operation is to set."""
    if isinstance(operation, CreateOperation):
        return operation.task.external_id
    return operation.changes.external_id if isinstance(operation, UpdateOperation) else None


def _place_of_external_id(operation: Operation | MalformedOperation) -> str:
    return "task/external_id" if isinstance(operation, CreateOperation) else "changes/external_id"


def _repeated(index: int, member: str) -> InvalidRequestError:
    error = _error(index, "is used by an earlier operation of this batch", "repeated", member=member)
    return InvalidRequestError(errors=[error])


def _preconditions(operation: UpdateOperation | DeleteOperation) -> Preconditions:
    return UNCONDITIONAL if operation.if_match is None else Preconditions(condition_of(operation.if_match))


def _refusal(row: Row | None, preconditions: Preconditions, index: int, *, is_required: bool) -> AppError | None:
    """Return the error of an operation on a locked task; None if it can be executed."""
    if row is None:
        error = _error(index, "does not exist in this project", TaskNotFoundError.code)
        return TaskNotFoundError(errors=[error])
    if row["etag"] in preconditions.match.strong:
        return None
    refusal = unmet(preconditions, row["etag"], is_required=is_required)
    if refusal is not None:
        is_missing = isinstance(refusal, PreconditionRequiredError)
        detail = "is required by this project" if is_missing else "does not match the task's current tag"
        refusal.errors.append(_error(index, detail, refusal.code, member="if_match"))
    return refusal


def _error(index: int, detail: str, code: str, *, member: str = "id") -> FieldError:
    return FieldError(pointer=f"/operations/{index}/{member}", detail=detail, code=code)


async def _create(work: _BatchRun) -> None:
    if not (operations := work.left(CreateOperation)):
        return
    ids = [uuid7() for _ in operations]
    tasks = [vars(operation.task) for _, operation in operations]
    fields = TaskCreate.model_fields
    names = tuple(name for name in fields if name not in queries.RARE or any(task[name] for task in tasks))
    values: dict[str, Any] = {"caller_id": work.project.caller.user_id, "new_id": ids}
    for name in names:
        values[f"new_{name}"] = [task[name] for task in tasks]
    rows = await work.fetch_all(_insert_tasks(names), values)
    work.outcomes.update((index, rows[id_]) for (index, _), id_ in zip(operations, ids, strict=True))


async def _update(work: _BatchRun) -> dict[UUID, int]:
    """Return the index of each operation by the id of the task that it updated."""
    if not (operations := work.left(UpdateOperation)):
        return {}
    changes = [operation.changes.values() for _, operation in operations]
    names = tuple(name for name in TaskChanges.model_fields if any(name in row for row in changes))
    ids = [operation.id for _, operation in operations]
    values: dict[str, Any] = {"ids": ids, "new_id": ids}
    for name in names:
        values[f"new_{name}"] = [row.get(name) for row in changes]
        values[f"sets_{name}"] = [name in row for row in changes]
    rows = await work.fetch_all(_update_tasks(names) if names else queries.tasks_of_batch(), values)
    work.outcomes.update((index, rows[operation.id]) for index, operation in operations)
    return {operation.id: index for index, operation in operations}


async def _delete(work: _BatchRun) -> None:
    if not (operations := work.left(DeleteOperation)):
        return
    await work.fetch_all(_delete_tasks(), {"ids": [operation.id for _, operation in operations]})
    work.outcomes.update((index, None) for index, _ in operations)


async def _read_parents(work: _BatchRun, updated: dict[UUID, int]) -> None:
    """Read updated tasks again if another operation may have changed the counts of their subtasks since."""
    rows = [work.outcomes[index] for index in updated.values()]
    if rows and (work.parent_ids or any(isinstance(row, Row) and row["subtasks_total"] for row in rows)):
        read = await work.fetch_all(queries.tasks_of_batch(), {"ids": list(updated)})
        work.outcomes.update((updated[id_], row) for id_, row in read.items())


def _unnested(names: Iterable[str], flags: Iterable[str] = ()) -> TableValuedAlias:
    """Return a table of the parameters' arrays: an id and the new value of each of these columns, and flags."""
    columns: Any = Task.__table__.c
    arrays = [param(f"new_{name}", ARRAY(columns[name].type, dimensions=1)) for name in ("id", *names)]
    booleans = [param(name, ARRAY(Boolean)) for name in flags]
    return func.unnest(*arrays, *booleans).table_valued("id", *names, *flags).render_derived(name="new")


@compiled(model=TaskRead)
def _insert_tasks(names: tuple[str, ...]) -> Executable:
    rows = select(param("project_id", Uuid), param("caller_id", Uuid), *_unnested(names).c)
    return (
        insert(Task)
        .from_select(["project_id", "created_by", "id", *names], rows, include_defaults=False)
        .returning(*queries.NEW_COLUMNS)
    )


@compiled(model=TaskRead)
def _update_tasks(names: tuple[str, ...]) -> Executable:
    columns: Any = Task.__table__.c
    new = _unnested(names, [f"sets_{name}" for name in names])
    values = {name: case((new.c[f"sets_{name}"], new.c[name]), else_=columns[name]) for name in names}
    is_one = (Task.id == new.c.id) & (Task.project_id == param("project_id", Uuid))
    return update_in(Task).where(is_one).values(values).returning(*queries.READ_COLUMNS)


@compiled
def _delete_tasks() -> Executable:
    return delete_from(Task).where(queries.named_in_project()).returning(Task.id)
