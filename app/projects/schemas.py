"""Request and response schemas of projects."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import ConfigDict, Field, StrictBool

from app.core.listing.params import (
    RELEVANCE,
    CommaSeparated,
    ListParams,
    QueryFlag,
    SearchText,
    range_query,
    search_query,
    sort_query,
)
from app.core.schemas import (
    CreatedAt,
    ETag,
    Id,
    Moment,
    PatchModel,
    RequestModel,
    ResponseModel,
    UpdatedAt,
    Uuid,
    unset,
    with_example,
)
from app.core.text import Line, LongText
from app.projects.models import MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH, Role

Name = Annotated[str, Line(MAX_NAME_LENGTH), Field(description="The name of the project.")]
Description = Annotated[str, LongText(MAX_DESCRIPTION_LENGTH)]

SORTABLE = ("name", "created_at", "updated_at", RELEVANCE)

_DESCRIPTION = "What the project is about; null for none."
_ALSO_CALLED = {"title": "name", "label": "name", **dict.fromkeys(("body", "details", "notes"), "description")}
"""Names of other APIs for the members of a project, for suggestions."""

_REQUIRE_IF_MATCH = (
    "Whether changing or deleting the project, or anything in it, requires `If-Match`, so that nobody overwrites "
    "changes that they have not seen."
)
_IS_ARCHIVED = (
    "Whether the project is archived: everybody may still read it, and nobody may change anything in it. Only owners "
    "set this. Lists leave archived projects and their tasks out."
)


class ProjectCreate(RequestModel):
    """A new project."""

    model_config = ConfigDict(
        json_schema_extra=with_example({"name": "Workshop", "description": "Everything for the new workshop"})
    )

    also_called = _ALSO_CALLED

    name: Name
    description: Description | None = Field(default=None, description=_DESCRIPTION)
    require_if_match: StrictBool = Field(default=False, description=_REQUIRE_IF_MATCH)


class ProjectUpdate(PatchModel):
    """Changes to a project: omitted members stay unchanged, null clears."""

    model_config = ConfigDict(json_schema_extra=with_example({"name": "Workshop 2027"}))

    also_called = _ALSO_CALLED

    name: Name = Field(default_factory=unset)
    description: Description | None = Field(default_factory=unset, description=_DESCRIPTION)
    require_if_match: StrictBool = Field(default_factory=unset, description=_REQUIRE_IF_MATCH)
    is_archived: StrictBool = Field(default_factory=unset, description=_IS_ARCHIVED)


class ProjectRead(ResponseModel):
    """A project."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11",
                "name": "Workshop",
                "description": "Everything for the new workshop",
                "require_if_match": False,
                "is_archived": False,
                "tasks_total": 12,
                "tasks_completed": 5,
                "role": "owner",
                "created_at": "2026-11-22T09:00:00.000000Z",
                "updated_at": "2026-11-22T09:00:00.000000Z",
                "etag": '"pb1.12.5.owner"',
            }
        )
    )

    id: Id
    name: str
    description: str | None
    require_if_match: bool = Field(description=_REQUIRE_IF_MATCH)
    is_archived: bool = Field(description=_IS_ARCHIVED)
    tasks_total: int = Field(description="How many tasks it has.")
    tasks_completed: int = Field(description="How many of them are completed.")
    role: Role | None = Field(description="Your own role; null for an administrator who is not a member.")
    created_at: CreatedAt
    updated_at: UpdatedAt
    etag: ETag


class ProjectParams(ListParams):
    """The filters and the order of a list of projects."""

    q: SearchText | None = search_query("name or description", "workshop")
    role: Role | None = Query(None, description="Only those in which this is your own role.")
    is_archived: QueryFlag | None = Query(
        None, description="Only those that are archived, or only those that are not, which is the default."
    )
    created_at_gte: Moment | None = range_query("created_at", "gte")
    created_at_gt: Moment | None = range_query("created_at", "gt")
    created_at_lte: Moment | None = range_query("created_at", "lte")
    created_at_lt: Moment | None = range_query("created_at", "lt")
    sort: Annotated[str, CommaSeparated(SORTABLE, is_signed=True)] | None = sort_query(SORTABLE, "-created_at")


class MemberRead(ResponseModel):
    """A person's role in a project."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "user_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a10",
                "username": "ben",
                "role": "editor",
                "created_at": "2026-11-22T09:00:00.000000Z",
                "updated_at": "2026-11-22T09:00:00.000000Z",
            }
        )
    )

    user_id: Uuid
    username: str
    role: Role
    created_at: Annotated[datetime, Field(description="When this person joined (UTC).")]
    updated_at: Annotated[datetime, Field(description="When the role last changed (UTC).")]


class MemberSet(RequestModel):
    """The new role of a member."""

    model_config = ConfigDict(json_schema_extra=with_example({"role": "editor"}))

    role: Role = Field(
        description="`viewer` reads; `editor` also changes tasks and the project's details; `owner` also changes "
        "members and deletes the project."
    )
