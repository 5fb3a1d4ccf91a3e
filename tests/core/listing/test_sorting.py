"""For any rows, any order and any page size: walking by position shows every row once, in order, in both directions."""

from collections.abc import Sequence
from functools import cmp_to_key
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from hypothesis import given as for_any
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import Date, Integer, column, select, values

from app.core.database.database import Database
from app.core.database.statements import Rows, Statement
from app.core.listing.cursors import Position
from app.core.listing.sorting import Key, Order, Sort, order_of, position_parameters, reversed_order
from app.core.listing.statement import ListSource, ListVariant, page_statement, total_of, without_placeholder


class Row(NamedTuple):
    number: int
    due: Any
    id: int


ORDERS = ["number", "-number", "due", "-due", "number,due", "-number,due", "due,-number", "-due,number", "-due,-number"]
DAYS = st.none() | st.dates().filter(lambda day: day.year >= 1000)


def test_an_order_ends_with_its_tie_in_the_last_direction() -> None:
    assert order_of("-a,b", "id") == (Sort("a", True), Sort("b"), Sort("id"))
    assert order_of("a,-b", "id") == (Sort("a"), Sort("b", True), Sort("id", True))
    assert order_of("-id", "id") == (Sort("id", True),)
    assert reversed_order(reversed_order(order_of("-a,b", "id"))) == order_of("-a,b", "id")


def expected(rows: Sequence[Row], order: Order) -> list[Row]:
    """In Python, from the rules as they are documented: what has no value comes last in both directions."""

    def compare(one: Row, other: Row) -> int:
        for sort in order:
            a, b = getattr(one, sort.name), getattr(other, sort.name)
            if a == b:
                continue
            if a is None or b is None:
                return 1 if a is None else -1
            return (1 if a > b else -1) * (-1 if sort.is_descending else 1)
        return 0

    return sorted(rows, key=cmp_to_key(compare))


def statement_of(rows: Sequence[Row], order: Order, position: Position | None) -> Rows:
    table = values(column("number", Integer), column("due", Date), column("id", Integer), name="t").data(rows)
    keys = {"number": Key(table.c.number), "due": Key(table.c.due, is_nullable=True), "id": Key(table.c.id)}
    after = None if position is None else tuple(value is None for value in position.values)

    source = ListSource(items=select(*table.c), total=total_of(table.c.id))
    return page_statement(ListVariant(order, (), after, is_counted=False), keys, source)


async def walked(app: FastAPI, rows: Sequence[Row], order: Order, size: int) -> list[Row]:
    found: list[Row] = []
    position = None
    for _ in range(len(rows) + 2):
        given = {"limit": size, "offset": 0}
        if position is not None:
            given |= position_parameters(position.values)
        page = without_placeholder(
            await app.state.services[Database].fetch_all(Statement(statement_of(rows, order, position)), given), order
        )
        if not page:
            return found
        found += [Row(*(row[name] for name in Row._fields)) for row in page]
        position = Position([page[-1][sort.name] for sort in order])
    raise AssertionError("a walk that does not end")


@pytest.mark.parametrize("text", ORDERS)
@settings(max_examples=12, deadline=None)
@for_any(st.lists(st.tuples(st.integers(-2, 2), DAYS), min_size=1, max_size=12), st.integers(1, 5))
async def test_a_walk_shows_every_row_once_in_order(
    app: FastAPI, text: str, made: list[tuple[int, Any]], size: int
) -> None:
    rows = [Row(number, due, place) for place, (number, due) in enumerate(made)]
    order = order_of(text, "id")
    wanted = expected(rows, order)
    assert await walked(app, rows, order, size) == wanted
    assert await walked(app, rows, reversed_order(order), size) == wanted[::-1]
