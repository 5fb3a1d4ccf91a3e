"""Statements that return comments."""

from sqlalchemy import Uuid, select

from app.comments.models import Comment
from app.comments.schemas import CommentRead
from app.comments.scopes import tag, this_comment
from app.core.database.statements import Rows, compiled, param
from app.core.listing.sorting import Key
from app.core.listing.statement import ListSource, ListVariant, capped_count, list_query
from app.core.preconditions.headers import PreconditionShape
from app.projects.scopes import Permission
from app.tasks.models import Task
from app.tasks.scopes import this_task

READ_COLUMNS = (
    Comment.id,
    Comment.task_id,
    Comment.author_id,
    Comment.body,
    Comment.created_at,
    Comment.updated_at,
    tag(Comment.version).label("etag"),
)
"""A comment's columns and its tag."""


@compiled(model=CommentRead)
def comment(permission: Permission, shape: PreconditionShape | None = None) -> Rows:
    """Select one comment."""
    return select(*READ_COLUMNS).where(this_comment(permission, shape))


@list_query({"id": Key(Comment.id)}, "id", model=CommentRead)
def comments_of_task(permission: Permission, _: ListVariant) -> ListSource:
    """Select a page of a task's comments, the oldest first."""
    of_task = Comment.task_id == param("task_id", Uuid)
    return ListSource(
        items=select(*READ_COLUMNS).where(of_task),
        # Nothing bounds how many there are.
        total=capped_count(select(Comment.id).where(of_task)),
        root=Task.__table__,
        where=this_task(permission),
    )
