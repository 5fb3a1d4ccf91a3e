"""Tasks."""

from polyfactory import Use

from app.tasks.models import Task
from tests.support.factories import RowFactory


class TaskFactory(RowFactory[Task]):
    """A task; give it a `project_id`."""

    __model__ = Task
    priority = Use(lambda: TaskFactory.__random__.randint(-5, 5))
    due_date = None
    version = 1
