"""Identifiers: UUIDv7, created by the application, so that ids sort by creation also with PostgreSQL 14."""

import sys
from uuid import UUID

from asyncpg.pgproto import pgproto

if sys.version_info >= (3, 14):
    from uuid import uuid7 as _new
else:
    from uuid_utils import uuid7 as _new


def uuid7_text() -> str:
    """Return a new id as text, for what is no column."""
    return str(_new())


def uuid7() -> UUID:
    """Return a new id, of asyncpg's UUID class: creating it and writing it as text costs a fifth of Python's class."""
    id_: UUID = pgproto.UUID(_new().bytes)
    return id_
