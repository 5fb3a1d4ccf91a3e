"""Full-text search: the words of rows, and the queries that people write.

The functions are the database's (revision 0018), because the indexes are made of them. Words in an index may begin with
the id of what contains them, so that a search within that meets no words of others (docs/decisions/0025-own-words.md).
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import REAL, ColumnElement, Index, MetaData, Text, func, literal_column, text
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from app.core.addresses import address_of
from app.core.database.connecting import connect
from app.core.database.statements import param

_PENDING_WORDS = {"gin_pending_list_limit": 256}
"""In kB: words written lately, through all of which every search reads, whoever wrote them. More would make writes
cheaper and searches dearer (docs/decisions/0025-own-words.md)."""

_OF_WORDS = "of_words"

_KINDS = "asciiword, asciihword, hword_asciipart, word, hword, hword_part"
"""What the parser calls words, as against numbers, addresses and the like, which no dictionary changes."""

_TERMS = func.search_terms(param("q", Text), type_=TSQUERY)


def words_index(name: str, words: str) -> Index:
    """Return the index that serves searches of a table: for words as `words_of` or `words_in` makes them, in SQL."""
    return Index(name, text(words), postgresql_using="gin", postgresql_with=_PENDING_WORDS, info={_OF_WORDS: True})


def words_indexes(metadata: MetaData) -> list[str]:
    """Return the names of all such indexes: they have to be built anew when words become other words."""
    return sorted(
        str(index.name) for table in metadata.tables.values() for index in table.indexes if _OF_WORDS in index.info
    )


def words_of(title: Any, body: Any) -> ColumnElement[Any]:
    """Return what is searched of a row; the title weighs more."""
    return func.search_words(title, body, type_=TSVECTOR)


def words_in(words: ColumnElement[Any], container: Any) -> ColumnElement[Any]:
    """Return the same words, each told from the same word of every other container."""
    return func.search_words_in(words, container, type_=TSVECTOR)


def matches(words: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return a condition that holds for words among which are those that `q` asks for."""
    return words.bool_op("@@")(_TERMS)


def without_index(words: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the same words, in a form in which no index serves them: it would be read for what is not the caller's."""
    return words.op("||")(literal_column("''::tsvector", TSVECTOR))


def matches_in(words: ColumnElement[Any], container: Any) -> ColumnElement[bool]:
    """Return the condition that words of this container (`words_in`) contain those that `q` asks for."""
    return words.bool_op("@@")(func.search_terms_in(_TERMS, container, type_=TSQUERY))


def relevance(words: ColumnElement[Any]) -> ColumnElement[float]:
    """How well words answer `q`."""
    return func.ts_rank(words, _TERMS, type_=REAL)


class UnknownDictionaryError(ValueError):
    """The server has no text search dictionary of this name."""


async def use_dictionary(url: str, dictionary: str, indexes: Iterable[str]) -> bool:
    """Let a dictionary decide what words are, and build these indexes anew while others read and write. Return whether
    that was needed. Until it is done, searches find too little. Can be repeated where it was cut off.
    """
    connection = await connect(address_of(url), timeout=60)
    try:
        if not await connection.fetchval("SELECT count(*) FROM pg_ts_dict WHERE dictname = $1", dictionary):
            raise UnknownDictionaryError(dictionary)
        # Written when all is done: an index that is not finished must not pass for one.
        done = "SELECT obj_description('taller'::regconfig, 'pg_ts_config')"
        if (await connection.fetchval(done) or "simple") == dictionary:
            return False
        await connection.execute(
            f'ALTER TEXT SEARCH CONFIGURATION taller ALTER MAPPING FOR {_KINDS} WITH "{dictionary}"'
        )
        for index in indexes:
            await connection.execute(f"REINDEX INDEX CONCURRENTLY {index}")
        await connection.execute(f"COMMENT ON TEXT SEARCH CONFIGURATION taller IS '{dictionary}'")
    finally:
        await connection.close()
    return True
