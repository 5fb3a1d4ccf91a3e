"""Request and response schemas of tasks."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Self

from fastapi import Query
from pydantic import ConfigDict, FailFast, Field, StrictBool

from app.auth.schemas import PersonId, by_id
from app.auth.scopes import Caller
from app.core.listing.params import (
    RELEVANCE,
    CommaSeparated,
    ListParams,
    QueryFlag,
    QueryInt,
    SearchText,
    range_query,
    search_query,
    sort_query,
)
from app.core.schemas import (
    CreatedAt,
    ETag,
    Id,
    IdList,
    Int32,
    IsoDate,
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
from app.tasks.models import MAX_DESCRIPTION_LENGTH, MAX_EXTERNAL_ID_LENGTH, MAX_LISTED, MAX_TITLE_LENGTH

Title = Annotated[str, Line(MAX_TITLE_LENGTH), Field(description="What is to be done.")]
Description = Annotated[str, LongText(MAX_DESCRIPTION_LENGTH)]
ExternalId = Annotated[str, Line(MAX_EXTERNAL_ID_LENGTH)]


SORTABLE = ("priority", "due_date", "created_at", "updated_at", "title", "completed", RELEVANCE)

MAX_PROJECTS = 100
"""Values of `project_id` that one request may send."""

_ALSO_CALLED = {
    **dict.fromkeys(("name", "summary", "subject", "content", "text"), "title"),
    **dict.fromkeys(("body", "details", "notes", "note"), "description"),
    **dict.fromkeys(("status", "state", "done", "is_done", "is_completed", "checked", "closed"), "completed"),
    **dict.fromkeys(("deadline", "due_on", "due_at"), "due_date"),
    **dict.fromkeys(("importance", "urgency", "rank"), "priority"),
    **dict.fromkeys(("parent", "parent_task", "parent_task_id"), "parent_id"),
}
"""Names of other APIs for the members of a task, for suggestions."""

# Tuples, because pydantic copies a default that can change.
LabelIds = Annotated[
    tuple[Uuid, ...],
    FailFast(),
    Field(max_length=MAX_LISTED, description="All its labels. They must be labels of its project."),
]
AssigneeIds = Annotated[
    tuple[Uuid, ...],
    FailFast(),
    Field(max_length=MAX_LISTED, description="All its assignees. They must be members of its project."),
]

_DESCRIPTION = "More details; null for none."
_PRIORITY = "A higher priority comes first."
_COMPLETED = "Whether it is done."
_DUE_DATE = "The day by which it is to be done; null for none."
_PARENT_ID = "The task of its project of which it is a part; null for none."
_EXTERNAL_ID = "Its id in the system that it was imported from, unique in the project; null for none."


class TaskCreate(RequestModel):
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

    also_called = _ALSO_CALLED

    title: Title
    description: Description | None = Field(default=None, description=_DESCRIPTION)
    priority: Int32 = Field(default=0, description=_PRIORITY)
    completed: StrictBool = Field(default=False, description=_COMPLETED)
    due_date: IsoDate | None = Field(default=None, description=_DUE_DATE)
    external_id: ExternalId | None = Field(default=None, description=_EXTERNAL_ID)
    parent_id: Uuid | None = Field(default=None, description=_PARENT_ID)
    label_ids: LabelIds = Field(default=())
    assignee_ids: AssigneeIds = Field(default=())


class TaskChanges(PatchModel):
    """Changes to a task that stays in its project: omitted members stay unchanged, null clears."""

    model_config = ConfigDict(json_schema_extra=with_example({"completed": True}))

    also_called = _ALSO_CALLED

    title: Title = Field(default_factory=unset)
    description: Description | None = Field(default_factory=unset, description=_DESCRIPTION)
    priority: Int32 = Field(default_factory=unset, description=_PRIORITY)
    completed: StrictBool = Field(default_factory=unset, description=_COMPLETED)
    due_date: IsoDate | None = Field(default_factory=unset, description=_DUE_DATE)
    external_id: ExternalId | None = Field(default_factory=unset, description=_EXTERNAL_ID)
    parent_id: Uuid | None = Field(default_factory=unset, description=_PARENT_ID)
    label_ids: LabelIds = Field(default_factory=unset)
    assignee_ids: AssigneeIds = Field(default_factory=unset)


class TaskUpdate(TaskChanges):
    """Changes to a task: omitted members stay unchanged, null clears."""

    project_id: Uuid = Field(
        default_factory=unset,
        description="The project to move it to. You need the role `editor` in both. It keeps labels of the same name "
        "there, and assignees who are members there.",
    )


class TaskRead(ResponseModel):
    """A task."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a12",
                "project_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a11",
                "title": "Buy a workbench",
                "description": "Beech, two metres long",
                "priority": 10,
                "completed": True,
                "due_date": "2026-12-01",
                "external_id": "JIRA-17",
                "parent_id": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a0f",
                "label_ids": ["01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a13"],
                "assignee_ids": ["01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a10"],
                "created_by": "01992f3c-7a4e-7d3a-9d0e-0c6c1f2b8a10",
                "completed_at": "2026-11-23T17:00:00.000000Z",
                "created_at": "2026-11-22T09:00:00.000000Z",
                "updated_at": "2026-11-23T17:00:00.000000Z",
                "subtasks_total": 2,
                "subtasks_completed": 2,
                "etag": '"tb2.2.2"',
            }
        )
    )

    id: Id
    project_id: Uuid = Field(description="The project that it belongs to.")
    title: str
    description: str | None
    priority: int
    completed: bool
    due_date: date | None
    external_id: str | None = Field(description=_EXTERNAL_ID)
    parent_id: Uuid | None = Field(description=_PARENT_ID)
    label_ids: IdList = Field(description="Its labels, sorted by id.")
    assignee_ids: IdList = Field(description="Its assignees, sorted by id.")
    created_by: Uuid | None = Field(description="Who created it; null if that account is deleted or not known.")
    completed_at: datetime | None = Field(description="When it was completed (UTC); null if it is not.")
    created_at: CreatedAt
    updated_at: UpdatedAt
    subtasks_total: int = Field(description="How many tasks are directly below it.")
    subtasks_completed: int = Field(description="How many of these are completed.")
    etag: ETag


class TaskParams(ListParams):
    """The filters and the order of a list of tasks."""

    also_called: ClassVar[Mapping[str, str]] = {
        **_ALSO_CALLED,
        **dict.fromkeys(("due_after", "due_from", "due_since"), "due_date_gte"),
        **dict.fromkeys(("due_before", "due_until", "due_by"), "due_date_lte"),
        **dict.fromkeys(("created_after", "created_since", "since"), "created_at_gte"),
        **dict.fromkeys(("updated_after", "updated_since", "modified_since"), "updated_at_gte"),
        **dict.fromkeys(("min_priority", "priority_min"), "priority_gte"),
        "project": "project_id",
        **dict.fromkeys(("label", "labels", "label_ids"), "label_id"),
        **dict.fromkeys(("assignee", "assignees", "assignee_ids", "assigned_to"), "assignee_id"),
    }

    q: SearchText | None = search_query("title or description", "oil bench")
    completed: QueryFlag | None = Query(None, description="Only those that are done, or only those that are not.")
    priority: QueryInt | None = Query(None, description="Exactly this priority.", examples=[10])
    priority_gte: QueryInt | None = range_query("priority", "gte")
    priority_gt: QueryInt | None = range_query("priority", "gt")
    priority_lte: QueryInt | None = range_query("priority", "lte")
    priority_lt: QueryInt | None = range_query("priority", "lt")
    due_date: IsoDate | None = Query(None, description="Due on exactly this day.")
    due_date_is_null: QueryFlag | None = Query(
        None, description="Only those without a due date, or only those with one."
    )
    due_date_gte: IsoDate | None = range_query("due_date", "gte")
    due_date_gt: IsoDate | None = range_query("due_date", "gt")
    due_date_lte: IsoDate | None = range_query("due_date", "lte")
    due_date_lt: IsoDate | None = range_query("due_date", "lt")
    external_id: ExternalId | None = Query(None, description="With exactly this external id.", examples=["JIRA-17"])
    parent_id: Uuid | None = Query(None, description="Directly below this task.")
    parent_id_is_null: QueryFlag | None = Query(
        None, description="Only those that are part of no other task, or only those that are."
    )
    label_id: list[Uuid] = Query([], max_length=MAX_LISTED, description="With any of these labels; may be repeated.")
    label_ids_is_empty: QueryFlag | None = Query(None, description="Only those without labels, or only those with any.")
    assignee_id: list[PersonId] = Query(
        [], max_length=MAX_LISTED, description="Assigned to any of these people, `me` for yourself; may be repeated."
    )
    assignee_ids_is_empty: QueryFlag | None = Query(
        None, description="Only those without assignees, or only those with any."
    )
    is_blocked: QueryFlag | None = Query(
        None, description="Only those that wait for a task which is not completed, or only those that do not."
    )
    created_by: PersonId | None = Query(None, description="Created by this person, `me` for yourself.")
    completed_at_gte: Moment | None = range_query("completed_at", "gte")
    completed_at_gt: Moment | None = range_query("completed_at", "gt")
    completed_at_lte: Moment | None = range_query("completed_at", "lte")
    completed_at_lt: Moment | None = range_query("completed_at", "lt")
    created_at_gte: Moment | None = range_query("created_at", "gte")
    created_at_gt: Moment | None = range_query("created_at", "gt")
    created_at_lte: Moment | None = range_query("created_at", "lte")
    created_at_lt: Moment | None = range_query("created_at", "lt")
    updated_at_gte: Moment | None = range_query("updated_at", "gte")
    updated_at_gt: Moment | None = range_query("updated_at", "gt")
    updated_at_lte: Moment | None = range_query("updated_at", "lte")
    updated_at_lt: Moment | None = range_query("updated_at", "lt")
    sort: Annotated[str, CommaSeparated(SORTABLE, is_signed=True)] | None = sort_query(SORTABLE, "-priority")

    def asked_by(self, caller: Caller) -> Self:
        """Return the parameters with the caller's id for `me`."""
        changes: dict[str, Any] = {}
        if self.assignee_id:
            changes["assignee_id"] = [by_id(person, caller.user_id) for person in self.assignee_id]
        if self.created_by is not None:
            changes["created_by"] = by_id(self.created_by, caller.user_id)
        return self.model_copy(update=changes) if changes else self


class VisibleTaskParams(TaskParams):
    """The same for the tasks of all projects."""

    project_id: list[Uuid] = Query([], max_length=MAX_PROJECTS, description="Only of these projects; may be repeated.")
    is_archived: QueryFlag | None = Query(
        None,
        description="Only those of archived projects, or only those of projects that are not, which is the default.",
    )


class SummaryParams(RequestModel):
    """The parameters of a summary."""

    today: IsoDate | None = Query(
        None,
        description="The current day in the user's time zone; by default the current day in UTC.",
    )


class PrioritySummary(ResponseModel):
    """The number of tasks with one priority."""

    priority: int
    tasks_total: int
    tasks_completed: int


class TaskSummary(ResponseModel):
    """A summary of a project's tasks."""

    model_config = ConfigDict(
        json_schema_extra=with_example(
            {
                "tasks_total": 12,
                "tasks_completed": 5,
                "overdue": 1,
                "due_soon": 2,
                "by_priority": [
                    {"priority": 10, "tasks_total": 4, "tasks_completed": 1},
                    {"priority": 0, "tasks_total": 8, "tasks_completed": 4},
                ],
            }
        )
    )

    tasks_total: int = Field(description="How many tasks there are.")
    tasks_completed: int = Field(description="How many of them are completed.")
    overdue: int = Field(description="How many are not completed and were due before today.")
    due_soon: int = Field(description="How many are not completed and due today or within the next seven days.")
    by_priority: list[PrioritySummary] = Field(description="The 100 highest priorities that occur, the highest first.")
