"""The order of a list, and the conditions for reading it from a position.

A cursor has the sort keys of the row before a page. `segments_of` turns them into conditions that an index supports: a
row comparison if all directions agree, otherwise alternatives joined by OR. If the first key may be null, the rows with
a value and those without one are two segments, which are read one after the other in the order of the same index.
docs/decisions/0015-cursors.md has the reasons.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Date, DateTime, Text, Uuid, and_, collate, false, func, or_, tuple_
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement, UnaryExpression
from sqlalchemy.types import TypeEngine

from app.core.database.statements import Column, param


class Sort(NamedTuple):
    """One key of an order. Null values come last in both directions, and first when the list is read backwards."""

    name: str
    is_descending: bool = False
    has_nulls_first: bool = False


Order = tuple[Sort, ...]
"""The keys of an order, the last of them unique."""


@dataclass(frozen=True)
class Key:
    """A sort key of a list."""

    column: Column
    is_nullable: bool = False
    compared: Callable[[Any], Any] = lambda value: value
    """Maps a column or value to the expression that is compared, if that is not the value itself."""

    def decoded(self, value: Any) -> Any:
        """Return the value that a cursor's JSON holds."""
        return None if value is None else self._read(value)

    @cached_property
    def _read(self) -> Callable[[Any], Any]:
        # SQLAlchemy takes as long to tell the type of a column as all else takes that a cursor needs.
        return next((read for kind, read in _READERS if isinstance(self.column.type, kind)), lambda value: value)


_READERS: tuple[tuple[type[TypeEngine[Any]], Callable[[str], Any]], ...] = (
    (Uuid, UUID),
    (DateTime, datetime.fromisoformat),
    (Date, date.fromisoformat),
)

Keys = Mapping[str, Key]
_AFTER = "after_{}"

Columns = ReadOnlyColumnCollection[str, KeyedColumnElement[Any]]


def alphabetical(text: Any) -> ColumnElement[Any]:
    """Return the sort key of a text: without letter case and accents, and independent of the server's locale."""
    return func.sort_key(collate(text, "C"), type_=Text)


def order_of(text: str, tiebreaker: str) -> Order:
    """Return the order of `-priority,due_date` with the tiebreaker added, in the direction of the last key."""
    keys = [Sort(name.removeprefix("-"), name.startswith("-")) for name in text.split(",")]
    return tuple(keys) if keys[-1].name == tiebreaker else (*keys, Sort(tiebreaker, keys[-1].is_descending))


def reversed_order(order: Order) -> Order:
    """Return the order for reading backwards."""
    return tuple(Sort(sort.name, not sort.is_descending, not sort.has_nulls_first) for sort in order)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a list that an index can deliver in order: its conditions and its order."""

    conditions: tuple[ColumnElement[bool], ...]
    order: Order
    keys: Keys

    def ordering(self, columns: Columns | None = None) -> list[UnaryExpression[Any]]:
        """Return the ORDER BY expressions of its rows (`ordering_of`)."""
        return ordering_of(self.order, self.keys, columns)


def segments_of(order: Order, keys: Keys, after: Sequence[bool] | None) -> list[Segment]:
    """Return the segments of a list in order: of the whole list, or of the rows after a position. `after`: which of the
    position's values are null; the values are bind parameters of the statement (`position_parameters`).
    """
    first, key = order[0], keys[order[0].name]
    position = None if after is None else list(_position(order, keys, after))
    if not key.is_nullable:
        return [Segment(() if position is None else (_beyond(order, keys, position),), order, keys)]
    some = {**keys, first.name: replace(key, is_nullable=False)}
    with_value = (key.column.is_not(None),)
    without = (key.column.is_(None),)
    rest = order[1:]
    # The key is NULL in all of these rows. It stays in ORDER BY, so that this matches the index's columns.
    present, absent = [Segment(with_value, order, some)], [Segment(without, order, some)]
    if position is not None and position[0] is None:
        absent = [Segment((*without, _beyond(rest, keys, position[1:])), order, some)]
        present = present if first.has_nulls_first else []
    elif position is not None:
        present = [Segment((*with_value, _beyond(order, some, position)), order, some)]
        absent = [] if first.has_nulls_first else absent
    return [*absent, *present] if first.has_nulls_first else [*present, *absent]


def position_parameters(values: Sequence[Any]) -> dict[str, Any]:
    """Return the bind parameters for a position with these values."""
    return {_AFTER.format(number): value for number, value in enumerate(values)}


def ordering_of(order: Order, keys: Keys, columns: Columns | None = None) -> list[UnaryExpression[Any]]:
    """Return the ORDER BY expressions: of the tables' columns, or of `columns`, which are named like the keys."""
    ordering = []
    for sort in order:
        column = keys[sort.name].compared(keys[sort.name].column if columns is None else columns[sort.name])
        directed = column.desc() if sort.is_descending else column.asc()
        if keys[sort.name].is_nullable:
            directed = directed.nulls_first() if sort.has_nulls_first else directed.nulls_last()
        ordering.append(directed)
    return ordering


def _position(order: Order, keys: Keys, after: Sequence[bool]) -> Iterator[ColumnElement[Any] | None]:
    for number, (sort, is_null) in enumerate(zip(order, after, strict=True)):
        key = keys[sort.name]
        yield None if is_null else key.compared(param(_AFTER.format(number), key.column.type))


def _beyond(order: Order, keys: Keys, position: Sequence[ColumnElement[Any] | None]) -> ColumnElement[bool]:
    """Return the condition that a row comes after the position."""
    columns = [keys[sort.name].compared(keys[sort.name].column) for sort in order]
    directions = {sort.is_descending for sort in order}
    if len(directions) == 1 and not any(keys[sort.name].is_nullable for sort in order):
        rows, values = tuple_(*columns), tuple_(*position)
        return rows < values if directions.pop() else rows > values
    alternatives: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for sort, column, value in zip(order, columns, position, strict=True):
        further = _further(sort, column, value, is_nullable=keys[sort.name].is_nullable)
        alternatives.append(and_(*equal, further))
        equal.append(column.is_(None) if value is None else column == value)
    start = position[0]
    if start is None or keys[order[0].name].is_nullable:
        return or_(*alternatives)
    # A redundant bound on the first key: PostgreSQL can use it as an index condition, the OR it cannot.
    return and_(columns[0] <= start if order[0].is_descending else columns[0] >= start, or_(*alternatives))


def _further(sort: Sort, column: Column, value: ColumnElement[Any] | None, *, is_nullable: bool) -> ColumnElement[bool]:
    if value is None:
        return column.is_not(None) if sort.has_nulls_first else false()
    further = column < value if sort.is_descending else column > value
    return or_(further, column.is_(None)) if is_nullable and not sort.has_nulls_first else further
