"""Lists as statements: what is on a page, how many there are in all, and may the caller see it, in one round trip."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, FromClause, Select, func, literal, select, true, union_all

from app.core.database.statements import Column, Rows, compiled, param
from app.core.listing.sorting import Keys, Order, Segment, full_ordering, order_of, segments_of

MAX_COUNTED = 10_000
"""Matches that are counted at most, where only counting tells how many there are."""


TOTAL = "_total"
"""The column that tells how many items a list has."""


class ListVariant(NamedTuple):
    """What changes the text of a list's statement, besides the caller's permission."""

    order: Order
    filters: tuple[str, ...] = ()
    after: tuple[bool, ...] | None = None
    """For a page that begins at a position, which of the position's values are null."""

    is_counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSource:
    """What the statement of a list is made of."""

    items: Rows | Callable[[Segment], Rows]
    """The rows that the filters let through, in no order; or what reads one segment of them in its order."""

    total: Rows
    """How many there are: one column, made by `total_of` or `capped_count`."""

    columns: Callable[[FromClause], Sequence[ColumnElement[Any]]] = lambda page: list(page.c)
    """What is answered, of the columns of `items`: for the rows of the page only, not for those that are skipped."""

    root: FromClause | None = None
    """What the list belongs to. Where it is not there, or `where` does not hold, the statement returns no row."""

    where: ColumnElement[bool] | None = None


class ListQuery:
    """A list: its statement, what it can be sorted by, and how it is sorted unless told otherwise."""

    def __init__(
        self, source: Callable[[Any, ListVariant], ListSource], keys: Keys, default: str, tiebreaker: str
    ) -> None:
        self.source = source
        self.keys = keys
        self.tiebreaker = tiebreaker
        self.order = order_of(default, tiebreaker)
        """Its own order."""

        self.statement = compiled(self._page)

    def _page(self, permission: Hashable, variant: ListVariant) -> Rows:
        return page_statement(variant, self.keys, self.source(permission, variant))


def list_query(
    keys: Keys, default: str, tiebreaker: str = "id"
) -> Callable[[Callable[[Any, ListVariant], ListSource]], ListQuery]:
    """Make a list of the function that tells what it consists of, for a permission and a variant."""
    return lambda source: ListQuery(source, keys, default, tiebreaker)


def page_statement(variant: ListVariant, keys: Keys, source: ListSource) -> Rows:
    """Return one statement for one page: no row where the list may not be seen, else at least one.

    A page without items is one row of nulls beside the total (see `without_placeholder`).
    """
    root = select(literal(1)).subquery("caller") if source.root is None else source.root
    page = _page(variant, keys, source.items).lateral("page")
    answered = {column.name: column for column in source.columns(page)}
    # The sort keys are always selected: cursors are made from them, and the unique tie-breaker is NULL only in the
    # placeholder row of an empty page.
    needed = {sort.name: page.c[sort.name] for sort in variant.order}
    columns = (needed | answered).values()
    if variant.is_counted:
        # A join and not a column: as a column it would be counted anew for each row of the page.
        counted = source.total.lateral("counted")
        selected = select(counted, *columns).select_from(root.join(counted, true()).outerjoin(page, true()))
    else:
        selected = select(*columns).select_from(root.outerjoin(page, true()))
    return selected if source.where is None else selected.where(source.where)


def without_placeholder(rows: list[dict[str, Any]], order: Order) -> list[dict[str, Any]]:
    """Return the items among the rows of a page's statement in this order: all of them, unless the page has none."""
    return rows if rows and rows[0][order[-1].name] is not None else []


def simple_list(rows: Rows) -> ListSource:
    """Return a short list that everybody who asks may see, counted as it is."""
    return ListSource(items=rows, total=total_of(func.count()).select_from(rows.subquery()))


def total_of(number: ColumnElement[Any]) -> Rows:
    """Return the total of a list as a statement, to which its tables and conditions are added."""
    return select(number.label(TOTAL))


def sort_columns(variant: ListVariant, keys: Keys, columns: Iterable[Column]) -> list[Column]:
    """Return the columns that a list is sorted by and does not show: outer queries and cursors need their values."""
    shown = {column.key for column in columns}
    return [keys[sort.name].column.label(sort.name) for sort in variant.order if sort.name not in shown]


def limit_plus_offset() -> ColumnElement[int]:
    """How many rows of a segment a page may need: those before it and its own."""
    return param("limit", BigInteger) + param("offset", BigInteger)


def capped_count(matching: Rows) -> Rows:
    """Select the total of a list that has to be counted: null for more than `MAX_COUNTED`."""
    one = matching.with_only_columns(literal(1).label("one"), maintain_column_froms=True)
    some = one.limit(MAX_COUNTED + 1).subquery("some")
    return total_of(func.nullif(func.count(), MAX_COUNTED + 1)).select_from(some)


def _page(variant: ListVariant, keys: Keys, items: Rows | Callable[[Segment], Rows]) -> Rows:
    def read(segment: Segment) -> Rows:
        if isinstance(items, Select):
            return items.where(*segment.conditions).order_by(*segment.ordering())
        return items(segment)

    limit, offset = param("limit", BigInteger), param("offset", BigInteger)
    read_in_turn = segments_of(variant.order, keys, variant.after)
    if len(read_in_turn) == 1:
        return read(read_in_turn[0]).limit(limit).offset(offset)
    each = (read(segment).limit(limit_plus_offset()).subquery().select() for segment in read_in_turn)
    merged = union_all(*each).subquery("segments")
    ordering = full_ordering(variant.order, keys, merged.c)
    return select(*merged.c).order_by(*ordering).limit(limit).offset(offset)
