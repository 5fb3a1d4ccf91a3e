"""Identifiers: UUIDv7, made by the application, so that ids sort by creation and PostgreSQL 14 serves too."""

import sys
from uuid import UUID

from asyncpg.pgproto import pgproto

if sys.version_info >= (3, 14):
    from uuid import uuid7 as _new
else:
    from uuid_utils import uuid7 as _new


def uuid7() -> UUID:
    """Return a new id, of the class that ids from the database have: it costs a fifth of Python's own, as text too."""
    id_: UUID = pgproto.UUID(_new().bytes)
    return id_
