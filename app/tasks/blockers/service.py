"""Operations that change what a task waits for. Each is one statement."""

from collections.abc import Callable, Mapping
from functools import partial

from sqlalchemy import Executable, Uuid, select
from sqlalchemy import delete as delete_from
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from app.core.database.database import Database, refusing
from app.core.database.statements import compiled, param
from app.core.errors import AppError
from app.projects.scopes import Permission
from app.tasks.errors import BlockerCycleError, TaskNotFoundError, TooManyBlockersError
from app.tasks.models import MAX_BLOCKERS, Task, TaskBlocker
from app.tasks.scopes import TaskBlockerScope, this_task

_REFUSALS: Mapping[str, Callable[[], AppError]] = {
    # One of the two moved a moment ago.
    "task_blockers_project": TaskNotFoundError,
    "task_blockers_cycle": BlockerCycleError,
    "task_blockers_limit": partial(TooManyBlockersError, MAX_BLOCKERS),
}


async def add(database: Database, scope: TaskBlockerScope) -> None:
    """Have a task wait for another one, which it may do already."""
    with refusing(_REFUSALS):
        await database.fetch_one(_insert_blocker(scope.permission), scope)


async def remove(database: Database, scope: TaskBlockerScope) -> None:
    """Have a task no longer wait for another one."""
    await database.fetch_one(_delete_blocker(scope.permission), scope)


@compiled
def _insert_blocker(permission: Permission) -> Executable:
    blocker = aliased(Task, name="blocker")
    pair = (
        select(Task.id.label("task_id"), blocker.id.label("blocker_id"), Task.project_id)
        .join(blocker, blocker.project_id == Task.project_id)
        .where(this_task(permission), blocker.id == param("blocker_id", Uuid))
        .cte("pair")
    )
    names = [column.name for column in pair.c]
    added = insert(TaskBlocker).from_select(names, select(*pair.c), include_defaults=False).on_conflict_do_nothing()
    return select(pair.c.task_id).add_cte(added.cte("added"))


@compiled
def _delete_blocker(permission: Permission) -> Executable:
    is_it = (TaskBlocker.task_id == Task.id) & (TaskBlocker.blocker_id == param("blocker_id", Uuid))
    return delete_from(TaskBlocker).where(is_it, this_task(permission)).returning(TaskBlocker.task_id)
