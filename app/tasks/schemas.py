"""What a task looks like from outside."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from app.core.schemas import (
    Changes,
    CreatedAt,
    ETag,
    Flag,
    Id,
    Input,
    Int32,
    IsoDate,
    Schema,
    Storable,
    UpdatedAt,
    Visible,
    left_out,
    with_example,
)
from app.tasks.models import MAX_DESCRIPTION_LENGTH, MAX_TITLE_LENGTH

Title = Annotated[
    str, Field(min_length=1, max_length=MAX_TITLE_LENGTH, description="What is to be done."), Storable, Visible
]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION_LENGTH), Storable]

_DESCRIPTION = "More about it; null for nothing."
_PRIORITY = "The higher, the sooner."
_COMPLETED = "Whether it is done."
_DUE_DATE = "The day by which it is to be done; null for none."


class TaskCreate(Input):
    """A new task."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "title": "Buy a workbench",
                "description": "Beech, two metres long",
                "priority": 10,
                "due_date": "2026-12-01",
            }
        )
    )

    title: Title
    description: Description | None = Field(default=None, description=_DESCRIPTION)
    priority: Int32 = Field(default=0, description=_PRIORITY)
    completed: Flag = Field(default=False, description=_COMPLETED)
    due_date: IsoDate | None = Field(default=None, description=_DUE_DATE)


class TaskChanges(Changes):
    """Changes to a task in its project: what is left out stays as it is, null clears."""

    model_config = ConfigDict(json_schema_extra=with_example({"completed": True}))

    title: Title = Field(default_factory=left_out)
    description: Description | None = Field(default_factory=left_out, description=_DESCRIPTION)
    priority: Int32 = Field(default_factory=left_out, description=_PRIORITY)
    completed: Flag = Field(default_factory=left_out, description=_COMPLETED)
    due_date: IsoDate | None = Field(default_factory=left_out, description=_DUE_DATE)


class TaskUpdate(TaskChanges):
    """Changes to a task: what is left out stays as it is, null clears."""

    project_id: UUID = Field(
        default_factory=left_out, description="The project to move it to. You need the role `editor` in both."
    )


class TaskRead(Schema):
    """A task."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a12",
                "project_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11",
                "title": "Buy a workbench",
                "description": "Beech, two metres long",
                "priority": 10,
                "completed": False,
                "due_date": "2026-12-01",
                "created_at": "2026-11-22T09:00:00Z",
                "updated_at": "2026-11-22T09:00:00Z",
                "etag": '"t1"',
            }
        )
    )

    id: Id
    project_id: UUID = Field(description="The project that it belongs to.")
    title: str
    description: str | None
    priority: int
    completed: bool
    due_date: date | None
    created_at: CreatedAt
    updated_at: UpdatedAt
    etag: ETag
