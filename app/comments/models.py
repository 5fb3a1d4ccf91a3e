"""The table of comments."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.auth.models import User
from app.core.database.models import Base, Identified, Versioned
from app.tasks.models import Task

MAX_BODY_LENGTH = 10_000


class Comment(Identified, Versioned, Base):
    """A comment on a task."""

    __tablename__ = "comments"

    task_id: Mapped[UUID] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"))
    author_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    body: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint(f"char_length(body) BETWEEN 1 AND {MAX_BODY_LENGTH}", name="body_length"),
        # In the list's default order, so that a page is read from the index; it serves the foreign key as well.
        Index("comments_by_id_idx", "task_id", "id"),
        Index("comments_author_id_idx", "author_id"),
    )
