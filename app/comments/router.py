"""`/tasks/{task_id}/comments/` and `/comments/`."""

from typing import Any

from app.comments import queries, service
from app.comments.access import DeletableComment, OwnComment, ReadableComment, TaskForComments, TaskWithComments
from app.comments.schemas import CommentCreate, CommentRead, CommentUpdate
from app.core.database.database import DatabaseDep
from app.core.database.rows import Row
from app.core.http.routing import FeatureRouter
from app.core.listing.pagination import Page, PageParamsDep, PagesDep

router = FeatureRouter(tag="comments")


@router.get("/tasks/{task_id}/comments/", summary="List a task's comments", response_model=Page[CommentRead])
async def list_comments(task: TaskWithComments, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """List a task's comments, the oldest first, page by page."""
    return await pages.read(queries.comments_of_task, task, params)


@router.post(
    "/tasks/{task_id}/comments/",
    summary="Comment on a task",
    status_code=201,
    response_model=CommentRead,
    location="/comments",
)
async def create_comment(task: TaskForComments, new: CommentCreate, database: DatabaseDep) -> Row:
    """Comment on a task; you are its author. `Location` is the comment's address."""
    return await service.create(database, task, new)


@router.get("/comments/{comment_id}", summary="Read a comment", response_model=CommentRead)
async def read_comment(comment: ReadableComment, database: DatabaseDep) -> Row:
    """Return one comment."""
    return await database.fetch_one(queries.comment(comment.permission), comment)


@router.put("/comments/{comment_id}", summary="Update a comment", response_model=CommentRead)
async def update_comment(comment: OwnComment, changes: CommentUpdate, database: DatabaseDep) -> Row:
    """Set the members that the body names; **what the body leaves out stays as it is**. Only the author may."""
    return await service.update(database, comment, changes)


@router.patch("/comments/{comment_id}", summary="Patch a comment", response_model=CommentRead)
async def patch_comment(comment: OwnComment, changes: CommentUpdate, database: DatabaseDep) -> Row:
    """Apply a JSON merge patch (RFC 7396): members that it names are set, all others stay as they are. Only the author
    may.
    """
    return await service.update(database, comment, changes)


@router.delete("/comments/{comment_id}", summary="Delete a comment", status_code=204)
async def delete_comment(comment: DeletableComment, database: DatabaseDep) -> None:
    """Delete a comment. Its author may, the project's owners and administrators. This cannot be undone."""
    await service.delete(database, comment)
