"""Guards of API keys."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path

from app.auth.access import CurrentCaller
from app.auth.errors import (
    ApiKeyNotFoundError,
)
from app.auth.scopes import OwnScope


async def _key_id(key_id: Annotated[UUID, Path(description="The API key's id.")]) -> UUID:
    return key_id


ApiKeyId = Annotated[UUID, Depends(_key_id)]
"""The id of an API key; statements look only among the caller's own keys."""


async def _own_key(caller: CurrentCaller, key_id: ApiKeyId) -> OwnScope:
    return OwnScope(caller, ApiKeyNotFoundError, key_id=key_id)


OwnKey = Annotated[OwnScope, Depends(_own_key)]
"""One of the caller's own keys."""
