"""The base of all factories; each feature's stand beside its tests."""

from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import TypeVar

from polyfactory import Use
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from polyfactory.field_meta import FieldMeta
from sqlalchemy import insert
from sqlalchemy.orm.attributes import set_committed_value

from app.core.database.database import Database
from app.core.database.models import Base
from app.core.ids import uuid7

M = TypeVar("M", bound=Base)

AT_ONCE = 500
"""Rows that one statement inserts; all their values are parameters, of which PostgreSQL takes 32 767."""


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
        """Return the columns. They are cached, not found for each row."""
        return super().get_model_fields()


async def store(database: Database, *rows: Base) -> None:
    """Commit rows, in the order in which they are given; each then has the values that the database gave it."""
    async with database.transaction() as transaction:
        for (model, columns), alike in groupby(rows, lambda row: (type(row), _given(row))):
            batch = list(alike)
            for start in range(0, len(batch), AT_ONCE):
                part = batch[start : start + AT_ONCE]
                values = [{name: getattr(row, name) for name in columns} for row in part]
                stored = await transaction.fetch_all(insert(model).values(values).returning(*model.__table__.columns))
                for row, found in zip(part, stored, strict=True):
                    for name, value in found.items():
                        set_committed_value(row, name, value)


def _given(row: Base) -> tuple[str, ...]:
    """Return the columns that a row has values for; the others get the database's defaults."""
    return tuple(column.key for column in row.__table__.columns if getattr(row, column.key) is not None)
