"""The base of all factories; each feature's stand beside its tests."""

from contextlib import nullcontext
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
from app.core.database.statements import Statement, param
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
    batches = [
        (key, alike[start : start + AT_ONCE])
        for key, alike in ((key, list(rows)) for key, rows in groupby(rows, lambda row: (type(row), _given(row))))
        for start in range(0, len(alike), AT_ONCE)
    ]
    # One statement is a transaction of its own.
    async with nullcontext(database) if len(batches) == 1 else database.transaction() as target:
        for (model, columns), batch in batches:
            values = {f"{name}_{n}": getattr(row, name) for n, row in enumerate(batch) for name in columns}
            stored = await target.fetch_all(_insertion(model, columns, len(batch)), values)
            for row, found in zip(batch, stored, strict=True):
                for name, value in found.items():
                    set_committed_value(row, name, value)


@cache
def _insertion(model: type[Base], columns: tuple[str, ...], number: int) -> Statement:
    """Return a statement that inserts so many rows. It is compiled once, which takes longer than it runs."""
    table = model.__table__
    values = [{name: param(f"{name}_{n}", table.c[name].type) for name in columns} for n in range(number)]
    return Statement(insert(model).values(values).returning(*table.columns))


def _given(row: Base) -> tuple[str, ...]:
    """Return the columns that a row has values for; the others get the database's defaults."""
    return tuple(column.key for column in row.__table__.columns if getattr(row, column.key) is not None)
