"""Pages: their parameters, and the one statement that reads them."""

import pytest
from pydantic import ValidationError
from sqlalchemy import ColumnElement, column, func, literal, select

from app.core.database.database import Database
from app.core.database.statements import Rows
from app.core.errors import InvalidRequestError
from app.core.listing.pagination import MAX_DEPTH, MAX_SIZE, PageParams, PageTooDeepError
from app.core.listing.sorting import Key, order_of
from app.core.listing.statement import (
    MAX_COUNTED,
    ListSource,
    ListVariant,
    capped_count,
    page_statement,
    total_of,
    without_placeholder,
)
from tests.support.client import Api, assert_problem
from tests.support.queries import query_budget
from tests.support.samples import in_short


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


BAD_PAGES = [
    ("page=0", "page", "greater_than_equal"),
    ("page=-1", "page", "greater_than_equal"),
    ("page=1.0", "page", "int_parsing"),
    ("page=1e1", "page", "int_parsing"),
    ("page=%2B1", "page", "int_parsing"),
    ("page=1_0", "page", "int_parsing"),
    ("page=%201", "page", "int_parsing"),
    ("page=abc", "page", "int_parsing"),
    ("page=true", "page", "int_parsing"),
    ("page=", "page", "int_parsing"),
    ("page", "page", "int_parsing"),
    ("page=%00", "page", "int_parsing"),
    ("page=%D9%A1", "page", "int_parsing"),
    ("page=" + "9" * 5000, "page", "int_parsing"),
    ("size=0", "size", "greater_than_equal"),
    ("size=-1", "size", "greater_than_equal"),
    ("size=101", "size", "less_than_equal"),
    ("size=abc", "size", "int_parsing"),
    ("page=1&page=1", "page", "repeated"),
    ("cursor=%FF", "cursor", "encoding"),
    ("page=1&%C3%28=1", "\ufffd(", "encoding"),
    ("size=2&page=1&size=3", "size", "repeated"),
    ("cursor=&page=1", "page", "contradiction"),
    ("include_total=false", "include_total", "contradiction"),
    ("cursor=&include_total=1", "include_total", "bool_parsing"),
    ("cursor=" + "A" * 5000, "cursor", "string_too_long"),
    ("order=name", "order", "unknown"),
    ("Page=1", "Page", "unknown"),
    ("%00=1", "\0", "unknown"),
]


@pytest.mark.parametrize(("query", "parameter", "code"), BAD_PAGES, ids=in_short)
async def test_bad_parameter_of_a_list_is_named(api: Api, query: str, parameter: str, code: str) -> None:
    problem = assert_problem(await api.get(f"/projects/?{query}"), 400, "invalid_request")
    assert [(error["parameter"], error["code"]) for error in problem["errors"]] == [(parameter, code)]


async def test_size_above_the_maximum_is_answered_with_the_maximum(api: Api) -> None:
    problem = assert_problem(await api.get("/projects/?size=101"), 400, "invalid_request")
    assert problem["errors"][0]["detail"].endswith(" 100")


async def test_last_reachable_page_number_is_empty_not_an_error(api: Api) -> None:
    answer = await api.get("/projects/?page=100&size=100")
    assert (answer.status_code, answer.json()["items"], answer.json()["total"]) == (200, [], 0)


NUMBER: ColumnElement[int] = column("number")
KEYS = {"number": Key(NUMBER)}
VARIANT = ListVariant(order_of("number", "number"))


def numbers_to(rows: int) -> Rows:
    numbers = func.generate_series(1, rows).table_valued("number").render_derived()
    source = ListSource(items=select(numbers.c.number), total=total_of(func.count()).select_from(numbers))
    return page_statement(VARIANT, KEYS, source)


@pytest.mark.parametrize("rows", [0, 1, 6, 7])
@pytest.mark.parametrize("page", [1, 2, 3, 4])
async def test_items_and_total_come_in_one_statement(database: Database, rows: int, page: int) -> None:
    with query_budget(database, 1):
        found = await database.fetch_all(numbers_to(rows), {"limit": 3, "offset": 3 * (page - 1)})
    expected = list(range(1, rows + 1))[3 * (page - 1) : 3 * page]
    assert [row["number"] for row in without_placeholder(found, VARIANT.order)] == expected
    assert {row["_total"] for row in found} == {rows}


async def test_without_permission_there_is_no_row(database: Database) -> None:
    source = ListSource(
        items=select(literal(1).label("number")), total=total_of(literal(1)), where=literal(value=False)
    )
    nothing = page_statement(VARIANT, KEYS, source)
    assert await database.fetch_all(nothing, {"limit": 3, "offset": 0}) == []


@pytest.mark.parametrize(
    ("rows", "total"), [(0, 0), (MAX_COUNTED, MAX_COUNTED), (MAX_COUNTED + 1, None), (10 * MAX_COUNTED, None)]
)
async def test_more_than_so_many_are_not_counted(database: Database, rows: int, total: int | None) -> None:
    numbers = func.generate_series(1, rows).table_valued("number").render_derived()
    assert await database.fetch_one_or_none(capped_count(select(numbers.c.number))) == {"_total": total}
