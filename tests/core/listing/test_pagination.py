"""Pages: their parameters, and the one statement that reads them."""

import pytest
from pydantic import ValidationError
from sqlalchemy import ColumnElement, column, func, literal, select

from app.core.database.database import Database
from app.core.database.statements import Rows
from app.core.errors import InvalidRequestError
from app.core.listing.pagination import MAX_DEPTH, MAX_SIZE, PageParams, PageTooDeepError
from app.core.listing.sorting import Key, order_of
from app.core.listing.statement import MAX_COUNTED, Shape, counted, items_among, page_statement
from tests.support.queries import query_budget


@pytest.mark.parametrize(
    ("page", "size", "offset"),
    [(1, 50, 0), (2, 50, 50), (3, 7, 14), (100, MAX_SIZE, MAX_DEPTH - 100), (MAX_DEPTH, 1, MAX_DEPTH - 1)],
)
def test_a_page_is_a_size_and_an_offset(page: int, size: int, offset: int) -> None:
    assert PageParams(page=page, size=size).offset == offset


@pytest.mark.parametrize("wrong", [{"page": 0}, {"size": 0}, {"size": 101}, {"more": 1}])
def test_what_is_out_of_range_or_unknown_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        PageParams.model_validate(wrong)


@pytest.mark.parametrize(("page", "size"), [(101, 100), (201, 50), (5001, 2), (MAX_DEPTH + 1, 1)])
def test_a_page_beyond_the_bound_points_to_the_cursor(page: int, size: int) -> None:
    with pytest.raises(PageTooDeepError) as caught:
        PageParams(page=page, size=size)
    assert "?cursor=" in caught.value.detail


@pytest.mark.parametrize("wrong", [{"cursor": "", "page": 1}, {"include_total": False}])
def test_what_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        PageParams.model_validate(wrong)


NUMBER: ColumnElement[int] = column("number")
KEYS = {"number": Key(NUMBER)}
SHAPE = Shape(order_of("number", "number"))


def numbers_to(rows: int) -> Rows:
    numbers = func.generate_series(1, rows).table_valued("number").render_derived()
    return page_statement(
        SHAPE,
        KEYS,
        items=lambda part: select(numbers.c.number).where(*part.conditions).order_by(*part.ordering()),
        total=select(func.count().label("_total")).select_from(numbers),
    )


@pytest.mark.parametrize("rows", [0, 1, 6, 7])
@pytest.mark.parametrize("page", [1, 2, 3, 4])
async def test_items_and_total_come_in_one_statement(database: Database, rows: int, page: int) -> None:
    with query_budget(database, 1):
        found = await database.rows(numbers_to(rows), {"limit": 3, "offset": 3 * (page - 1)})
    expected = list(range(1, rows + 1))[3 * (page - 1) : 3 * page]
    assert [row["number"] for row in items_among(found, SHAPE.order)] == expected
    assert {row["_total"] for row in found} == {rows}


async def test_without_permission_there_is_no_row(database: Database) -> None:
    nothing = page_statement(
        SHAPE,
        KEYS,
        permitted=literal(value=False),
        items=lambda _: select(literal(1).label("number")),
        total=select(literal(1).label("_total")),
    )
    assert await database.rows(nothing, {"limit": 3, "offset": 0}) == []


@pytest.mark.parametrize(
    ("rows", "total"), [(0, 0), (MAX_COUNTED, MAX_COUNTED), (MAX_COUNTED + 1, None), (10 * MAX_COUNTED, None)]
)
async def test_more_than_so_many_are_not_counted(database: Database, rows: int, total: int | None) -> None:
    numbers = func.generate_series(1, rows).table_valued("number").render_derived()
    assert await database.row(counted(select(numbers.c.number))) == {"_total": total}
