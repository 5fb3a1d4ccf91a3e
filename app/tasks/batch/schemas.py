"""Request and response schemas of batches."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, LiteralString

from pydantic import (
    AfterValidator,
    ConfigDict,
    FailFast,
    Field,
    StrictBool,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import TypeAliasType

from app.core.errors import MAX_REPORTED_ERRORS, FieldError, InvalidRequestError, Problem
from app.core.http.problems import field_errors
from app.core.preconditions.headers import PATTERN, condition_of
from app.core.schemas import RequestModel, ResponseModel, Uuid, unset, with_example
from app.tasks.schemas import TaskChanges, TaskCreate, TaskRead

MAX_OPERATIONS = 500
"""Operations of one batch."""

MAX_ANSWERED_BYTES = 4_194_304
"""Bytes of descriptions that a response may repeat although the request did not send them."""


def _entity_tags(value: str) -> str:
    try:
        condition_of(value)
    except ValueError as error:
        raise PydanticCustomError("entity_tags", "{reason}", {"reason": str(error)}) from None
    return value


IfMatch = Annotated[
    str,
    Field(
        max_length=1_000,
        description="Entity tags, or `*`, as in the header `If-Match`.",
        examples=['"tb1"'],
        json_schema_extra={"pattern": f"^(?:{PATTERN})$"},
    ),
    AfterValidator(_entity_tags),
]


class CreateOperation(RequestModel):
    """Add a task."""

    op: Literal["create"]
    task: TaskCreate


class UpdateOperation(RequestModel):
    """Change a task of the project."""

    op: Literal["update"]
    id: Uuid = Field(description="The task's id.")
    changes: TaskChanges
    if_match: IfMatch | None = None


class DeleteOperation(RequestModel):
    """Delete a task of the project."""

    op: Literal["delete"]
    id: Uuid = Field(description="The task's id.")
    if_match: IfMatch | None = None


@dataclass(frozen=True, slots=True)
class MalformedOperation:
    """The errors of an invalid operation in a batch that is not atomic."""

    errors: list[FieldError]


Operation = CreateOperation | UpdateOperation | DeleteOperation
# A `TypeAliasType` has a name in the OpenAPI document, which generated clients use.
TaskOperation = TypeAliasType("TaskOperation", Annotated[Operation, Field(discriminator="op")])
_KINDS: dict[object, type[Operation]] = {
    "create": CreateOperation,
    "update": UpdateOperation,
    "delete": DeleteOperation,
}


def _operations(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    try:
        return handler(value)
    except ValidationError:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_OPERATIONS:
            raise
        # Validate them one by one: pydantic adds the operation's kind to the locations of errors, where no member is.
        return _one_by_one(value, is_atomic=info.data.get("atomic", True))


def _one_by_one(values: list[Any], *, is_atomic: bool) -> list[Operation | MalformedOperation]:
    """Return the operations, with a `MalformedOperation` for each invalid one. Raises `InvalidRequestError` if the
    batch is atomic.
    """
    operations: list[Operation | MalformedOperation] = []
    found: list[FieldError] = []
    for index, value in enumerate(values):
        kind = None
        try:
            kind = _kind_of(value)
            operations.append(kind.model_validate(value))
        except ValidationError as error:
            # Suggestions take time, so a batch gets at most as many as a single request.
            model = kind if len(found) < MAX_REPORTED_ERRORS else None
            errors = field_errors(error, model, "body", "operations", str(index))
            operations.append(MalformedOperation(errors))
            found += errors
            if is_atomic and len(found) >= MAX_REPORTED_ERRORS:
                break
    if is_atomic and found:
        raise InvalidRequestError(errors=found[:MAX_REPORTED_ERRORS])
    return operations


def _kind_of(value: Any) -> type[Operation]:
    if not isinstance(value, dict):
        raise _wrong("object_required", "must be a JSON object")
    kind = value.get("op")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise _wrong("unknown_operation", "must be create, update or delete", "op")
    return _KINDS[kind]


def _wrong(code: LiteralString, detail: LiteralString, *where: str) -> ValidationError:
    found: InitErrorDetails = {"type": PydanticCustomError(code, detail), "loc": where, "input": None}
    return ValidationError.from_exception_data("operation", [found])


class TaskBatch(RequestModel):
    """Changes of a project's tasks that are executed together."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "atomic": True,
                "operations": [
                    {"op": "create", "task": {"title": "Buy a workbench", "priority": 10}},
                    {"op": "create", "task": {"title": "Oil the bench"}},
                ],
            }
        )
    )

    atomic: StrictBool = Field(
        default=True,
        description="All or nothing: if an operation fails, nothing is changed and the response is its problem. If "
        "false, each operation has its own result, and those that can be executed are.",
    )
    operations: Annotated[
        list[TaskOperation],
        FailFast(),
        Field(min_length=1, max_length=MAX_OPERATIONS, description="At most 500 operations; no two on one task."),
        WrapValidator(_operations),
    ]


def _nothing(value: object) -> bool:
    return value is None


class OperationResult(ResponseModel):
    """The result of an operation: the task as it is now, unless it was deleted, or the problem."""

    model_config = ConfigDict(json_schema_extra={"required": ["status"]})

    status: int = Field(description="The status that a request of its own would have got.")
    task: TaskRead = Field(default_factory=unset, exclude_if=_nothing, description="The task as it is now.")
    problem: Problem = Field(default_factory=unset, exclude_if=_nothing, description="Why nothing was done.")


class TaskBatchResult(ResponseModel):
    """The result of each operation, in order."""

    model_config = ConfigDict(json_schema_extra=with_example({"results": [{"status": 204}]}))

    results: list[OperationResult]
