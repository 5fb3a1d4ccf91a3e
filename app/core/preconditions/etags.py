"""Entity tags in SQL: the tag of a row, and the condition of a conditional write."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    SQLColumnExpression,
    Text,
    all_,
    any_,
    cast,
    false,
    func,
    literal_column,
    not_,
    true,
)

from app.core.database.statements import param
from app.core.preconditions.headers import PreconditionShape

QUOTE: ColumnElement[str] = literal_column("'\"'", Text)
"""The end of a tag."""


def etag_expression(
    prefix: str,
    first: SQLColumnExpression[Any],
    *others: SQLColumnExpression[Any],
    end: SQLColumnExpression[str] = QUOTE,
) -> ColumnElement[str]:
    """Return the SQL expression of a strong tag: the prefix and the values, which must not be null. The values must
    change whenever the representation does. `end`: what follows them, to the closing quote.
    """
    # Of one value by operators, which Citus takes in RETURNING; of several by one call, which is cheaper.
    values = func.concat_ws(literal_column("'.'", Text), first, *others) if others else cast(first, Text)
    return literal_column(f"'\"{prefix}'", Text).concat(values).concat(end)


def precondition_clause(
    shape: PreconditionShape, tag: ColumnElement[str], is_required: SQLColumnExpression[bool]
) -> ColumnElement[bool]:
    """Return the condition that a row's tag fulfils the `Preconditions`; without `If-Match`, that none is required."""
    match, none_match = shape
    condition: ColumnElement[bool] = true()
    if match == "absent":
        condition = not_(is_required)
    elif match == "tags":
        condition = tag == any_(param("if_match", ARRAY(Text)))
    if none_match == "any":
        condition = false()
    elif none_match == "tags":
        condition &= tag != all_(param("if_none_match", ARRAY(Text)))
    return condition
