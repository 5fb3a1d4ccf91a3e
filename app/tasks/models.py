"""The table of tasks."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, ForeignKeyConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.auth.models import User
from app.core.database.models import Base, Identified, IdList, Versioned
from app.core.database.search import words_index
from app.labels.models import Label
from app.projects.models import Member, Project

MAX_TITLE_LENGTH = 500
MAX_DESCRIPTION_LENGTH = 10_000
MAX_EXTERNAL_ID_LENGTH = 200

MAX_LISTED = 20
"""Labels, and people, that a task may have. The database holds it to that, so that two who add one at once cannot
exceed it."""

MAX_BLOCKERS = 50
"""Tasks that a task may wait for."""

MAX_LEVELS = 10
"""Levels of tasks, each below the one before. A task without a parent is on the first."""


class Task(Identified, Versioned, Base):
    """A task of a project. A higher priority comes first."""

    __tablename__ = "tasks"

    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    completed: Mapped[bool] = mapped_column(server_default=text("false"))
    due_date: Mapped[date | None]
    external_id: Mapped[str | None] = mapped_column(Text)
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    """The task of which it is a part. A trigger refuses circles, too many levels, and tasks of other projects."""

    is_parent: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it has subtasks, or had some: then they are counted. Set by triggers, and never taken back."""

    label_ids: Mapped[list[UUID]] = mapped_column(IdList, server_default="[]")
    assignee_ids: Mapped[list[UUID]] = mapped_column(IdList, server_default="[]")
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    completed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """Set by triggers when `completed` changes."""

    __table_args__ = (
        # One constraint, because PostgreSQL parses each of them for every statement that writes. Lengths: 1 to 500, up
        # to 10 000, 1 to 200. A due date is finite, and a task has `completed_at` if it is completed.
        CheckConstraint(
            "is_valid_task(title, description, due_date, external_id, completed, completed_at)", name="valid"
        ),
        # In the list's default order, so that a page is read from the index; it serves the foreign key as well.
        Index("tasks_by_priority_idx", "project_id", text("priority DESC"), text("id DESC")),
        Index("tasks_by_due_date_idx", "project_id", "due_date", "id"),
        Index("tasks_by_created_at_idx", "project_id", "created_at", "id"),
        Index("tasks_created_by_idx", "created_by", postgresql_where=text("created_by IS NOT NULL")),
        # Most tasks have neither.
        Index("tasks_parent_id_idx", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        Index(
            "tasks_external_id_key",
            "project_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        words_index("tasks_words_idx", "search_entries(title, description, project_id)"),
    )


class TaskLabel(Base):
    """A label of a task. Triggers keep these rows and the lists in `tasks` equal
    (docs/decisions/0035-labels-and-assignees.md).
    """

    __tablename__ = "task_labels"

    task_id: Mapped[UUID] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), primary_key=True)
    label_id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID]

    __table_args__ = (
        ForeignKeyConstraint(["label_id", "project_id"], [Label.id, Label.project_id]),
        Index("task_labels_by_label_idx", "label_id", "project_id", "task_id"),
    )


class TaskAssignee(Base):
    """An assignee of a task, who is a member of its project. Triggers keep these rows and the lists equal."""

    __tablename__ = "task_assignees"

    task_id: Mapped[UUID] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID]

    __table_args__ = (
        ForeignKeyConstraint(["user_id", "project_id"], [Member.user_id, Member.project_id]),
        Index("task_assignees_by_assignee_idx", "user_id", "project_id", "task_id"),
    )


class TaskBlocker(Base):
    """That a task waits for another one of its project. A trigger refuses circles, more than `MAX_BLOCKERS`, and tasks
    of other projects.
    """

    __tablename__ = "task_blockers"

    task_id: Mapped[UUID] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), primary_key=True)
    blocker_id: Mapped[UUID] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[UUID]

    __table_args__ = (
        Index("task_blockers_by_blocker_idx", "blocker_id", "task_id"),
        Index("task_blockers_by_project_idx", "project_id", "blocker_id", "task_id"),
    )
