"""The errors of tasks."""

from app.core.errors import AppError, ConflictError, NotFoundError


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
