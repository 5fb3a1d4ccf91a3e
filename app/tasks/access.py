"""Who may touch which task: who may touch its project. Every statement about a task starts from a scope made here."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from app.auth.access import CallerGuard
from app.auth.scopes import KEY_SCOPES, KeyScope
from app.core.database.database import get_database
from app.core.guards import path_id
from app.projects.access import ProjectGuard, RoleGuard
from app.projects.models import Role
from app.projects.scopes import ProjectScope
from app.tasks import queries
from app.tasks.errors import TaskNotFoundError
from app.tasks.scopes import TaskScope, TasksScope

TASKS_READ = KEY_SCOPES.declare("tasks:read", "See tasks.")
TASKS_WRITE = KEY_SCOPES.declare("tasks:write", "See, create, change and delete tasks.")


class TaskGuard(RoleGuard):
    """Admits to the task of the path those who have the role in its project."""

    def __init__(self, least: Role, scope: KeyScope, *, is_conditional: bool = False) -> None:
        super().__init__(least, scope, TaskNotFoundError, is_conditional=is_conditional)

    async def __call__(
        self, request: Request, task_id: Annotated[UUID, Path(description="The task's id.")]
    ) -> TaskScope:
        """The task's scope; nothing is looked up yet."""
        return TaskScope(task_id, await self.caller(request), self.least, self.preconditions(request))

    async def admit(self, request: Request) -> None:
        """Look the permission up by itself, because the handler's statement will not run."""
        caller = await self.caller(request)
        if (task_id := path_id(request, "task_id")) is None:
            return
        await get_database(request).one(queries.permitted, TaskScope(task_id, caller, self.least))


class TasksGuard(CallerGuard):
    """Admits those who are signed in to the tasks that they may see."""

    async def __call__(self, request: Request) -> TasksScope:
        """The scope of all their tasks."""
        return TasksScope(await self.caller(request), Role.VIEWER)


ProjectWithTasks = Annotated[ProjectScope, Depends(ProjectGuard(Role.VIEWER, TASKS_READ))]
"""The project of the path, if the caller may see its tasks."""

ProjectForTasks = Annotated[ProjectScope, Depends(ProjectGuard(Role.EDITOR, TASKS_WRITE))]
"""The project of the path, if the caller may add tasks to it."""

ReadableTask = Annotated[TaskScope, Depends(TaskGuard(Role.VIEWER, TASKS_READ))]
"""The task of the path, if the caller may see it."""

EditableTask = Annotated[TaskScope, Depends(TaskGuard(Role.EDITOR, TASKS_WRITE, is_conditional=True))]
"""The task of the path, if the caller may change it."""

VisibleTasks = Annotated[TasksScope, Depends(TasksGuard(TASKS_READ))]
"""The tasks that the caller may see, in all projects."""
