"""`/auth/login`, `/auth/refresh`, `/auth/logout` and `/auth/sessions`."""

from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from pydantic import ValidationError

from app.auth.access import AnySession, AuthenticationDep, CallersDep, CurrentSession, OwnScopeDep
from app.auth.errors import (
    InvalidCredentialsError,
    InvalidRefreshTokenError,
    RefreshTokenReusedError,
    SessionNotFoundError,
    TooManyAttemptsError,
)
from app.auth.sessions import queries, service
from app.auth.sessions.access import AnyRefresh, SessionId, count_refresh
from app.auth.sessions.schemas import Credentials, Refresh, SessionRead, Tokens
from app.auth.tokens import read_refresh_token
from app.core.database.database import DatabaseDep
from app.core.errors import InvalidRequestError
from app.core.guards import LOGIN, PublicGuard
from app.core.http.problems import field_errors
from app.core.http.routing import FORM, JSON, FeatureRouter, SecretRoute
from app.core.json_body import read_json
from app.core.listing.pagination import Page, PageParamsDep, PagesDep
from app.core.network import network_of
from app.core.request_state import state_of

router = FeatureRouter(prefix="/auth", tag="auth", route_class=SecretRoute)

_CREDENTIALS = {"schema": Credentials.model_json_schema()}

_OAUTH_FIELDS = {"grant_type", "scope", "client_id", "client_secret"}

_MAX_FIELDS = 20

MAX_USER_AGENT = 200


async def _credentials(request: Request) -> Credentials:
    # FastAPI cannot declare a JSON and a form body on one operation.
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = state_of(request.scope).body
    data = _form(body) if content_type == FORM else read_json(body)
    try:
        return Credentials.model_validate(data)
    except ValidationError as error:
        raise InvalidRequestError(errors=field_errors(error, Credentials, "body")) from None


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form, without the further ones that the OAuth2 password flow sends."""
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        raise InvalidRequestError(f"The form must be URL-encoded UTF-8 with at most {_MAX_FIELDS} fields.") from None
    values = dict(fields)
    if len(values) < len(fields):
        raise InvalidRequestError("The form repeats a field: send each field once.")
    return {name: value for name, value in values.items() if name not in _OAUTH_FIELDS}


async def _origin(request: Request) -> service.Origin:
    agent = request.headers.get("user-agent")
    return service.Origin(network_of(request.client), agent[:MAX_USER_AGENT].replace("\0", "") if agent else None)


OriginDep = Annotated[service.Origin, Depends(_origin)]


@router.post(
    "/login",
    summary="Sign in",
    # A stricter rate limit: it could be used to guess passwords.
    dependencies=[Depends(PublicGuard(LOGIN))],
    openapi_extra={"requestBody": {"required": True, "content": {JSON: _CREDENTIALS, FORM: _CREDENTIALS}}},
    errors=(InvalidCredentialsError, TooManyAttemptsError),
)
async def login(
    credentials: Annotated[Credentials, Depends(_credentials)],
    authentication: AuthenticationDep,
    database: DatabaseDep,
    origin: OriginDep,
) -> Tokens:
    """Exchange a username and a password for an access token and a refresh token, sent as JSON or as an OAuth2 password
    form.

    A wrong password and an unknown username get the same answer. After too many failures from one network address, that
    account answers 429 to that address for a few minutes; other accounts and addresses are not affected.
    """
    return _tokens(authentication, await service.sign_in(authentication, database, credentials, origin))


@router.post(
    "/refresh",
    summary="Refresh the tokens",
    dependencies=[AnyRefresh],
    errors=(InvalidRefreshTokenError, RefreshTokenReusedError),
)
async def refresh_tokens(
    refresh: Refresh, authentication: AuthenticationDep, database: DatabaseDep, request: Request
) -> Tokens:
    """Exchange a refresh token for the next access and refresh token.

    Each refresh token is valid for one exchange. If it is sent again within ten seconds, the answer is the same pair,
    because the first answer may have been lost. If it is sent again later, the session ends, because the token may have
    been stolen.
    """
    claims = read_refresh_token(authentication.ring, refresh.refresh_token)
    count_refresh(request, None if claims is None else claims.session_id)
    if claims is None:
        raise InvalidRefreshTokenError
    return _tokens(authentication, await service.refresh(authentication, database, claims, refresh.refresh_token))


@router.post("/logout", summary="Sign out", status_code=204, errors=(SessionNotFoundError,))
async def logout(caller: AnySession, database: DatabaseDep, callers: CallersDep) -> None:
    """End this session: its access token and its refresh token are refused from now on."""
    await service.end_session(database, caller, caller.source_id)
    callers.invalidate(caller.source_id)


@router.get("/sessions", summary="List my sessions", response_model=Page[SessionRead])
async def list_sessions(own: OwnScopeDep, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """List your sessions, the newest first."""
    return await pages.read(queries.live_sessions, own, params)


@router.delete("/sessions", summary="End my other sessions", status_code=204)
async def delete_other_sessions(caller: CurrentSession, database: DatabaseDep, callers: CallersDep) -> None:
    """End all your sessions but this one."""
    callers.invalidate(*await service.end_other_sessions(database, caller))


@router.delete(
    "/sessions/{session_id}",
    summary="End one of my sessions",
    status_code=204,
    errors=(SessionNotFoundError,),
)
async def delete_session(
    caller: CurrentSession, session_id: SessionId, database: DatabaseDep, callers: CallersDep
) -> None:
    """End one of your sessions."""
    await service.end_session(database, caller, session_id)
    callers.invalidate(session_id)


def _tokens(authentication: AuthenticationDep, pair: service.TokenPair) -> Tokens:
    return Tokens(
        access_token=pair.access_token,
        token_type="bearer",  # noqa: S106 - the type, not a token
        expires_in=authentication.access_tokens.lifetime,
        refresh_token=pair.refresh_token,
    )
