"""Full-text search: the documents of rows, and the queries that people write.

The functions are the database's (revision 0005), because the indexes are made of them. A document may carry the id of
what contains it, so that a search within that is answered by the one index, however much is found elsewhere.
"""

from typing import Any

import asyncpg
from sqlalchemy import REAL, ColumnElement, Text, func, null
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from app.core.statements import given

INDEXES = ("tasks_search_idx", "projects_search_idx")
"""What has to be built anew when words become other words."""

_KINDS = "asciiword, asciihword, hword_asciipart, word, hword, hword_part"
"""What the parser calls words, as against numbers, addresses and the like, which no dictionary changes."""

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


class UnknownDictionaryError(ValueError):
    """The server has no text search dictionary of this name."""


async def use_dictionary(dsn: str, dictionary: str) -> bool:
    """Let a dictionary decide what words are, and build the indexes anew while others read and write; whether that was
    needed. Until it is done, searches find too little. Can be repeated where it was cut off.
    """
    connection = await asyncpg.connect(dsn)
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
        for index in INDEXES:
            await connection.execute(f"REINDEX INDEX CONCURRENTLY {index}")
        await connection.execute(f"COMMENT ON TEXT SEARCH CONFIGURATION taller IS '{dictionary}'")
    finally:
        await connection.close()
    return True
