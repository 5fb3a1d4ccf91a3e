"""Pages: the only module that knows fastapi-pagination.

The library gives the contract (parameters, envelope, OpenAPI); the statement is ours, because permission, total and
items come back in one round trip (docs/decisions/0004-one-statement-lists.md). A page is asked for by its number or by
a cursor (docs/decisions/0015-cursors.md); both are the same statement.
"""

import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar, get_args
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from fastapi_pagination import Page as LibraryPage
from fastapi_pagination import Params
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.core.database.database import Database, RowScope, get_database
from app.core.errors import InvalidRequestError
from app.core.listing import cursors
from app.core.listing.cursors import MAX_CURSOR_LENGTH, CursorMismatchError, Position
from app.core.listing.sorting import Keys, Order, order_of, position_parameters, reversed_order
from app.core.listing.statement import MAX_COUNTED, TOTAL, ListQuery, ListVariant, without_placeholder
from app.core.request_state import state_of
from app.core.services import services_of
from app.core.signing import KeyRing

T = TypeVar("T")

MAX_SIZE = 100
MAX_DEPTH = 10_000
"""The last row that a page number reaches: PostgreSQL reads and drops the rows before a page. Cursors go on from there
at no such cost."""

MAX_LINK_LENGTH = 3_000
"""Characters of the `Link` header. Many a proxy takes 4 KB for all headers of an answer, as nginx does unless told
otherwise, and answers 502 to more.
"""

EXAMPLE_CURSOR = "QWxsIHRoYXQgY29tZXMgYWZ0ZXIgdGhpcw"

_DIGITS = re.compile(r"-?[0-9]{1,30}", re.ASCII)
_FLAGS = {"true": True, "false": False}


def plain_integer(value: Any) -> Any:
    """Return a parameter that is written as a plain integer: pydantic also reads "1.0", "1_000" and " 1 "."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise PydanticCustomError("int_parsing", "must be an integer")
    return value


def plain_flag(value: Any) -> Any:
    """Return a parameter that is `true` or `false`, and not one of the many words that pydantic takes for these."""
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
"""What lists refuse with, besides invalid values."""


class PageParams(Params):
    """`?page=…&size=…` or `?cursor=…&size=…`. A size above the maximum is refused, never silently capped."""

    model_config = ConfigDict(extra="forbid")

    also_called: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("limit", "per_page", "page_size", "count", "first", "max_results"), "size"),
        **dict.fromkeys(("offset", "skip", "start"), "page"),
        **dict.fromkeys(("after", "next", "token", "continuation", "starting_after", "next_page_token"), "cursor"),
        **dict.fromkeys(("total", "with_total", "with_count"), "include_total"),
    }
    """What other APIs call the parameters, for suggestions."""

    page: Annotated[int, BeforeValidator(plain_integer)] = Query(
        1,
        examples=[1],
        ge=1,
        # A validator below refuses more, and says how to go on.
        json_schema_extra={"maximum": MAX_DEPTH},
        description="Which page, from 1, which it is without `cursor` as well. Beyond the last one `items` is empty. "
        f"page × size is at most {MAX_DEPTH}.",
    )
    size: Annotated[int, BeforeValidator(plain_integer)] = Query(
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
        """Rows before the page, where it is asked for by number."""
        return 0 if self.cursor is not None else self.size * (self.page - 1)

    @property
    def sorted_by(self) -> str | None:
        """The order that is asked for, as it is written; None for the list's own."""
        return None

    def conditions(self) -> Mapping[str, Any]:
        """Return the filters that are asked for, with their values."""
        return {}


def contradiction(parameter: str, detail: str) -> InvalidRequestError:
    """Parameters that are fine by themselves, but not together."""
    return InvalidRequestError.at(detail, "contradiction", parameter=parameter)


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
        envelope = {"total": 2, "page": 1, "size": 1, "pages": 2, "next_cursor": EXAMPLE_CURSOR}
        schema["examples"] = [{"items": extra["examples"], **envelope}]


class Page(LibraryPage[T], Generic[T]):
    """A page of a list."""

    model_config = ConfigDict(json_schema_extra=_with_example)

    # `list` serialises a third faster than the library's `Sequence`; and what a page by cursor cannot tell is null.
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
        """Return `TaskPage` for a page of `TaskRead`: generated clients call it by this name."""
        return str(params[0].__name__).removesuffix("Read") + "Page"


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page as it was read, with what tells where the others begin."""

    items: list[dict[str, Any]]
    order: Order
    total: int | None
    """How many items the list has; None where that was not asked for, or is too much to count."""

    has_more: bool
    """Whether there is more in the direction in which it was read."""

    position: Position | None
    """Where it begins; None at the start of the list."""

    @property
    def is_backwards(self) -> bool:
        """Whether it was read towards the start, and ends where it was asked for."""
        return self.position is not None and self.position.is_backwards

    @property
    def next_position(self) -> Position | None:
        """Where the next page begins, if there is one."""
        # Paging backwards, there is always a next page: the one that the client came from.
        goes_on = self.items and (self.has_more or self.is_backwards)
        return Position.from_row(self.items[-1], self.order) if goes_on else None

    @property
    def previous_position(self) -> Position | None:
        """Where the page before begins, read backwards, if there is one."""
        goes_back = self.items and (self.has_more if self.is_backwards else self.position is not None)
        return Position.from_row(self.items[0], self.order, is_backwards=True) if goes_back else None


async def fetch_page(
    database: Database, query: ListQuery, scope: RowScope, params: PageParams, position: Position | None = None
) -> FetchedPage:
    """Read a page of a scope's list, from a position or the page that `params` number. Raises the scope's refusal."""
    return await _fetch(database, query, scope, params, params.conditions(), _order(query, params), position)


async def _fetch(
    database: Database,
    query: ListQuery,
    scope: RowScope,
    params: PageParams,
    conditions: Mapping[str, Any],
    order: Order,
    position: Position | None,
) -> FetchedPage:
    values = {**scope.parameters, **conditions, "limit": params.size + 1, "offset": params.offset}
    after, read_in = None, order
    if position is not None:
        after = tuple(value is None for value in position.values)
        values.update(position_parameters(position.values))
        read_in = reversed_order(order) if position.is_backwards else order
    variant = ListVariant(read_in, tuple(conditions), after, params.cursor is None or bool(params.include_total))
    statement = query.statement(scope.permission, variant)
    rows = await database.fetch_all(statement, values, custom_plan=bool(conditions))
    if not rows:
        raise await scope.refusal(database)
    total = rows[0].get(TOTAL)
    items = without_placeholder(rows, order)
    has_more = len(items) > params.size
    del items[params.size :]
    if position is not None and position.is_backwards:
        items.reverse()
    return FetchedPage(items, order, total, has_more, position)


def _order(query: ListQuery, params: PageParams) -> Order:
    return query.order if params.sorted_by is None else order_of(params.sorted_by, query.tiebreaker)


class Pages:
    """Answers one request with a page of a list, and says in the `Link` header where the others are."""

    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._response = response

    async def read(self, query: ListQuery, scope: RowScope, params: PageParams) -> dict[str, Any]:
        """Return the page of a scope's list that the request asks for.

        Raises the scope's refusal where there is none, `CursorMismatchError` for a cursor that does not belong here.
        """
        request, conditions, order = self._request, params.conditions(), _order(query, params)
        context = _CursorContext(request, scope, order, conditions)
        position = context.decode(params.cursor, query.keys) if params.cursor else None
        share = state_of(request.scope).share
        is_chosen = conditions or params.sorted_by is not None
        async with share.searches if is_chosen and share is not None else nullcontext():
            page = await _fetch(get_database(request), query, scope, params, conditions, order, position)
        by_number, total = params.cursor is None, page.total
        next_cursor = context.encode(page.next_position)
        links = _Links(request)
        if by_number:
            links.add("first", "page", 1)
            if params.page > 1:
                links.add("prev", "page", params.page - 1)
            if page.has_more and (params.page + 1) * params.size <= MAX_DEPTH:
                links.add("next", "page", params.page + 1)
        else:
            links.add("first", "cursor", "")
            if previous := context.encode(page.previous_position):
                links.add("prev", "cursor", previous)
        if next_cursor and not links.has("next"):
            links.add("next", "cursor", next_cursor)
        if header := links.header:
            self._response.headers["Link"] = header
        return {
            "items": page.items,
            "total": total,
            "page": params.page if by_number else None,
            "size": params.size,
            "pages": -(-total // params.size) if by_number and total is not None else None,
            "next_cursor": next_cursor,
        }


class _CursorContext:
    """What a list is asked, to which its cursors are bound."""

    def __init__(self, request: Request, scope: RowScope, order: Order, conditions: Mapping[str, Any]) -> None:
        self._ring = services_of(request)[KeyRing]
        self._order = order
        self._parts = (request.scope["route"].name, *scope.parameters.items(), *order, *sorted(conditions.items()))

    def decode(self, cursor: str, keys: Keys) -> Position:
        return cursors.decode(self._ring, cursors.context_bytes(self._parts), cursor, self._order, keys)

    def encode(self, position: Position | None) -> str | None:
        return None if position is None else cursors.encode(self._ring, cursors.context_bytes(self._parts), position)


class _Links:
    """A `Link` header (RFC 8288). Its targets are as absolute as the address that was asked for.

    What would make it longer than `MAX_LINK_LENGTH` is left out; the answer's `next_cursor` is there in any case.
    """

    def __init__(self, request: Request) -> None:
        self._path = request.scope["raw_path"].decode("latin-1")
        kept = [pair for pair in request.query_params.multi_items() if pair[0] not in {"page", "cursor"}]
        self._query = "&" + urlencode(kept) if kept else ""
        self._links: dict[str, str] = {}

    def add(self, relation: str, parameter: str, value: object) -> None:
        self._links[relation] = f'<{self._path}?{parameter}={value}{self._query}>; rel="{relation}"'

    def has(self, relation: str) -> bool:
        return relation in self._links

    @property
    def header(self) -> str:
        """The links for which there is room, that to the next page before others."""
        kept: set[str] = set()
        for relation in ("next", "prev", "first"):
            if len(self._joined(kept | {relation})) <= MAX_LINK_LENGTH:
                kept.add(relation)
        return self._joined(kept)

    def _joined(self, relations: set[str]) -> str:
        return ", ".join(link for relation, link in self._links.items() if relation in relations)


async def _pages(request: Request, response: Response) -> Pages:
    return Pages(request, response)


PagesDep = Annotated[Pages, Depends(_pages)]
"""For handlers that answer with a page of a list."""
