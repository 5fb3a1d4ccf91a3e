"""Lists as statements: what is on a page, how many there are in all, and may the caller see it, in one round trip."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, FromClause, func, literal, select, true, union_all
from sqlalchemy.orm import InstrumentedAttribute

from app.core.database.statements import Column, Rows, given
from app.core.listing.sorting import Key, Keys, Order, Part, full_ordering, order_of, parts_of

MAX_COUNTED = 10_000
"""Matches that are counted at most, where only counting tells how many there are."""


class Shape(NamedTuple):
    """What changes the text of a list's statement, besides the caller's permission."""

    order: Order
    filters: tuple[str, ...] = ()
    after: tuple[bool, ...] | None = None
    """For a page that begins at a position, which of the position's values are null."""

    is_counted: bool = True


@dataclass(frozen=True, eq=False)
class Listing:
    """A list: its statement, what it can be sorted by, and how it is sorted unless told otherwise."""

    query: Callable[[Any, Shape], Rows]
    keys: Keys
    default: str
    tie: str

    @cached_property
    def order(self) -> Order:
        """Its own order."""
        return order_of(self.default, self.tie)


def listing(keys: Keys, default: str, tie: str = "id") -> Callable[[Callable[[Any, Shape], Rows]], Listing]:
    """Make a list of the function that builds its statement from a permission and a shape."""
    return lambda query: Listing(query, keys, default, tie)


def page_statement(
    shape: Shape,
    keys: Keys,
    *,
    items: Callable[[Part], Rows],
    total: Rows,
    shown: Callable[[FromClause], Sequence[ColumnElement[Any]]] = lambda page: list(page.c),
    anchor: FromClause | None = None,
    permitted: ColumnElement[bool] | None = None,
) -> Rows:
    """One statement for one page: no row if `anchor` is not there or not permitted, else at least one.

    `items` returns the rows of one part of the list, on its conditions and in its order; `total` is one column,
    `_total`. A page without items is one row of nulls beside it (see `items_among`). `shown` makes of the columns of
    `items` those that are answered, for the rows of the page only: `items` itself is run for the rows that are skipped
    as well.
    """
    anchor = select(literal(1)).subquery("caller") if anchor is None else anchor
    page = _page(shape, keys, items).lateral("page")
    answered = {column.name: column for column in shown(page)}
    # What a cursor is made of; and the last of it, which is unique, tells an item from none.
    needed = {sort.name: page.c[sort.name] for sort in shape.order}
    columns = (needed | answered).values()
    if shape.is_counted:
        # A join and not a column: as a column it would be counted anew for each row of the page.
        counted = total.lateral("counted")
        selected = select(counted, *columns).select_from(anchor.join(counted, true()).outerjoin(page, true()))
    else:
        selected = select(*columns).select_from(anchor.outerjoin(page, true()))
    return selected if permitted is None else selected.where(permitted)


def items_among(rows: list[dict[str, Any]], order: Order) -> list[dict[str, Any]]:
    """The items among the rows of a page's statement in this order: all of them, unless the page has none."""
    return rows if rows and rows[0][order[-1].name] is not None else []


def page_of(shape: Shape, key: InstrumentedAttribute[Any], rows: Rows) -> Rows:
    """The statement of a short list that everybody who asks may see, sorted by one key and counted as it is."""
    return page_statement(
        shape,
        {key.key: Key(key)},
        items=lambda part: rows.where(*part.conditions).order_by(*part.ordering()),
        total=select(func.count().label("_total")).select_from(rows.subquery()),
    )


def computed(shape: Shape, keys: Keys, columns: Iterable[Column]) -> list[Column]:
    """What a list is sorted by and does not show, as further columns: outer queries and cursors need its values."""
    shown = {column.key for column in columns}
    return [keys[sort.name].column.label(sort.name) for sort in shape.order if sort.name not in shown]


def reach() -> ColumnElement[int]:
    """How many rows of a part of a list a page may need: those before it and its own."""
    return given("limit", BigInteger) + given("offset", BigInteger)


def counted(matching: Rows) -> Rows:
    """The total of a list that has to be counted: null for more than `MAX_COUNTED`."""
    one = matching.with_only_columns(literal(1).label("one"), maintain_column_froms=True)
    some = one.limit(MAX_COUNTED + 1).subquery("some")
    return select(func.nullif(func.count(), MAX_COUNTED + 1).label("_total")).select_from(some)


def _page(shape: Shape, keys: Keys, items: Callable[[Part], Rows]) -> Rows:
    limit, offset = given("limit", BigInteger), given("offset", BigInteger)
    parts = parts_of(shape.order, keys, shape.after)
    if len(parts) == 1:
        return items(parts[0]).limit(limit).offset(offset)
    merged = union_all(*(items(part).limit(reach()).subquery().select() for part in parts)).subquery("parts")
    ordering = full_ordering(shape.order, keys, merged.c)
    return select(*merged.c).order_by(*ordering).limit(limit).offset(offset)
