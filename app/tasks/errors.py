"""How asking for a task can fail."""

from app.core.errors import AppError, NotFoundError


class TaskNotFoundError(NotFoundError):
    """There is no such task, or none that you may see."""

    code = "task_not_found"
    title = "Task not found"


class BatchAnswerTooLargeError(AppError):
    """A batch answers with each task that it changes, and the descriptions that these have already are too long for one
    answer. Nothing was changed: send fewer operations at once.
    """

    status = 409
    code = "batch_answer_too_large"
    title = "The answer would be too large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The tasks that this batch changes have descriptions of more than {limit} bytes in all: send fewer "
            "operations at once."
        )
