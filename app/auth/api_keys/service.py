"""Operations that change API keys."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, update
from sqlalchemy.dialects.postgresql import insert

from app.auth.api_keys import queries
from app.auth.api_keys.schemas import ApiKeyCreate
from app.auth.errors import (
    ApiKeyNotFoundError,
    InvalidTokenError,
    TooManyApiKeysError,
)
from app.auth.models import ApiKey
from app.auth.ports import ProjectVisible
from app.auth.queries import people_locked
from app.auth.scopes import UNBOUND, Caller
from app.auth.service import lock_caller
from app.auth.tokens import hashed, new_api_key
from app.core.database.database import Database, repeated_if_undone
from app.core.database.rows import Row
from app.core.errors import FieldError, InvalidRequestError
from app.core.ids import uuid7

PREFIX_LENGTH = 8


@repeated_if_undone
async def create_api_key(
    database: Database,
    user_id: UUID,
    new: ApiKeyCreate,
    *,
    limit: int,
    project_visible: ProjectVisible,
    caller: Caller | None,
) -> dict[str, Any]:
    """Create a key as its owner or, without a caller, as the operator. Only the returned row holds the secret."""
    beyond = [index for index, scope in enumerate(new.scopes) if new.project_id is not None and scope in UNBOUND]
    if beyond:
        detail = "cannot be combined with project_id, because it is not limited to one project"
        raise InvalidRequestError(
            errors=[FieldError(pointer=f"/scopes/{index}", detail=detail, code="unbound") for index in beyond]
        )
    async with database.transaction() as transaction:
        if new.project_id is not None and not await project_visible(transaction, user_id, new.project_id):
            # The same error for a project that does not exist and for one that this person may not see.
            raise InvalidRequestError.at(
                "does not exist or is not visible to you", "unknown_project", pointer="/project_id"
            )
        # The lock makes creations by one person wait for each other, so that the limit holds.
        if not await transaction.fetch_all(people_locked([user_id], with_admins=False)):
            # The caller's account was deleted a moment ago.
            raise InvalidTokenError
        if caller is not None:
            await lock_caller(transaction, caller)
        (live,) = await transaction.fetch_all(queries.live_api_key_count(user_id))
        if live["count"] >= limit:
            raise TooManyApiKeysError(f"You have reached your limit of {limit} API keys: revoke one first.")
        secret = new_api_key()
        values = {
            "id": uuid7(),
            "user_id": user_id,
            "name": new.name,
            "prefix": secret[:PREFIX_LENGTH],
            "secret_hash": hashed(secret),
            "scopes": sorted(set(new.scopes)),
            "project_id": new.project_id,
            "expires_at": new.expires_at,
        }
        (key,) = await transaction.fetch_all(insert(ApiKey).values(values).returning(*queries.API_KEY))
    return {**key, "secret": secret}


async def revoke_any_api_key(database: Database, key: UUID | str) -> Row:
    """Revoke anybody's key by its id or its secret, as the operator does with a leaked key."""
    which = ApiKey.id == key if isinstance(key, UUID) else ApiKey.secret_hash == hashed(key)
    return await _revoke(database, which, "The API key does not exist or is already revoked.")


async def revoke_api_key(database: Database, user_id: UUID, key_id: UUID) -> None:
    """Revoke one of this person's keys. Raises `ApiKeyNotFoundError`."""
    await _revoke(database, (ApiKey.id == key_id) & (ApiKey.user_id == user_id))


async def _revoke(database: Database, which: ColumnElement[bool], detail: str | None = None) -> Row:
    statement = update(ApiKey).where(which, ApiKey.revoked_at.is_(None)).values(revoked_at=func.now())
    row = await database.fetch_one_or_none(statement.returning(ApiKey.id, ApiKey.name))
    if row is None:
        raise ApiKeyNotFoundError(detail)
    return row
