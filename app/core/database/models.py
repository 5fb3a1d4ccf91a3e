"""The declarative base of all tables, and the columns that they share.

Defaults are the database's (`server_default`): statements run without the part of SQLAlchemy that would fill in others.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, MetaData, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.core.ids import uuid7


class Base(DeclarativeBase):
    """Every table of Taller. Constraint names follow one convention, so that migrations and errors can name them."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "ck": "%(table_name)s_%(constraint_name)s_check",
        }
    )


class Identified:
    """A UUIDv7 primary key. Made here and not by the server: bulk inserts stay one statement."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7, sort_order=-10)


class Timestamped:
    """When a row was made and last changed. A trigger keeps `updated_at`: it moves only if a value changed."""

    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=10)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=11)


class Versioned(Timestamped):
    """A row whose states are numbered from 1, by the same trigger (after a restored backup from a higher number:
    `app.core.database.versions`). Entity tags are made of the number.
    """

    version: Mapped[int] = mapped_column(server_default=text("1"), sort_order=12)
