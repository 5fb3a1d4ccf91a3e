"""Guards of comments. Every statement about a comment starts from a scope that a guard here has created."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from app.auth.scopes import KEY_SCOPES
from app.comments.scopes import CommentScope
from app.projects.access import EntityGuard
from app.projects.models import Role
from app.tasks.access import TaskGuard
from app.tasks.scopes import TaskScope

COMMENTS_READ = KEY_SCOPES.declare("comments:read", "See comments.")
COMMENTS_WRITE = KEY_SCOPES.declare("comments:write", "See, create, change and delete comments.")


class CommentGuard(EntityGuard[CommentScope]):
    """Guards the comment of the path."""

    scope_class = CommentScope

    async def __call__(
        self, request: Request, comment_id: Annotated[UUID, Path(description="The comment's id.")]
    ) -> CommentScope:
        """Return the comment's scope."""
        return self.scope_of(request, self.caller(request), comment_id)


TaskWithComments = Annotated[TaskScope, Depends(TaskGuard(Role.VIEWER, COMMENTS_READ))]
"""The task of the path, if the caller may see its comments."""

TaskForComments = Annotated[TaskScope, Depends(TaskGuard(Role.EDITOR, COMMENTS_WRITE))]
"""The task of the path, if the caller may comment on it."""

ReadableComment = Annotated[CommentScope, Depends(CommentGuard(Role.VIEWER, COMMENTS_READ))]
"""The comment of the path, if the caller may see it."""

OwnComment = Annotated[CommentScope, Depends(CommentGuard(None, COMMENTS_WRITE, own=Role.EDITOR, is_conditional=True))]
"""The comment of the path, if the caller wrote it and is still an editor."""

DeletableComment = Annotated[
    CommentScope, Depends(CommentGuard(Role.OWNER, COMMENTS_WRITE, own=Role.VIEWER, is_conditional=True))
]
"""The comment of the path, if the caller may delete it: what they wrote themselves always, others' as an owner."""
