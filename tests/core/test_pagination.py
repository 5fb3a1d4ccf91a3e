"""Pages: their parameters, their arithmetic, and the one statement that reads them."""

from collections.abc import Hashable, Mapping
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Integer, column, func, literal, select, true, values

from app.core.database import Database
from app.core.errors import AppError, NotFoundError
from app.core.pagination import MAX_PAGE, MAX_SIZE, PageParams, fetch_page, page_statement
from app.core.statements import Rows
from tests.support.queries import query_budget


@pytest.mark.parametrize(
    ("page", "size", "limit_and_offset"),
    [(1, 50, (50, 0)), (2, 50, (50, 50)), (3, 7, (7, 14)), (MAX_PAGE, MAX_SIZE, (100, (MAX_PAGE - 1) * 100))],
)
def test_a_page_is_a_limit_and_an_offset(page: int, size: int, limit_and_offset: tuple[int, int]) -> None:
    assert PageParams(page=page, size=size).limit_and_offset == limit_and_offset


def test_the_last_page_ends_where_postgresql_can_no_longer_count() -> None:
    limit, offset = PageParams(page=MAX_PAGE, size=MAX_SIZE).limit_and_offset
    assert offset + limit <= 2**63 - 1
    assert MAX_PAGE * MAX_SIZE + MAX_SIZE > 2**63 - 1, "a later page would do as well"


@pytest.mark.parametrize("wrong", [{"page": 0}, {"page": MAX_PAGE + 1}, {"size": 0}, {"size": 101}, {"more": 1}])
def test_what_is_out_of_range_or_unknown_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        PageParams.model_validate(wrong)


class AnyScope:
    """A scope whose permission is no more than the shape of a statement."""

    parameters: Mapping[str, Any] = {}

    def __init__(self, permission: Hashable) -> None:
        self.permission = permission

    async def refusal(self, database: Database) -> AppError:  # noqa: ARG002 - as every scope's
        return NotFoundError()


def numbers_to(rows: int) -> Rows:
    numbers = func.generate_series(1, rows).table_valued("number").render_derived()
    return page_statement(
        anchor=values(column("here", Integer), name="anchor").data([(1,)]),
        permitted=true(),
        items=select(numbers.c.number).order_by(numbers.c.number),
        total=select(func.count().label("_total")).select_from(numbers),
    )


def nothing_permitted(_: Hashable) -> Rows:
    return page_statement(
        anchor=values(column("here", Integer), name="anchor").data([(1,)]),
        permitted=literal(value=False),
        items=select(literal(1).label("number")),
        total=select(literal(1).label("_total")),
    )


@pytest.mark.parametrize("rows", [0, 1, 6, 7])
@pytest.mark.parametrize("page", [1, 2, 3, 4])
async def test_items_and_total_come_in_one_statement(database: Database, rows: int, page: int) -> None:
    with query_budget(database, 1):
        answer = await fetch_page(database, numbers_to, AnyScope(rows), PageParams(page=page, size=3))
    expected = list(range(1, rows + 1))[3 * (page - 1) : 3 * page]
    assert [item["number"] for item in answer["items"]] == expected
    assert {name: answer[name] for name in ("total", "page", "size", "pages")} == {
        "total": rows,
        "page": page,
        "size": 3,
        "pages": -(-rows // 3),
    }


async def test_without_permission_it_is_refused_and_not_empty(database: Database) -> None:
    with pytest.raises(NotFoundError):
        await fetch_page(database, nothing_permitted, AnyScope(None), PageParams())
