"""Request and response schemas of comments."""

from typing import Annotated

from pydantic import ConfigDict, Field

from app.comments.models import MAX_BODY_LENGTH
from app.core.schemas import (
    CreatedAt,
    ETag,
    Id,
    PatchModel,
    RequestModel,
    ResponseModel,
    UpdatedAt,
    Uuid,
    unset,
    with_example,
)
from app.core.text import LongText

Body = Annotated[str, LongText(MAX_BODY_LENGTH, min_length=1), Field(description="What it says.")]

_BODY = "Measured twice."


class CommentCreate(RequestModel):
    """A new comment."""

    model_config = ConfigDict(json_schema_extra=with_example({"body": _BODY}))

    body: Body


class CommentUpdate(PatchModel):
    """Changes to a comment: omitted members stay unchanged."""

    model_config = ConfigDict(json_schema_extra=with_example({"body": _BODY}))

    body: Body = Field(default_factory=unset)


class CommentRead(ResponseModel):
    """A comment."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a13",
                "task_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a12",
                "author_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a10",
                "body": _BODY,
                "created_at": "2026-11-22T09:00:00.000000Z",
                "updated_at": "2026-11-22T09:00:00.000000Z",
                "etag": '"c1"',
            }
        )
    )

    id: Id
    task_id: Uuid = Field(description="The task that it is about.")
    author_id: Uuid | None = Field(description="Who wrote it; null if the account is gone.")
    body: str
    created_at: CreatedAt
    updated_at: UpdatedAt
    etag: ETag
