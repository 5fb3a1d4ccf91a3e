"""`/projects/{project_id}/tasks/` and `/tasks/`."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Query, Request, Response

from app.core.database.database import DatabaseDep
from app.core.database.rows import Row, texts_of
from app.core.errors import AppError
from app.core.http.problems import problem_json, problem_of
from app.core.http.routing import FeatureRouter
from app.core.listing.pagination import Page, PagesDep
from app.core.preconditions.headers import PreconditionFailedError
from app.labels.errors import LabelNotFoundError
from app.projects.errors import MemberNotFoundError, PreconditionRequiredError, ProjectNotFoundError
from app.tasks import queries, service
from app.tasks.access import (
    AssignedTask,
    EditableTask,
    LabelledTask,
    ProjectForTasks,
    ProjectWithTasks,
    ReadableTask,
    VisibleTasks,
)
from app.tasks.batch import service as batch
from app.tasks.batch.schemas import TaskBatch, TaskBatchResult
from app.tasks.errors import (
    BatchAnswerTooLargeError,
    ExternalIdTakenError,
    TaskCycleError,
    TaskNotFoundError,
    TooManyAssigneesError,
    TooManyLevelsError,
    TooManyTaskLabelsError,
)
from app.tasks.schemas import (
    SummaryParams,
    TaskCreate,
    TaskParams,
    TaskRead,
    TaskSummary,
    TaskUpdate,
    VisibleTaskParams,
)

router = FeatureRouter(tag="tasks")


@router.get("/projects/{project_id}/tasks/", summary="List a project's tasks", response_model=Page[TaskRead])
async def list_tasks(
    project: ProjectWithTasks, params: Annotated[TaskParams, Query()], pages: PagesDep
) -> dict[str, Any]:
    """List a project's tasks, the highest priority first, then the newest first, page by page."""
    return await pages.read(queries.tasks_of_project, project, params.asked_by(project.caller))


@router.post(
    "/projects/{project_id}/tasks/",
    summary="Add a task to a project",
    status_code=201,
    response_model=TaskRead,
    location="/tasks",
    errors=(ExternalIdTakenError, TooManyLevelsError),
)
async def create_task(project: ProjectForTasks, new: TaskCreate, database: DatabaseDep) -> Row:
    """Add a task to a project. `Location` is its address."""
    return await service.create(database, project, new)


@router.post(
    "/projects/{project_id}/tasks/batch",
    body_limit="max_batch_body_bytes",
    summary="Change many tasks at once",
    takes_turns=True,
    response_model=TaskBatchResult,
    responses={207: {"model": TaskBatchResult, "description": "Each operation has a status of its own"}},
    errors=(
        TaskNotFoundError,
        BatchAnswerTooLargeError,
        ExternalIdTakenError,
        TaskCycleError,
        TooManyLevelsError,
        PreconditionFailedError,
        PreconditionRequiredError,
    ),
)
async def batch_tasks(
    project: ProjectForTasks, changes: TaskBatch, database: DatabaseDep, request: Request
) -> Response:
    """Create, change and delete up to 500 tasks of a project in one request and one transaction.

    **All or nothing**, unless `atomic` is false: the response is 200 with a result for each operation in order, or the
    problem of the first operation that fails, whose `errors` point to it (`/operations/17/task/title`). With
    `atomic: false` the response is 207, each operation has its own status, and those that can be executed are. Only
    tasks of this project are found.
    """
    outcomes = await batch.execute_batch(database, project, changes)
    tasks = texts_of((one for one in outcomes if one is not None and not isinstance(one, AppError)), TaskRead)
    results = [_result(request, *pair, tasks) for pair in zip(changes.operations, outcomes, strict=True)]
    content = f'{{"results":[{",".join(results)}]}}'
    return Response(content, 200 if changes.atomic else 207, media_type="application/json")


_DONE = {"create": 201, "update": 200, "delete": 204}


def _result(request: Request, operation: Any, outcome: batch.OperationOutcome, tasks: Iterator[str]) -> str:
    """Return the JSON of an `OperationResult`. `tasks`: the JSON of the tasks that are still to come."""
    if isinstance(outcome, AppError):
        problem = problem_json(problem_of(outcome, request.scope)).decode()
        return f'{{"status":{outcome.status},"problem":{problem}}}'
    status = _DONE[operation.op]
    return f'{{"status":{status}}}' if outcome is None else f'{{"status":{status},"task":{next(tasks)}}}'


@router.get(
    "/projects/{project_id}/summary",
    summary="Summarise a project's tasks",
    response_model=TaskSummary,
    takes_turns=True,
)
async def read_summary(
    project: ProjectWithTasks, params: Annotated[SummaryParams, Query()], database: DatabaseDep
) -> dict[str, Any]:
    """Count a project's tasks: those completed, overdue and due within seven days, and those of each priority."""
    return await service.summary(database, project, params.today)


@router.get("/tasks/", summary="List tasks of all projects", response_model=Page[TaskRead])
async def list_visible_tasks(
    tasks: VisibleTasks, params: Annotated[VisibleTaskParams, Query()], pages: PagesDep
) -> dict[str, Any]:
    """List the tasks of all projects that you may see, the highest priority first, then the newest first."""
    return await pages.read(queries.visible_tasks, tasks, params.asked_by(tasks.caller))


@router.get("/tasks/{task_id}", summary="Read a task", response_model=TaskRead)
async def read_task(task: ReadableTask, database: DatabaseDep) -> Row:
    """Return one task."""
    return await database.fetch_one(queries.task(task.permission), task)


@router.put(
    "/tasks/{task_id}",
    summary="Update a task",
    response_model=TaskRead,
    errors=(ProjectNotFoundError, ExternalIdTakenError, TaskCycleError, TooManyLevelsError),
)
async def update_task(task: EditableTask, changes: TaskUpdate, database: DatabaseDep) -> Row:
    """Set the members that the body names. **Omitted members stay unchanged**; null clears a member that may be
    null.
    """
    return await service.update(database, task, changes)


@router.patch(
    "/tasks/{task_id}",
    summary="Patch a task",
    response_model=TaskRead,
    errors=(ProjectNotFoundError, ExternalIdTakenError, TaskCycleError, TooManyLevelsError),
)
async def patch_task(task: EditableTask, changes: TaskUpdate, database: DatabaseDep) -> Row:
    """Apply a JSON merge patch (RFC 7396): named members are set, null clears, all others stay unchanged."""
    return await service.update(database, task, changes)


@router.delete("/tasks/{task_id}", summary="Delete a task", status_code=204)
async def delete_task(task: EditableTask, database: DatabaseDep) -> None:
    """Delete a task, its comments and all that is below it. This cannot be undone."""
    await service.delete(database, task)


@router.put(
    "/tasks/{task_id}/labels/{label_id}",
    summary="Add a label to a task",
    status_code=204,
    errors=(LabelNotFoundError, TooManyTaskLabelsError),
)
async def add_task_label(task: LabelledTask, database: DatabaseDep) -> None:
    """Give a task a label of its project, beside those that it has. Nothing changes if it has that label."""
    await service.add_listed(database, task)


@router.delete(
    "/tasks/{task_id}/labels/{label_id}",
    summary="Take a label off a task",
    status_code=204,
    errors=(LabelNotFoundError,),
)
async def remove_task_label(task: LabelledTask, database: DatabaseDep) -> None:
    """Take a label off a task: 404 `label_not_found` if the task does not have it."""
    await service.remove_listed(database, task)


@router.put(
    "/tasks/{task_id}/assignees/{user_id}",
    summary="Assign a task to a member",
    status_code=204,
    errors=(MemberNotFoundError, TooManyAssigneesError),
)
async def add_assignee(task: AssignedTask, database: DatabaseDep) -> None:
    """Give a task to a member of its project, beside those who do it already. Nothing changes if they do."""
    await service.add_listed(database, task)


@router.delete(
    "/tasks/{task_id}/assignees/{user_id}",
    summary="Take an assignee off a task",
    status_code=204,
    errors=(MemberNotFoundError,),
)
async def remove_assignee(task: AssignedTask, database: DatabaseDep) -> None:
    """Take a person off a task: 404 `member_not_found` if they do not do it."""
    await service.remove_listed(database, task)
