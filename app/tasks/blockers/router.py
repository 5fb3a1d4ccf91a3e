"""`/tasks/{task_id}/blockers/` and `/tasks/{task_id}/blocking/`."""

from typing import Any

from app.core.database.database import DatabaseDep
from app.core.http.routing import FeatureRouter
from app.core.listing.pagination import Page, PageParamsDep, PagesDep
from app.tasks.access import BlockedTask, ReadableTask
from app.tasks.blockers import queries, service
from app.tasks.errors import BlockerCycleError, TooManyBlockersError
from app.tasks.schemas import TaskRead

router = FeatureRouter(tag="tasks")


@router.get("/tasks/{task_id}/blockers/", summary="List a task's blockers", response_model=Page[TaskRead])
async def list_blockers(task: ReadableTask, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """List the tasks that a task waits for, the oldest first, page by page."""
    return await pages.read(queries.blockers, task, params)


@router.get("/tasks/{task_id}/blocking/", summary="List the tasks that a task blocks", response_model=Page[TaskRead])
async def list_blocked_tasks(task: ReadableTask, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """List the tasks that wait for a task, the oldest first, page by page."""
    return await pages.read(queries.blocked_tasks, task, params)


@router.put(
    "/tasks/{task_id}/blockers/{blocker_id}",
    summary="Add a blocker to a task",
    status_code=204,
    takes_turns=True,
    errors=(BlockerCycleError, TooManyBlockersError),
)
async def add_blocker(task: BlockedTask, database: DatabaseDep) -> None:
    """Have a task wait for another one of its project. Nothing changes if it does so already."""
    await service.add(database, task)


@router.delete("/tasks/{task_id}/blockers/{blocker_id}", summary="Take a blocker off a task", status_code=204)
async def remove_blocker(task: BlockedTask, database: DatabaseDep) -> None:
    """Have a task no longer wait for another one: 404 `task_not_found` if it does not."""
    await service.remove(database, task)
