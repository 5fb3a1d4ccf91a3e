"""Identifiers: UUIDv7, made by the application, so that ids sort by creation and PostgreSQL 14 serves too."""

import sys

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils.compat import uuid7

__all__ = ["uuid7"]
