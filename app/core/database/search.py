"""Full-text search: the words of rows, and the search queries of callers.

The functions are in the database (revision 0018), because the indexes use them. Words in an index may begin with
the end of their container's id, so that a search within a container reads no words of others
(docs/decisions/0025-own-words.md).
"""

from typing import Any

from sqlalchemy import REAL, ColumnElement, Index, Text, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from app.core.database.statements import param

_PENDING_WORDS = {"gin_pending_list_limit": 256}
"""The size in kB of the index's list of recent words, which every search scans as a whole. A larger one would make
writes cheaper and searches slower (docs/decisions/0025-own-words.md)."""

OF_WORDS = "of_words"
"""Of the `info` of search indexes, which have to be rebuilt when the dictionary changes."""

TERMS = func.search_terms(param("q", Text), type_=TSQUERY)
"""What the query `q` asks for."""


def words_index(name: str, words: str) -> Index:
    """Return the search index of a table. `words`: the SQL of what is looked for in it."""
    return Index(name, text(words), postgresql_using="gin", postgresql_with=_PENDING_WORDS, info={OF_WORDS: True})


def words_of(title: Any, body: Any) -> ColumnElement[Any]:
    """Return the searchable words of a row; those of the title have more weight."""
    return func.search_words(title, body, type_=TSVECTOR)


def matches(words: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that words match the query `q`."""
    return words.bool_op("@@")(TERMS)


def without_index(words: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the same words as an expression that no index matches: the index would also find rows of others."""
    return words.op("||")(literal_column("''::tsvector", TSVECTOR))


def relevance(words: ColumnElement[Any]) -> ColumnElement[float]:
    """Return the rank of words for the query `q`."""
    return func.ts_rank(words, select(TERMS).scalar_subquery(), type_=REAL)
