"""Pages: the only module that knows fastapi-pagination.

The library gives the contract (parameters, envelope, OpenAPI); the statement is ours, because permission, total and
items come back in one round trip (docs/decisions/0004-one-statement-lists.md).
"""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

from fastapi import Query
from fastapi_pagination import Page as LibraryPage
from fastapi_pagination import Params
from fastapi_pagination.customization import CustomizedPage, UseFieldTypeAnnotations, UseModelConfig, UseName, UseParams
from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError
from sqlalchemy import BigInteger, ColumnElement, FromClause, literal, select, true

from app.core.database import Database, Scope
from app.core.statements import Rows, given, prepared

T = TypeVar("T")

MAX_SIZE = 100
MAX_PAGE = (2**63 - 1) // MAX_SIZE
"""The last page whose offset PostgreSQL takes, at any size."""

_DIGITS = re.compile(r"-?[0-9]{1,30}", re.ASCII)


def _plain_integer(value: Any) -> Any:
    # pydantic also reads "1.0", "1_000" and " 1 " as integers.
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise PydanticCustomError("int_parsing", "must be an integer")
    return value


class PageParams(Params):
    """`?page=…&size=…`. A size above the maximum is refused, never silently capped."""

    model_config = ConfigDict(extra="forbid")

    page: Annotated[int, BeforeValidator(_plain_integer)] = Query(
        1, ge=1, le=MAX_PAGE, description="Which page, from 1. Beyond the last one `items` is empty."
    )
    size: Annotated[int, BeforeValidator(_plain_integer)] = Query(
        50, ge=1, le=MAX_SIZE, description="How many items a page holds, at most 100."
    )

    @property
    def limit_and_offset(self) -> tuple[int, int]:
        """What PostgreSQL calls this page."""
        return self.size, self.size * (self.page - 1)


PageParamsDep = Annotated[PageParams, Query()]


def _with_example(schema: dict[str, Any], page: type[BaseModel]) -> None:
    """Document a page by the example of its items."""
    # The generic page itself has a type variable here.
    (item,) = get_args(page.model_fields["items"].annotation)
    if (
        isinstance(item, type)
        and issubclass(item, BaseModel)
        and isinstance(extra := item.model_config.get("json_schema_extra"), dict)
    ):
        schema["examples"] = [{"items": extra["examples"], "total": 1, "page": 1, "size": 50, "pages": 1}]


if TYPE_CHECKING:
    Page = LibraryPage
else:
    Page = CustomizedPage[
        LibraryPage[T],
        UseName("Page"),
        UseParams(PageParams),
        # `list` serialises a third faster than the library's `Sequence`.
        UseFieldTypeAnnotations(items=list[T]),
        UseModelConfig(json_schema_extra=_with_example),
    ]


def page_statement(
    anchor: FromClause,
    permitted: ColumnElement[bool],
    items: Rows,
    total: Rows,
    shown: Callable[[FromClause], Iterable[ColumnElement[Any]]] = lambda page: page.c,
) -> Rows:
    """One statement for one page: no row if `anchor` is not there or not permitted, else at least one.

    `items` and `total` (one column, `_total`) may refer to `anchor`'s columns. Each row carries `_total`; a page
    without items is one row whose `_present` is null. `shown` makes of the columns of `items` those that are
    answered, for the rows of the page only: `items` itself is run for the rows that are skipped as well.
    """
    limit, offset = given("limit", BigInteger), given("offset", BigInteger)
    page = items.add_columns(literal(1).label("_present")).limit(limit).offset(offset).lateral("page")
    columns = [page.c["_present"], *(column for column in shown(page) if column.name != "_present")]
    # A join and not a column: as a column it would be counted anew for each row of the page.
    counted = total.lateral("counted")
    return select(counted, *columns).select_from(anchor.join(counted, true()).outerjoin(page, true())).where(permitted)


async def fetch_page(
    database: Database, query: Callable[..., Rows], scope: Scope, params: PageParams
) -> dict[str, Any]:
    """The page of a scope that `query` describes by `page_statement`; raise the scope's refusal where there is none."""
    limit, offset = params.limit_and_offset
    statement = prepared(query, scope.permission)
    rows = await database.rows(statement, {**scope.parameters, "limit": limit, "offset": offset})
    if not rows:
        raise await scope.refusal(database)
    total = rows[0]["_total"]
    return {
        "items": [row for row in rows if row["_present"] is not None],
        "total": total,
        "page": params.page,
        "size": params.size,
        "pages": -(-total // params.size),
    }
