"""Pagination: query parameters, the page's envelope and its links. The only module that imports fastapi-pagination.

The library provides the contract (parameters, envelope, OpenAPI). The statement is ours, because permission, total and
items are read in one round trip (docs/decisions/0004-one-statement-lists.md). A request names a page by its number or
by a cursor (docs/decisions/0015-cursors.md); both use the same statement.
"""

import re
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from fastapi_pagination import Page as LibraryPage
from fastapi_pagination import Params
from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.datastructures import QueryParams

from app.core.database.database import Database, RowScope, get_database
from app.core.database.rows import Records
from app.core.errors import InvalidRequestError
from app.core.listing.cursors import MAX_CURSOR_LENGTH, CursorMismatchError, Cursors, Position
from app.core.listing.sorting import Order, order_of, position_parameters, reversed_order
from app.core.listing.statement import MAX_COUNTED, TOTAL, ListQuery, ListVariant, without_placeholder
from app.core.request_state import state_of
from app.core.services import services_of
from app.core.signing import KeyRing

T = TypeVar("T")

MAX_SIZE = 100
MAX_DEPTH = 10_000
"""The last row that a page number can reach: PostgreSQL reads and discards the rows before a page. Cursors have neither
this limit nor this cost."""

MAX_LINK_LENGTH = 3_000
"""Characters of the `Link` header: many proxies, nginx by default, answer 502 to more than 4 KB of headers."""

EXAMPLE_CURSOR = "QWxsIHRoYXQgY29tZXMgYWZ0ZXIgdGhpcw"

_DIGITS = re.compile(r"-?[0-9]{1,30}", re.ASCII)
_FLAGS = {"true": True, "false": False}


def plain_integer(value: Any) -> Any:
    """Return a parameter in plain decimal form. pydantic would also accept "1.0", "1_000" and " 1 "."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise PydanticCustomError("int_parsing", "must be an integer")
    return value


def plain_flag(value: Any) -> Any:
    """Return the boolean of `true` or `false`. pydantic would also accept many other words."""
    if isinstance(value, str):
        if value not in _FLAGS:
            raise PydanticCustomError("bool_parsing", "must be true or false")
        return _FLAGS[value]
    return value


class PageTooDeepError(InvalidRequestError):
    """Page numbers reach only the first 10 000 items of a list. Use cursors to go further: start with `?cursor=`, then
    follow each `next_cursor`.
    """

    code = "page_too_deep"
    title = "Page too deep"

    def __init__(self) -> None:
        detail = (
            f"is too deep: page × size must be at most {MAX_DEPTH}; start with `?cursor=`, then follow `next_cursor`"
        )
        super().__init__(errors=[{"parameter": "page", "detail": detail, "code": self.code}])


PAGE_ERRORS = (PageTooDeepError, CursorMismatchError)
"""The errors of lists besides those of invalid values."""


class PageParams(Params):
    """`?page=…&size=…` or `?cursor=…&size=…`. A size above the maximum is refused, never silently capped."""

    # Accepted parameters are remembered (`app.core.http.fast_path`), so nothing may change them.
    model_config = ConfigDict(extra="forbid", frozen=True)

    also_called: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("limit", "per_page", "page_size", "count", "first", "max_results"), "size"),
        **dict.fromkeys(("offset", "skip", "start"), "page"),
        **dict.fromkeys(("after", "next", "token", "continuation", "starting_after", "next_page_token"), "cursor"),
        **dict.fromkeys(("total", "with_total", "with_count"), "include_total"),
    }
    """Names of other APIs for the parameters, for suggestions."""

    page: Annotated[int, BeforeValidator(plain_integer)] = Query(  # ty: ignore[incompatible-mutable-override]
        1,
        examples=[1],
        ge=1,
        # A validator below enforces this, and its error names the way on.
        json_schema_extra={"maximum": MAX_DEPTH},
        description="Which page, from 1, which it is without `cursor` as well. Beyond the last one `items` is empty. "
        f"page × size is at most {MAX_DEPTH}.",
    )
    size: Annotated[int, BeforeValidator(plain_integer)] = Query(  # ty: ignore[incompatible-mutable-override]
        50, ge=1, le=MAX_SIZE, description=f"How many items a page holds, at most {MAX_SIZE}."
    )
    cursor: Annotated[str, Field(max_length=MAX_CURSOR_LENGTH)] | None = Query(
        None,
        examples=["", EXAMPLE_CURSOR],
        description="Instead of `page`: empty for the start of the list, then the `next_cursor` of each answer. Costs "
        "the same at any depth, and neither repeats nor skips what does not change meanwhile.",
    )
    include_total: Annotated[bool, BeforeValidator(plain_flag)] | None = Query(
        None, description="With `cursor`: whether the answer is to tell the `total`. Pages by number always do."
    )

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.cursor is None:
            if self.page * self.size > MAX_DEPTH:
                raise PageTooDeepError
            if self.include_total is False:
                raise contradiction("include_total", "can be false only together with cursor")
        elif "page" in self.model_fields_set:
            raise contradiction("page", "cannot be combined with cursor")
        return self

    @property
    def offset(self) -> int:
        """The number of rows before the page; 0 with a cursor."""
        return 0 if self.cursor is not None else self.size * (self.page - 1)

    @property
    def sorted_by(self) -> str | None:
        """The requested order in the syntax of `sort`; None for the list's default."""
        return None

    def conditions(self) -> Mapping[str, Any]:
        """Return the requested filters with their values."""
        return {}


def contradiction(parameter: str, detail: str) -> InvalidRequestError:
    """Return the error for a parameter that contradicts another one."""
    return InvalidRequestError.at(detail, "contradiction", parameter=parameter)


PageParamsDep = Annotated[PageParams, Query()]


class Page(LibraryPage[T], Generic[T]):
    """A page of a list."""

    # `list` serialises a third faster than the library's `Sequence`. Members that a cursor's page cannot have are null.
    items: list[T]  # ty: ignore[incompatible-mutable-override]
    total: int | None = Field(  # type: ignore[assignment] # ty: ignore[incompatible-attribute-override]
        description="How many there are in all; null on a page by cursor that did not ask for it, and where more than "
        f"{MAX_COUNTED} match a filter."
    )
    page: int | None = Field(  # type: ignore[assignment] # ty: ignore[incompatible-attribute-override]
        description="Which page this is; null on a page by cursor."
    )
    pages: int | None = Field(  # type: ignore[assignment] # ty: ignore[incompatible-attribute-override]
        description="How many pages there are; null where one of these is."
    )
    next_cursor: str | None = Field(description="The cursor of the next page; null at the end.")

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Return `TaskPage` for a page of `TaskRead`; generated clients use this name."""
        return str(params[0].__name__).removesuffix("Read") + "Page"


async def _fetch(
    database: Database,
    query: ListQuery,
    scope: RowScope,
    params: PageParams,
    conditions: Mapping[str, Any],
    order: Order,
    position: Position | None,
) -> tuple[Records, int | None, bool]:
    """Return the items of a page; how many there are in all, if that was asked for and does not exceed the limit of
    counting; and whether there are further items in the direction of reading. Raises the scope's refusal.
    """
    values = {**scope.parameters, **conditions, "limit": params.size + 1, "offset": params.offset}
    after, read_in = None, order
    if position is not None:
        after = tuple(value is None for value in position.values)
        values.update(position_parameters(position.values))
        read_in = reversed_order(order) if position.is_backwards else order
    variant = ListVariant(read_in, tuple(conditions), after, params.cursor is None or bool(params.include_total))
    statement = query.statement(scope.permission, variant)
    by_value = query.is_planned_by_value(conditions, order)
    rows = await (database.by_value if by_value else database).fetch_all(statement, values)
    if not rows:
        raise await scope.refusal(database)
    total = rows[0].get(TOTAL)
    items = without_placeholder(rows, order)
    has_more = len(items) > params.size
    items = items[: params.size]
    return items if read_in is order else items[::-1], total, has_more


class Pages:
    """Reads the page that a request asks for, and sets the `Link` header."""

    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._response = response

    async def read(self, query: ListQuery, scope: RowScope, params: PageParams) -> dict[str, Any]:
        """Return the requested page of a scope's list.

        Raises the scope's refusal if the caller may not see the list, and `CursorMismatchError` for a cursor that was
        issued for another request.
        """
        request, conditions, by = self._request, params.conditions(), params.sorted_by
        order = query.order if by is None else order_of(by, query.tiebreaker)
        ring, operation = services_of(request)[KeyRing], request.scope["route"].name
        cursors = Cursors(ring, query.keys, operation, scope.parameters, order, conditions)
        position = cursors.decode(params.cursor) if params.cursor else None
        share = state_of(request.scope).share
        is_chosen = conditions or by is not None
        fetch = partial(_fetch, get_database(request), query, scope, params, conditions, order, position)
        items, total, has_more = await (fetch() if share is None or not is_chosen else share.searches.run(fetch))
        is_backwards = position is not None and position.is_backwards
        # Paging backwards, there is always a next page: the one that the client came from.
        goes_on = items and (has_more or is_backwards)
        goes_back = items and (has_more if is_backwards else position is not None)
        following = cursors.encode(items[-1]) if goes_on else None
        preceding = cursors.encode(items[0], is_backwards=True) if goes_back else None
        if header := _link_header(request, params, following, preceding, has_more=has_more):
            self._response.raw_headers.append((b"link", header.encode("latin-1")))
        by_number = params.cursor is None
        return {
            "items": items,
            "total": total,
            "page": params.page if by_number else None,
            "size": params.size,
            "pages": -(-total // params.size) if by_number and total is not None else None,
            "next_cursor": following,
        }


def _link_header(
    request: Request, params: PageParams, following: str | None, preceding: str | None, *, has_more: bool
) -> str:
    """Return the `Link` header (RFC 8288) of a page, whose targets have the path of the request.

    Links that would exceed `MAX_LINK_LENGTH` are omitted, the next page's last; the body's `next_cursor` is there in
    any case.
    """
    path, query = request.scope["raw_path"].decode("latin-1"), _kept_query(request.scope["query_string"])
    targets: dict[str, tuple[str, object]] = {"first": ("page", 1) if params.cursor is None else ("cursor", "")}
    if preceding:
        targets["prev"] = "cursor", preceding
    elif params.page > 1:
        targets["prev"] = "page", params.page - 1
    if params.cursor is None and has_more and (params.page + 1) * params.size <= MAX_DEPTH:
        targets["next"] = "page", params.page + 1
    elif following:
        targets["next"] = "cursor", following
    links = {name: f'<{path}?{key}={value}{query}>; rel="{name}"' for name, (key, value) in targets.items()}
    for least_needed in ("first", "prev", "next"):
        if len(header := ", ".join(links.values())) <= MAX_LINK_LENGTH:
            break
        links.pop(least_needed, None)
        header = ""
    return header


# Parsing a query string takes longer than all else that a link needs.
@lru_cache(100)
def _kept_query(query: bytes) -> str:
    """Return the parameters of a query string that links have as well."""
    pairs = [pair for pair in QueryParams(query).multi_items() if pair[0] not in {"page", "cursor"}]
    return "&" + urlencode(pairs) if pairs else ""


async def _pages(request: Request, response: Response) -> Pages:
    return Pages(request, response)


PagesDep = Annotated[Pages, Depends(_pages)]
"""The dependency of handlers that return a page of a list."""
