"""Authorisation scopes, whose conditions are part of every statement. Only `access` creates them."""

from sqlalchemy import ColumnElement, SQLColumnExpression, select

from app.comments.errors import AuthorRequiredError, CommentNotFoundError
from app.comments.models import Comment
from app.core.preconditions.etags import etag_expression
from app.projects.scopes import Entity, EntityScope
from app.tasks.models import Task


def tag(version: SQLColumnExpression[int]) -> ColumnElement[str]:
    """Return a comment's entity tag. If the response's schema changes, the letter must change too."""
    return etag_expression("c", version)


COMMENT = Entity(
    Comment,
    # Asked for each time, and not kept in the row: a task that moves takes its comments along.
    select(Task.project_id).where(Task.id == Comment.task_id).correlate(Comment).scalar_subquery(),
    tag(Comment.version),
    CommentNotFoundError,
    ("comment_id",),
    owner_id=Comment.author_id,
    owner_required=AuthorRequiredError,
)

this_comment = COMMENT.condition


class CommentScope(EntityScope):
    """One comment with the caller's permission."""

    __slots__ = ()

    entity = COMMENT
