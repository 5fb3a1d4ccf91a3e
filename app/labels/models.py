"""The table of labels."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.models import Base, Identified, Versioned
from app.projects.models import Project

MAX_NAME_LENGTH = 50
DEFAULT_COLOR = "#808080"

MAX_LABELS = 200
"""Labels of one project. The database holds it to that, so that two who add the last one at once cannot exceed it."""


class Label(Identified, Versioned, Base):
    """A kind of task that a project has."""

    __tablename__ = "labels"

    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    color: Mapped[str] = mapped_column(Text, server_default=DEFAULT_COLOR)

    __table_args__ = (
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {MAX_NAME_LENGTH}", name="name_length"),
        CheckConstraint("color ~ '^#[0-9a-f]{6}$'", name="color"),
        # What refers to a label names its project as well.
        UniqueConstraint("id", "project_id"),
        Index("labels_name_key", "project_id", text("fold_case(name)"), unique=True),
        # In the list's default order, so that a page is read from the index; it serves the foreign key as well.
        Index("labels_by_name_idx", "project_id", text('sort_key(name COLLATE "C")'), "id"),
    )
