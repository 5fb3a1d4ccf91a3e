"""The errors of tasks."""

from collections.abc import Callable, Mapping
from uuid import UUID

from app.auth.errors import InvalidTokenError
from app.core.errors import AppError, ConflictError, FieldError, NotFoundError
from app.projects.errors import ProjectNotFoundError


class TaskNotFoundError(NotFoundError):
    """The task does not exist or is not visible to you."""

    code = "task_not_found"
    title = "Task not found"


class TooManyTaskLabelsError(ConflictError):
    """The task has reached its limit of labels: take one off first."""

    code = "too_many_task_labels"
    title = "Too many labels on the task"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The task has reached its limit of {limit} labels: take one off first.")


class TooManyAssigneesError(ConflictError):
    """The task has reached its limit of assignees: take one off first."""

    code = "too_many_assignees"
    title = "Too many assignees"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The task has reached its limit of {limit} assignees: take one off first.")


class TaskCycleError(ConflictError):
    """The parent is the task itself or below it."""

    code = "task_cycle"
    title = "Task cycle"

    def __init__(self, pointer: str) -> None:
        super().__init__(errors=[FieldError(pointer=pointer, detail="is the task itself or below it", code=self.code)])


class TooManyLevelsError(ConflictError):
    """The task and what is below it would lie too deep: choose a parent on a higher level."""

    code = "too_many_levels"
    title = "Too many levels"

    def __init__(self, pointer: str, limit: int) -> None:
        detail = f"would make more than {limit} levels of tasks: choose a parent on a higher level"
        super().__init__(errors=[FieldError(pointer=pointer, detail=detail, code=self.code)])


class TooManyBlockersError(ConflictError):
    """The task has reached its limit of blockers: take one off first."""

    code = "too_many_blockers"
    title = "Too many blockers"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The task has reached its limit of {limit} blockers: take one off first.")


class BlockerCycleError(ConflictError):
    """The blocker is the task itself, or waits for it, directly or through other tasks."""

    code = "blocker_cycle"
    title = "Blocker cycle"


class ExternalIdTakenError(ConflictError):
    """Another task of the project has this `external_id`; `errors` has that task's id. Change that task, or use another
    `external_id`.
    """

    code = "external_id_taken"
    title = "External id taken"

    def __init__(self, pointer: str, holder: UUID | None) -> None:
        error = FieldError(pointer=pointer, detail="is used by another task of the project", code=self.code)
        if holder is not None:
            error["id"] = str(holder)
        super().__init__(errors=[error])


class BatchAnswerTooLargeError(AppError):
    """The response would contain every changed task, and their descriptions are too long for one response. Nothing was
    changed: send fewer operations at once.
    """

    status = 409
    code = "batch_answer_too_large"
    title = "Response too large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The descriptions of the tasks in this batch exceed {limit} bytes in total: send fewer operations at once."
        )


GONE: Mapping[str, Callable[[], AppError]] = {
    "tasks_created_by_fkey": InvalidTokenError,
    "tasks_project_id_fkey": ProjectNotFoundError,
}
"""The refusal of a new task whose creator's account or project is not there any more, by the constraint."""
