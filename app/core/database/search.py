"""Full-text search: the words of rows, and the search queries of callers.

The functions are in the database (revision 0018), because the indexes use them. Words in an index may begin with
the end of their container's id, so that a search within a container reads no words of others
(docs/decisions/0025-own-words.md).
"""

from typing import Any

from sqlalchemy import REAL, ColumnElement, Index, Text, false, func, literal_column, text
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from app.core.database.statements import param

_PENDING_WORDS = {"gin_pending_list_limit": 256}
"""The size in kB of the index's list of recent words, which every search scans as a whole. A larger one would make
writes cheaper and searches slower (docs/decisions/0025-own-words.md)."""

OF_WORDS = "of_words"
"""Of the `info` of search indexes, which have to be rebuilt when the dictionary changes."""

_TERMS = func.search_terms(param("q", Text), type_=TSQUERY)


def words_index(name: str, words: str) -> Index:
    """Return the search index of a table. `words`: the SQL of `words_of`, or of what `matches_in` looks for."""
    return Index(name, text(words), postgresql_using="gin", postgresql_with=_PENDING_WORDS, info={OF_WORDS: True})


def words_of(title: Any, body: Any) -> ColumnElement[Any]:
    """Return the searchable words of a row; those of the title have more weight."""
    return func.search_words(title, body, type_=TSVECTOR)


def matches(words: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that words match the query `q`."""
    return words.bool_op("@@")(_TERMS)


def without_index(words: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the same words as an expression that no index matches: the index would also find rows of others."""
    return words.op("||")(literal_column("''::tsvector", TSVECTOR))


def matches_in(title: Any, body: Any, row_container: Any, container: Any) -> ColumnElement[bool]:
    """Return the condition that the words of a row of `container` match the query `q`.

    `row_container`: the column that `words_index` has; its row is in `container` by another condition.
    """
    entries = func.search_entries(title, body, row_container, type_=TSVECTOR)
    phrases = func.search_phrases(param("q", Text), type_=TSQUERY)
    # NULL, and so true before any row is read, for a query without phrases.
    has_phrases = words_of(title, body).bool_op("@@")(phrases).is_not(false())
    return entries.bool_op("@@")(func.search_entries_for(_TERMS, container, type_=TSQUERY)) & has_phrases


def relevance(words: ColumnElement[Any]) -> ColumnElement[float]:
    """Return the rank of words for the query `q`."""
    return func.ts_rank(words, _TERMS, type_=REAL)
