"""The table of tasks."""

from datetime import date
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.models import Base, Identified, Versioned
from app.core.database.search import words_index
from app.projects.models import Project

MAX_TITLE_LENGTH = 500
MAX_DESCRIPTION_LENGTH = 10_000


class Task(Identified, Versioned, Base):
    """A task of a project. A higher priority comes first."""

    __tablename__ = "tasks"

    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    completed: Mapped[bool] = mapped_column(server_default=text("false"))
    due_date: Mapped[date | None]

    __table_args__ = (
        CheckConstraint(f"char_length(title) BETWEEN 1 AND {MAX_TITLE_LENGTH}", name="title_length"),
        CheckConstraint(f"char_length(description) <= {MAX_DESCRIPTION_LENGTH}", name="description_length"),
        CheckConstraint("isfinite(due_date)", name="due_date"),
        # In the list's default order, so that a page is read from the index; it serves the foreign key as well.
        Index("tasks_by_priority_idx", "project_id", text("priority DESC"), text("id DESC")),
        Index("tasks_by_due_date_idx", "project_id", "due_date", "id"),
        Index("tasks_by_created_at_idx", "project_id", "created_at", "id"),
        words_index("tasks_words_idx", "search_words_in(search_words(title, description), project_id)"),
    )
