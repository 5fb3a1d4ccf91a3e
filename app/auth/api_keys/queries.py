"""Statements that return API keys."""

from collections.abc import Hashable
from uuid import UUID

from sqlalchemy import (
    Uuid,
    func,
    select,
)

from app.auth.models import ApiKey, User
from app.core.database.statements import Rows, compiled, param
from app.core.listing.sorting import Key
from app.core.listing.statement import ListSource, ListVariant, list_query, simple_list

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


@list_query({"id": Key(ApiKey.id)}, "-id")
def api_keys(_: Hashable, __: ListVariant) -> ListSource:
    """Select a page of the caller's keys, the newest first."""
    own = ApiKey.user_id == param("caller_id", Uuid)
    return simple_list(select(*API_KEY).where(own, ApiKey.revoked_at.is_(None)))


@compiled
def api_key() -> Rows:
    """Select one of the caller's keys."""
    own = (ApiKey.user_id == param("caller_id", Uuid)) & ApiKey.revoked_at.is_(None)
    return select(*API_KEY).where(ApiKey.id == param("key_id", Uuid), own)


def live_api_key_count(user_id: UUID) -> Rows:
    """Count a person's API keys that are not revoked."""
    return select(func.count().label("count")).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))


def keys_of(user_id: UUID | None) -> Rows:
    """Select the keys of a person, or of everybody, with the username, the newest first."""
    keys = select(*API_KEY, User.username).join(User, User.id == ApiKey.user_id).where(ApiKey.revoked_at.is_(None))
    return (keys if user_id is None else keys.where(ApiKey.user_id == user_id)).order_by(ApiKey.id.desc())
