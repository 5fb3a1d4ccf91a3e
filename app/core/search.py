"""Full-text search: the documents of rows, and the queries that people write.

The functions are the database's (revision 0005), because the indexes are made of them. A document may carry the id of
what contains it, so that a search within that is answered by the one index, however much is found elsewhere.
"""

from typing import Any

from sqlalchemy import REAL, ColumnElement, Text, func, null
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from app.core.statements import given

NOWHERE = null()
"""The container of a document that has none."""


def document(title: Any, body: Any, container: Any = NOWHERE) -> ColumnElement[Any]:
    """What is searched of a row; the title weighs more."""
    return func.search_document(title, body, container, type_=TSVECTOR)


def found(searched: ColumnElement[Any], container: Any = NOWHERE) -> ColumnElement[bool]:
    """Holds for documents, within a container if one is named, that `q` finds."""
    return searched.bool_op("@@")(_query(container))


def relevance(searched: ColumnElement[Any]) -> ColumnElement[float]:
    """How well a document answers `q`."""
    return func.ts_rank(searched, _query(NOWHERE), type_=REAL)


def _query(container: Any) -> ColumnElement[Any]:
    return func.search_query(given("q", Text), container, type_=TSQUERY)
