"""Guards of tasks. Every statement about a task starts from a scope that a guard here has created."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from app.auth.access import CallerGuard
from app.auth.scopes import KEY_SCOPES
from app.projects.access import EntityGuard, ProjectGuard
from app.projects.models import Role
from app.projects.scopes import ProjectScope
from app.tasks.scopes import TaskAssigneeScope, TaskBlockerScope, TaskLabelScope, TaskScope, TasksScope

TASKS_READ = KEY_SCOPES.declare("tasks:read", "See tasks.")
TASKS_WRITE = KEY_SCOPES.declare("tasks:write", "See, create, change and delete tasks.")


TaskId = Annotated[UUID, Path(description="The task's id.")]


class TaskGuard(EntityGuard[TaskScope]):
    """Guards the task of the path."""

    scope_class = TaskScope

    async def __call__(self, request: Request, task_id: TaskId) -> TaskScope:
        """Return the task's scope."""
        return self.scope_of(request, self.caller(request), task_id)


class TaskLabelGuard(EntityGuard[TaskLabelScope]):
    """Guards the task of the path and one of its labels."""

    scope_class = TaskLabelScope

    async def __call__(
        self, request: Request, task_id: TaskId, label_id: Annotated[UUID, Path(description="The label's id.")]
    ) -> TaskLabelScope:
        """Return the task's scope."""
        return self.scope_of(request, self.caller(request), task_id, label_id)


class TaskAssigneeGuard(EntityGuard[TaskAssigneeScope]):
    """Guards the task of the path and one of its assignees."""

    scope_class = TaskAssigneeScope

    async def __call__(
        self, request: Request, task_id: TaskId, user_id: Annotated[UUID, Path(description="The person's id.")]
    ) -> TaskAssigneeScope:
        """Return the task's scope."""
        return self.scope_of(request, self.caller(request), task_id, user_id)


class TaskBlockerGuard(EntityGuard[TaskBlockerScope]):
    """Guards the task of the path and one that it waits for, or is to."""

    scope_class = TaskBlockerScope

    async def __call__(
        self, request: Request, task_id: TaskId, blocker_id: Annotated[UUID, Path(description="The blocker's id.")]
    ) -> TaskBlockerScope:
        """Return the task's scope."""
        return self.scope_of(request, self.caller(request), task_id, blocker_id)


class TasksGuard(CallerGuard):
    """Requires a signed-in caller, and passes on the scope of the tasks that they may see."""

    async def __call__(self, request: Request) -> TasksScope:
        """Return the scope of the caller's tasks."""
        return TasksScope(self.caller(request))


ProjectWithTasks = Annotated[ProjectScope, Depends(ProjectGuard(Role.VIEWER, TASKS_READ))]
"""The project of the path, if the caller may see its tasks."""

ProjectForTasks = Annotated[ProjectScope, Depends(ProjectGuard(Role.EDITOR, TASKS_WRITE))]
"""The project of the path, if the caller may add tasks to it."""

ReadableTask = Annotated[TaskScope, Depends(TaskGuard(Role.VIEWER, TASKS_READ))]
"""The task of the path, if the caller may see it."""

EditableTask = Annotated[TaskScope, Depends(TaskGuard(Role.EDITOR, TASKS_WRITE, is_conditional=True))]
"""The task of the path, if the caller may change it."""

LabelledTask = Annotated[TaskLabelScope, Depends(TaskLabelGuard(Role.EDITOR, TASKS_WRITE, is_conditional=True))]
"""The task and the label of the path, if the caller may change the task."""

AssignedTask = Annotated[TaskAssigneeScope, Depends(TaskAssigneeGuard(Role.EDITOR, TASKS_WRITE, is_conditional=True))]
"""The task and the person of the path, if the caller may change the task."""

BlockedTask = Annotated[TaskBlockerScope, Depends(TaskBlockerGuard(Role.EDITOR, TASKS_WRITE))]
"""The task and the blocker of the path, if the caller may change the task. What it waits for is no part of the task, so
that there are no preconditions.
"""

VisibleTasks = Annotated[TasksScope, Depends(TasksGuard(TASKS_READ))]
"""The tasks that the caller may see, in all projects."""
