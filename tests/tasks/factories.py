"""Tasks."""

from uuid import UUID

from polyfactory import Use

from app.tasks.models import Task, TaskAssignee, TaskBlocker, TaskLabel
from tests.support.factories import RowFactory


class TaskFactory(RowFactory[Task]):
    """A task; give it a `project_id`."""

    __model__ = Task
    priority = Use(lambda: TaskFactory.__random__.randint(-5, 5))
    due_date = None
    external_id = None
    parent_id = None
    is_parent = False
    label_ids = Use(list[UUID])
    assignee_ids = Use(list[UUID])
    created_by = None
    completed_at = None
    version = 1


class TaskLabelFactory(RowFactory[TaskLabel]):
    """That a task has a label: give it all three ids."""

    __model__ = TaskLabel


class TaskAssigneeFactory(RowFactory[TaskAssignee]):
    """That somebody does a task: give it all three ids."""

    __model__ = TaskAssignee


class TaskBlockerFactory(RowFactory[TaskBlocker]):
    """That a task waits for another one: give it all three ids."""

    __model__ = TaskBlocker
