"""Query parameters of lists: filters and sorting.

A feature declares its parameters in a subclass of `ListParams`: `priority_gte` is a bound on `priority`, and
`due_date_is_null` selects rows with or without a `due_date`. Its statement has a condition of the same name for each
parameter (see `comparisons`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Self

from fastapi import Query
from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from sqlalchemy import ColumnElement

from app.core.database.statements import Column, param
from app.core.listing.pagination import PageParams, contradiction, plain_flag, plain_integer
from app.core.listing.statement import OPERATORS
from app.core.text import Line

MAX_QUERY_LENGTH = 200
"""Characters of `q`."""

MAX_SORT_KEYS = 3
"""Keys of `sort`. Each order is a statement of its own, and the number of orders grows rapidly with this limit."""

RELEVANCE = "relevance"
"""The sort key that is allowed only together with `q`."""

IS_NULL = "_is_null"
"""The suffix of parameters that select rows with or without a value."""

QueryInt = Annotated[int, Field(ge=-(2**31), le=2**31 - 1), BeforeValidator(plain_integer)]
"""A 32-bit integer."""

QueryFlag = Annotated[bool, BeforeValidator(plain_flag)]
"""`true` or `false`."""

SearchText = Annotated[str, Line(MAX_QUERY_LENGTH)]
"""A search query."""


@dataclass(frozen=True, slots=True)
class CommaSeparated:
    """A comma-separated list of allowed names; if `is_signed`, each may be prefixed with `-`."""

    allowed: tuple[str, ...]
    is_signed: bool = False

    def _check(self, text: str) -> str:
        names = text.split(",")
        if self.is_signed and len(names) > MAX_SORT_KEYS:
            raise PydanticCustomError("too_many_names", "must name at most {most} keys", {"most": MAX_SORT_KEYS})
        plain = [name.removeprefix("-") if self.is_signed else name for name in names]
        if not set(plain) <= set(self.allowed):
            allowed = ", ".join(self.allowed) + (" (prefix - for descending)" if self.is_signed else "")
            raise PydanticCustomError(
                "unknown_name", "must be a comma-separated list of: {allowed}", {"allowed": allowed}
            )
        if len(set(plain)) < len(plain):
            raise PydanticCustomError("repeated_name", "must not repeat a name")
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        name = ("-?" if self.is_signed else "") + f"({'|'.join(self.allowed)})"
        more = f"{{0,{MAX_SORT_KEYS - 1}}}" if self.is_signed else "*"
        once = r"(?!.*\b(\w+)\b.*\b\1\b)"
        return {**handler(schema), "pattern": f"^{once}{name}(,{name}){more}$"}


_BOUNDS: Mapping[str, tuple[Mapping[str, str], Any]] = {
    "_date": (
        {
            "gte": "on this day or later",
            "gt": "after this day",
            "lte": "on this day or earlier",
            "lt": "before this day",
        },
        "2026-12-01",
    ),
    "_at": (
        {"gte": "then or later", "gt": "after this moment", "lte": "then or earlier", "lt": "before this moment"},
        "2026-11-22T09:00:00Z",
    ),
    "": ({"gte": "at least this", "gt": "more than this", "lte": "at most this", "lt": "less than this"}, 5),
}
"""The meanings of bounds and an example value, by the suffix of the parameter's name."""


def range_query(name: str, operator: str) -> Any:
    """Return the declaration of a parameter that is a bound on another."""
    ending, (words, example) = next((ending, said) for ending, said in _BOUNDS.items() if name.endswith(ending))
    noun = name.removesuffix(ending).replace("_", " ").capitalize()
    return Query(None, description=f"{noun} {words[operator]}, as in `{example}`.", examples=[example])


def search_query(where: str, example: str) -> Any:
    """Return the declaration of `q`."""
    return Query(
        None,
        examples=[example],
        description=f"Words in {where}, the last one may be a beginning. In quotes: in this order; `or`: either; `-` "
        "in front: without.",
    )


def sort_query(names: tuple[str, ...], default: str) -> Any:
    """Return the declaration of `sort`."""
    needs = f" `{RELEVANCE}` needs `q`." if RELEVANCE in names else ""
    return Query(
        None,
        examples=[default],
        description=f"By what to sort, at most {MAX_SORT_KEYS} of these, the most important first, `-` for descending: "
        f"{', '.join(names)}. What is equal goes by id; what has no value comes last in either direction."
        f"{needs} Unless given: `{default}`.",
    )


def comparisons(name: str, column: Column) -> dict[str, ColumnElement[bool]]:
    """Return the conditions of a parameter and of its bounds; their keys are also the names of the bind parameters."""
    conditions: dict[str, ColumnElement[bool]] = {name: column == param(name, column.type)}
    for operator, compare in OPERATORS.items():
        conditions[f"{name}_{operator}"] = compare(column, param(f"{name}_{operator}", column.type))
    return conditions


class ListParams(PageParams):
    """The parameters of a list that can be filtered and sorted."""

    also_called: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("order", "order_by", "ordering"), "sort"),
        **dict.fromkeys(("search", "query", "filter", "text", "keyword", "term"), "q"),
    }
    sort: str | None = None

    @model_validator(mode="after")
    def _refuse_contradicting_filters(self) -> Self:
        if self.model_fields_set:
            conditions = self.conditions()
            for name in dict.fromkeys(name.rpartition("_")[0] for name in conditions):
                _refuse_empty_range(name, conditions)
            for name in conditions:
                if name.endswith(IS_NULL) and conditions[name]:
                    _refuse_values_beside_null(name.removesuffix(IS_NULL), conditions)
            if RELEVANCE in (self.sort or "") and "q" not in conditions:
                raise contradiction("sort", "can contain relevance only together with q")
        return self

    @property
    def sorted_by(self) -> str | None:
        """The requested order in the syntax of `sort`."""
        return self.sort

    def conditions(self) -> dict[str, Any]:
        """Return the requested filters with their values."""
        return {name: getattr(self, name) for name in sorted(self.model_fields_set - _NOT_FILTERS)}


_NOT_FILTERS = frozenset(ListParams.model_fields)


def _refuse_values_beside_null(name: str, conditions: Mapping[str, Any]) -> None:
    """Raise an error for filters on the values of rows that have none."""
    for other in (name, *(f"{name}_{operator}" for operator in OPERATORS)):
        if other in conditions:
            raise contradiction(other, f"cannot be combined with {name}{IS_NULL}=true")


def _refuse_empty_range(name: str, conditions: Mapping[str, Any]) -> None:
    """Raise an error that names a bound if no value lies between the bounds."""
    bounds = [(f"{name}_{operator}", operator) for operator in OPERATORS if f"{name}_{operator}" in conditions]
    if not bounds:
        return
    lowest = [_nearest(conditions[field], operator) for field, operator in bounds if operator.startswith("g")]
    highest = [_nearest(conditions[field], operator) for field, operator in bounds if operator.startswith("l")]
    if name in conditions:
        lowest.append(conditions[name])
        highest.append(conditions[name])
    if None in (*lowest, *highest) or (lowest and highest and max(lowest) > min(highest)):
        raise contradiction(bounds[0][0], "excludes every value, together with the other bounds")


def _nearest(value: Any, operator: str) -> Any:
    """Return the value next to an excluded bound; None if there is none."""
    if operator in {"gte", "lte"}:
        return value
    step: Any = 1
    if isinstance(value, date):
        step = timedelta(microseconds=1) if isinstance(value, datetime) else timedelta(days=1)
    try:
        return value + step if operator == "gt" else value - step
    except OverflowError:
        return None
