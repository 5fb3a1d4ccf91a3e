"""The base of all factories; each feature's stand beside its tests."""

from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

from polyfactory import Use
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from polyfactory.field_meta import FieldMeta

from app.core.database import Database
from app.core.ids import uuid7
from app.core.models import Base

M = TypeVar("M", bound=Base)


class RowFactory(SQLAlchemyFactory[M]):
    """Rows with values that the database takes; what a test does not name is made up, deterministically."""

    __is_base_factory__ = True
    __random_seed__ = 20261122
    __set_relationships__ = False
    __set_foreign_keys__ = False

    id = Use(uuid7)
    created_at = Use(lambda: datetime.now(UTC))
    updated_at = Use(lambda: datetime.now(UTC))

    @classmethod
    @cache
    def get_model_fields(cls) -> list[FieldMeta]:
        """The columns; found out once, not for each row."""
        return super().get_model_fields()


async def store(database: Database, *rows: Base) -> None:
    """Commit rows, in the order in which they are given."""
    async with database.transaction() as session:
        for row in rows:
            session.add(row)
            if not set(row.__table__.foreign_keys):
                # What follows may refer to it, and without a relationship SQLAlchemy does not know the order.
                await session.flush()
