"""The errors of tasks."""

from app.core.errors import AppError, NotFoundError


class TaskNotFoundError(NotFoundError):
    """The task does not exist or is not visible to you."""

    code = "task_not_found"
    title = "Task not found"


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
