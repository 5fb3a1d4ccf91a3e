"""How asking for a task can fail."""

from app.core.errors import NotFoundError


class TaskNotFoundError(NotFoundError):
    """There is no such task, or none that you may see."""

    code = "task_not_found"
    title = "Task not found"
