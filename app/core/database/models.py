"""The declarative base of all tables, and the columns that they share.

Defaults are the server's (`server_default`): statements run without SQLAlchemy's execution, which fills in client ones.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Dialect, MetaData, Text, TypeDecorator, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.core.ids import uuid7


class Base(DeclarativeBase):
    """The base of all tables. Constraint names follow one convention, so that migrations and errors can name them."""

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
    """A UUIDv7 primary key. The application creates it, so that a bulk insert is one statement."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7, sort_order=-10)


class Timestamped:
    """When a row was created and last changed. A trigger sets `updated_at`, only if a value has changed."""

    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=10)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=11)


class Versioned(Timestamped):
    """A row whose states the same trigger numbers, from 1, or from a higher number after a backup was restored
    (`taller restored`). Entity tags contain this number.
    """

    version: Mapped[int] = mapped_column(server_default=text("1"), sort_order=12)


class IdList(TypeDecorator[Iterable[UUID]]):
    """Sorted, unique ids, stored as the JSON text of the response, so that reading them costs no conversion."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[UUID] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the JSON text of ids in any order."""
        if value is None:
            return None
        ids = '","'.join(sorted({str(id_) for id_ in value}))
        return f'["{ids}"]' if ids else "[]"
