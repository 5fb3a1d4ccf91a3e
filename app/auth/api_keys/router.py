"""`/auth/api-keys`."""

from typing import Any

from app.auth.access import AuthenticationDep, CallersDep, CurrentSession, OwnScopeDep, PortsDep
from app.auth.api_keys import queries, service
from app.auth.api_keys.access import ApiKeyId, OwnKey
from app.auth.api_keys.schemas import ApiKeyCreate, ApiKeyIssued, ApiKeyRead
from app.auth.errors import (
    ApiKeyNotFoundError,
    TooManyApiKeysError,
)
from app.core.database.database import DatabaseDep
from app.core.database.rows import Row
from app.core.http.routing import FeatureRouter, SecretRoute
from app.core.listing.pagination import Page, PageParamsDep, PagesDep

router = FeatureRouter(prefix="/auth", tag="auth", route_class=SecretRoute)


@router.get("/api-keys", summary="List my API keys", response_model=Page[ApiKeyRead])
async def list_api_keys(own: OwnScopeDep, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """List your API keys, the newest first, without their secrets."""
    return await pages.read(queries.api_keys, own, params)


@router.post(
    "/api-keys",
    summary="Create an API key",
    status_code=201,
    response_model=ApiKeyIssued,
    location="/auth/api-keys",
    errors=(TooManyApiKeysError,),
)
async def create_api_key(
    caller: CurrentSession,
    new: ApiKeyCreate,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    ports: PortsDep,
) -> dict[str, Any]:
    """Create a key with which a program acts for you: within its scopes, and never beyond your own rights.

    The secret is shown only once. Send it as `X-API-Key` or as bearer token. An API key cannot create keys.
    """
    limit = authentication.settings.max_api_keys
    return await service.create_api_key(
        database, caller.user_id, new, limit=limit, project_visible=ports.project_visible, caller=caller
    )


@router.get(
    "/api-keys/{key_id}",
    summary="Read an API key",
    response_model=ApiKeyRead,
    errors=(ApiKeyNotFoundError,),
)
async def read_api_key(key: OwnKey, database: DatabaseDep) -> Row:
    """Return one of your API keys, without its secret."""
    return await database.fetch_one(queries.api_key(), key)


@router.delete(
    "/api-keys/{key_id}",
    summary="Revoke an API key",
    status_code=204,
    errors=(ApiKeyNotFoundError,),
)
async def delete_api_key(caller: CurrentSession, key_id: ApiKeyId, database: DatabaseDep, callers: CallersDep) -> None:
    """Revoke one of your API keys: it is refused from now on."""
    await service.revoke_api_key(database, caller.user_id, key_id)
    callers.invalidate(key_id)
