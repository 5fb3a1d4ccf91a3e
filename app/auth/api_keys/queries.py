"""Statements that return API keys."""

from collections.abc import Hashable
from uuid import UUID

from sqlalchemy import (
    Uuid,
    func,
    select,
)

from app.auth.models import ApiKey
from app.core.database.statements import Rows, given
from app.core.listing.sorting import Key
from app.core.listing.statement import Shape, listing, page_of

API_KEY = (
    ApiKey.id,
    ApiKey.name,
    ApiKey.prefix,
    ApiKey.scopes,
    ApiKey.project_id,
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.last_used_at,
)


@listing({"id": Key(ApiKey.id)}, "-id")
def api_keys(_: Hashable, shape: Shape) -> Rows:
    """A page of the caller's keys, the newest first."""
    own = ApiKey.user_id == given("caller_id", Uuid)
    return page_of(shape, ApiKey.id, select(*API_KEY).where(own, ApiKey.revoked_at.is_(None)))


def api_key(_: Hashable) -> Rows:
    """One of the caller's keys."""
    own = (ApiKey.user_id == given("caller_id", Uuid)) & ApiKey.revoked_at.is_(None)
    return select(*API_KEY).where(ApiKey.id == given("key_id", Uuid), own)


def live_api_key_count(user_id: UUID) -> Rows:
    """How many keys a person has."""
    return select(func.count().label("count")).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))
