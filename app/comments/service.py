"""Operations that change comments. Each is one statement."""

from sqlalchemy import Executable, Uuid, insert, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_in

from app.auth.errors import InvalidTokenError
from app.comments import queries
from app.comments.models import Comment
from app.comments.schemas import CommentCreate, CommentRead, CommentUpdate
from app.comments.scopes import CommentScope, this_comment
from app.core.database.database import Database, refusing
from app.core.database.rows import Row
from app.core.database.statements import as_params, column_params, compiled, param
from app.core.ids import uuid7
from app.core.preconditions.headers import PreconditionShape
from app.projects.scopes import Permission
from app.tasks.models import Task
from app.tasks.scopes import TaskScope, this_task


async def create(database: Database, task: TaskScope, new: CommentCreate) -> Row:
    """Add a comment of the caller's to a task."""
    values = {"id": uuid7(), **new.model_dump()}
    # The caller's account may have been deleted a moment ago.
    with refusing({"comments_author_id_fkey": InvalidTokenError}):
        return await database.fetch_one(_insert_comment(task.permission, tuple(values)), task, as_params(values))


async def update(database: Database, scope: CommentScope, changes: CommentUpdate) -> Row:
    """Set the members that the client sent, and nothing else."""
    values = changes.values()
    if not values:
        return await database.fetch_one(queries.comment(scope.permission, scope.shape), scope)
    return await database.fetch_one(
        _update_comment(scope.permission, scope.shape, tuple(values)), scope, as_params(values)
    )


async def delete(database: Database, scope: CommentScope) -> None:
    """Delete a comment."""
    await database.fetch_one(_delete_comment(scope.permission, scope.shape), scope)


@compiled(model=CommentRead)
def _insert_comment(permission: Permission, names: tuple[str, ...]) -> Executable:
    values = column_params(Comment, names).values()
    row = select(Task.id, param("caller_id", Uuid), *values).where(this_task(permission))
    # FOR KEY SHARE waits for a deletion of the task under way, and then finds no task instead of failing.
    locked = row.with_for_update(read=True, key_share=True)
    columns = ["task_id", "author_id", *names]
    return insert(Comment).from_select(columns, locked, include_defaults=False).returning(*queries.READ_COLUMNS)


@compiled(model=CommentRead)
def _update_comment(permission: Permission, shape: PreconditionShape | None, names: tuple[str, ...]) -> Executable:
    changed = update_in(Comment).where(this_comment(permission, shape)).values(column_params(Comment, names))
    return changed.returning(*queries.READ_COLUMNS)


@compiled
def _delete_comment(permission: Permission, shape: PreconditionShape | None) -> Executable:
    return delete_from(Comment).where(this_comment(permission, shape)).returning(Comment.id)
