"""Who may touch which task: who may touch its project. Every statement about a task starts from a scope made here."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request
from sqlalchemy import select

from app.auth.access import CurrentUser, SignedIn, caller_of
from app.core.database import get_database
from app.core.guards import Guard, path_id
from app.tasks.errors import TaskNotFoundError
from app.tasks.models import Task
from app.tasks.scopes import TaskScope


class _TaskGuard(Guard):
    errors = (*SignedIn.errors, TaskNotFoundError)

    async def __call__(
        self, user: CurrentUser, task_id: Annotated[UUID, Path(description="The task's id.")]
    ) -> TaskScope:
        return TaskScope(task_id, user)

    async def admit(self, request: Request) -> None:
        user = await caller_of(request)
        if (task_id := path_id(request, "task_id")) is None:
            return
        scope, database = TaskScope(task_id, user), get_database(request)
        await database.one(select(Task.id).where(scope.condition()), otherwise=scope.refusal)


ReadableTask = Annotated[TaskScope, Depends(_TaskGuard())]
"""The task of the path, if the caller may see it."""

EditableTask = ReadableTask
"""The task of the path, if the caller may change it."""
