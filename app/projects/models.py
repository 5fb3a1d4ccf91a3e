"""The tables of what people work in."""

from sqlalchemy import CheckConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Base, Identified, Timestamped

MAX_NAME_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 10_000


class Project(Identified, Timestamped, Base):
    """Something that has tasks."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {MAX_NAME_LENGTH}", name="name_length"),
        CheckConstraint(f"char_length(description) <= {MAX_DESCRIPTION_LENGTH}", name="description_length"),
    )
