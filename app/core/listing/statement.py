"""The statement of a list: the items of a page, the total and the caller's permission, in one round trip."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any, NamedTuple, get_type_hints

from pydantic import BaseModel
from sqlalchemy import BigInteger, ColumnElement, FromClause, Select, func, literal, select, true, union_all

from app.core.database.rows import Records
from app.core.database.statements import Column, Rows, compiled, inline, param
from app.core.listing.sorting import Keys, Order, Segment, order_of, ordering_of, segments_of

MAX_COUNTED = 10_000
"""The most matches that are counted, for totals that have to be counted."""


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {"gte": ge, "gt": gt, "lte": le, "lt": lt}
"""The suffixes of filters that are bounds, after an underscore."""

TOTAL = "_total"
"""The column with the total of a list."""


class ListVariant(NamedTuple):
    """The part of a request that determines the SQL of a list, besides the caller's permission."""

    order: Order
    filters: tuple[str, ...] = ()
    after: tuple[bool, ...] | None = None
    """For a page from a position: which of the position's values are null."""

    is_counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSource:
    """The parts of a list's statement."""

    items: Rows | Callable[[Segment], Rows] | FromClause
    """The matching rows without an order; or a function that reads one segment of them in order; or the page itself."""

    total: Rows
    """The total: one column, made by `total_of` or `capped_count`."""

    columns: Callable[[FromClause], Sequence[ColumnElement[Any]]] = lambda page: list(page.c)
    """The response columns, computed from `items` for the rows of the page only, not for skipped rows."""

    root: FromClause | None = None
    """The parent of the list. If it does not exist, or `where` is false, the statement returns no row."""

    where: ColumnElement[bool] | None = None


class ListQuery:
    """A list: its statement, its sort keys and its default order."""

    def __init__(
        self,
        source: Callable[[Any, ListVariant], ListSource],
        keys: Keys,
        default: str,
        tiebreaker: str,
        model: type[BaseModel] | None,
        unindexed: Collection[str],
        planned_once: Callable[[Collection[str], Order], bool],
    ) -> None:
        self.source = source
        self.keys = keys
        self.tiebreaker = tiebreaker
        self.order = order_of(default, tiebreaker)
        """The default order."""

        self.unindexed, self._planned_once = frozenset(unindexed), planned_once

        def page(permission: Any, variant: ListVariant | None) -> Rows:
            variant = variant or ListVariant(self.order)
            return page_statement(variant, keys, source(permission, variant))

        page.__annotations__["permission"] = next(iter(get_type_hints(source).values()))
        self.statement = compiled(page, model=model)

    def is_planned_by_value(self, filters: Collection[str], order: Order) -> bool:
        """Return whether the best plan depends on values: whether an index besides the order's may serve a filter."""
        may_serve = any(name not in self.unindexed and of_bound(name) != order[0].name for name in filters)
        return may_serve and not self._planned_once(filters, order)


def list_query(
    keys: Keys,
    default: str,
    tiebreaker: str = "id",
    *,
    model: type[BaseModel] | None = None,
    unindexed: Collection[str] = (),
    planned_once: Callable[[Collection[str], Order], bool] = lambda *_: False,
) -> Callable[[Callable[[Any, ListVariant], ListSource]], ListQuery]:
    """Return a decorator that makes a `ListQuery` of a function from permission and variant to a `ListSource`.

    `model`: the response model of the items (see `compiled`). `unindexed`: the filters that no index serves.
    `planned_once`: whether one plan is the best for all values of these filters in this order, although an index serves
    them.
    """
    return lambda source: ListQuery(source, keys, default, tiebreaker, model, unindexed, planned_once)


def of_bound(name: str) -> str:
    """Return the column of a filter that is a bound on it (see `comparisons`); the name itself of any other filter."""
    column, _, operator = name.rpartition("_")
    return column if operator in OPERATORS else name


def page_statement(variant: ListVariant, keys: Keys, source: ListSource) -> Rows:
    """Return the statement of one page. It returns no row if the caller may not see the list, otherwise at least one.

    An empty page is one row with the total and nulls (see `without_placeholder`).
    """
    root = select(literal(1)).subquery("caller") if source.root is None else source.root
    items = source.items
    page = items if isinstance(items, FromClause) else page_of(variant, keys, items).lateral("page")
    answered = {column.name: column for column in source.columns(page)}
    # The sort keys are always selected: cursors are made from them, and the unique tie-breaker is NULL only in the
    # placeholder row of an empty page.
    needed = {sort.name: page.c[sort.name] for sort in variant.order}
    columns = (needed | answered).values()
    if variant.is_counted:
        # A join: as a scalar subquery in the columns, it would be counted again for each row of the page.
        counted = source.total.lateral("counted")
        selected = select(counted, *columns).select_from(root.join(counted, true()).outerjoin(page, true()))
    else:
        selected = select(*columns).select_from(root.outerjoin(page, true()))
    return selected if source.where is None else selected.where(source.where)


def without_placeholder(rows: Records, order: Order) -> Records:
    """Return the rows of a page's statement without the placeholder of an empty page."""
    return rows if rows and rows[0][order[-1].name] is not None else rows[:0]


def simple_list(rows: Rows) -> ListSource:
    """Return the source of a short list without a parent, whose total is counted."""
    return ListSource(items=rows, total=total_of(func.count()).select_from(rows.subquery()))


def total_of(number: ColumnElement[Any]) -> Rows:
    """Return a statement for a list's total, to which the caller adds tables and conditions."""
    return select(number.label(TOTAL))


def sort_columns(variant: ListVariant, keys: Keys, columns: Iterable[Column]) -> list[Column]:
    """Return the sort keys that are not among a list's columns: outer queries and cursors need their values."""
    shown = {column.key for column in columns}
    return [keys[sort.name].column.label(sort.name) for sort in variant.order if sort.name not in shown]


def limit_plus_offset() -> ColumnElement[int]:
    """Return the most rows of one segment that a page can need: those before it and its own."""
    return param("limit", BigInteger) + param("offset", BigInteger)


def capped_count(matching: Rows) -> Rows:
    """Select the counted total of a list, or null if it exceeds `MAX_COUNTED`."""
    most = inline(MAX_COUNTED + 1)
    some = matching.with_only_columns(inline(1).label("one"), maintain_column_froms=True).limit(most).subquery("some")
    return total_of(func.nullif(func.count(), most)).select_from(some)


def page_of(variant: ListVariant, keys: Keys, items: Rows | Callable[[Segment], Rows]) -> Rows:
    """Return the rows of one page in order, of items as in a `ListSource`."""

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
    ordering = ordering_of(variant.order, keys, merged.c)
    return select(*merged.c).order_by(*ordering).limit(limit).offset(offset)
