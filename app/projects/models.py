"""The tables of projects, their members and their counts of tasks."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.auth.models import User
from app.core.database.models import Base, Identified, Timestamped, Versioned
from app.core.database.search import words_index

MAX_NAME_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 10_000


class Role(StrEnum):
    """The roles of members; each includes the rights of those before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"

    @property
    def and_above(self) -> tuple[str, ...]:
        """This role and the higher ones."""
        roles = list(Role)
        return tuple(role.value for role in roles[roles.index(self) :])


class Project(Identified, Versioned, Base):
    """A project, which has members and tasks."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    require_if_match: Mapped[bool] = mapped_column(server_default=text("false"))
    is_archived: Mapped[bool] = mapped_column(server_default=text("false"))

    __table_args__ = (
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {MAX_NAME_LENGTH}", name="name_length"),
        CheckConstraint(f"char_length(description) <= {MAX_DESCRIPTION_LENGTH}", name="description_length"),
        # For administrators who list the archived ones.
        Index("projects_archived_idx", "id", postgresql_where=text("is_archived")),
        # For administrators, who see all projects.
        words_index("projects_words_idx", "search_words(name, description)"),
    )


class TaskCount(Base):
    """The number of a project's tasks, spread over several slots, of which only the sum is meaningful.

    Triggers on the tasks maintain it, so that it is right even after raw SQL
    (docs/decisions/0013-the-database-counts.md). The table is here because projects show it and must not import tasks.
    """

    __tablename__ = "project_task_counts"

    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"), primary_key=True)
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    total: Mapped[int] = mapped_column(BigInteger)
    completed: Mapped[int] = mapped_column(BigInteger)


class Member(Timestamped, Base):
    """A person's role in a project."""

    __tablename__ = "project_members"

    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'editor', 'owner')", name="role"),
        # An index-only scan for a person's projects, the newest first.
        Index("project_members_user_id_idx", "user_id", "project_id", postgresql_include=["role"]),
    )
