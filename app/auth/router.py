"""Signing in, accounts, sessions and API keys."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, Request, Response
from pydantic import ValidationError

from app.auth import queries, service
from app.auth.access import (
    AccountEditor,
    Administrator,
    Anybody,
    AnyRefresh,
    AnySession,
    ApiKeyId,
    AuthenticationDep,
    CallersDep,
    CurrentSession,
    Everybody,
    OpenRegistration,
    Own,
    OwnAccount,
    OwnKey,
    Person,
    SessionId,
    UserId,
    count_refresh,
)
from app.auth.errors import (
    ApiKeyNotFoundError,
    EmailTakenError,
    InvalidCredentialsError,
    InvalidRefreshTokenError,
    LastAdminError,
    OnlyOwnerError,
    PasswordChangeRequiredError,
    RefreshTokenReusedError,
    SessionNotFoundError,
    TooManyApiKeysError,
    TooManyAttemptsError,
    UsernameTakenError,
    UserNotFoundError,
    WrongPasswordError,
)
from app.auth.ports import Ports
from app.auth.schemas import (
    AccountDeletion,
    ApiKeyCreate,
    ApiKeyIssued,
    ApiKeyRead,
    Credentials,
    Me,
    MeUpdate,
    PersonRead,
    Refresh,
    Registration,
    SessionRead,
    Tokens,
    UserAdministered,
    UserCreate,
    UserRead,
    UserUpdate,
)
from app.auth.scopes import Caller, Scope
from app.auth.tokens import read_refresh_token
from app.core.database.database import DatabaseDep
from app.core.errors import InvalidRequestError
from app.core.guards import Guessable
from app.core.http.openapi import problems
from app.core.http.problems import field_errors
from app.core.http.routing import FORM, JSON, ConfidentialOperation, FeatureRouter
from app.core.http.trie import API_PREFIX
from app.core.json_body import body_of, read_json
from app.core.listing.pagination import Page, PageParamsDep, PagesDep
from app.core.network import network_of

router = FeatureRouter(prefix="/auth", tag="auth", route_class=ConfidentialOperation)
users = FeatureRouter(prefix="/users", tag="users", route_class=ConfidentialOperation)

_CREDENTIALS = {"schema": Credentials.model_json_schema()}
_OAUTH_FIELDS = {"grant_type", "scope", "client_id", "client_secret"}
MAX_USER_AGENT = 200


async def _credentials(request: Request) -> Credentials:
    # FastAPI cannot declare a JSON and a form body on one operation.
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    data = _form(body_of(request)) if content_type == FORM else read_json(body_of(request))
    try:
        return Credentials.model_validate(data)
    except ValidationError as error:
        raise InvalidRequestError(errors=field_errors(error, "body")) from None


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form, without those that the OAuth2 password flow sends besides."""
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise InvalidRequestError("The form cannot be read, or has too many fields.") from None
    values = dict(fields)
    if len(values) < len(fields):
        raise InvalidRequestError("The form gives a field more than once.")
    return {name: value for name, value in values.items() if name not in _OAUTH_FIELDS}


async def _network(request: Request) -> str:
    return network_of(request.client)


async def _origin(request: Request) -> service.Origin:
    agent = request.headers.get("user-agent")
    return service.Origin(network_of(request.client), agent[:MAX_USER_AGENT].replace("\0", "") if agent else None)


async def _ports(request: Request) -> Ports:
    ports: Ports = request.app.state.ports
    return ports


NetworkDep = Annotated[str, Depends(_network)]
OriginDep = Annotated[service.Origin, Depends(_origin)]
PortsDep = Annotated[Ports, Depends(_ports)]


@router.post(
    "/register",
    summary="Register",
    status_code=201,
    dependencies=[OpenRegistration],
    response_model=UserRead,
    responses=problems(UsernameTakenError, EmailTakenError, TooManyAttemptsError),
)
async def register(
    new: Registration,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    network: NetworkDep,
    response: Response,
) -> dict[str, Any]:
    """Create an account of your own, where the service allows that."""
    response.headers["Location"] = f"{API_PREFIX}/auth/me"
    return await service.register(authentication, database, new, network=network)


@router.post(
    "/login",
    summary="Sign in",
    dependencies=[Guessable],
    openapi_extra={"requestBody": {"required": True, "content": {JSON: _CREDENTIALS, FORM: _CREDENTIALS}}},
    responses=problems(InvalidCredentialsError, TooManyAttemptsError),
)
async def login(
    credentials: Annotated[Credentials, Depends(_credentials)],
    authentication: AuthenticationDep,
    database: DatabaseDep,
    origin: OriginDep,
) -> Tokens:
    """Exchange a username and a password for an access token and a refresh token, sent as JSON or as an OAuth2 password
    form.

    A wrong password and an unknown username get the same answer. Too many failures from one network address are
    answered 429 for a few minutes, for that account and address; other accounts and addresses are not affected.
    """
    return _tokens(authentication, await service.sign_in(authentication, database, credentials, origin))


@router.post(
    "/refresh",
    summary="Refresh the tokens",
    dependencies=[AnyRefresh],
    responses=problems(InvalidRefreshTokenError, RefreshTokenReusedError),
)
async def refresh_tokens(
    refresh: Refresh, authentication: AuthenticationDep, database: DatabaseDep, request: Request
) -> Tokens:
    """Exchange a refresh token for the next access and refresh token.

    Each refresh token is good for one exchange. Sent again within ten seconds it gives the same pair again, because the
    first answer may have been lost; sent again later it ends the session, because somebody else may have it.
    """
    claims = read_refresh_token(authentication.ring, refresh.refresh_token)
    count_refresh(request, None if claims is None else claims.session_id)
    if claims is None:
        raise InvalidRefreshTokenError
    return _tokens(authentication, await service.refresh(authentication, database, claims, refresh.refresh_token))


@router.post("/logout", summary="Sign out", status_code=204, responses=problems(SessionNotFoundError))
async def logout(caller: AnySession, database: DatabaseDep, callers: CallersDep) -> None:
    """End this session: its access token and its refresh token are refused from now on."""
    await service.end_session(database, caller, caller.source_id)
    callers.forget(caller.source_id)


@router.get("/me", summary="Who am I?")
async def read_me(own: OwnAccount, database: DatabaseDep) -> Me:
    """Your account, and how you are signed in: by a session or an API key, with which scopes, until when."""
    return _me(await database.one(queries.account, own), own.caller)


@router.patch(
    "/me",
    summary="Change my account",
    responses=problems(PasswordChangeRequiredError, WrongPasswordError, EmailTakenError, TooManyAttemptsError),
)
async def update_me(
    caller: AccountEditor,
    changes: MeUpdate,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    callers: CallersDep,
    network: NetworkDep,
) -> Me:
    """Change your e-mail address or your password. Needs the current password; a new one ends all your other
    sessions.

    In a session that a one-time password began, this chooses another password, after which the session is as any other.
    """
    if caller.must_choose_password and "password" not in changes.values():
        raise PasswordChangeRequiredError
    login = await service.confirm_password(authentication, database, caller, changes.current_password, network=network)
    me = _me(await service.update_own(authentication, database, caller, changes, login=login), caller)
    callers.forget(caller.user_id)
    return me


@router.delete(
    "/me",
    summary="Delete my account",
    status_code=204,
    responses=problems(WrongPasswordError, LastAdminError, OnlyOwnerError, TooManyAttemptsError),
)
async def delete_me(
    caller: CurrentSession,
    deletion: AccountDeletion,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    callers: CallersDep,
    network: NetworkDep,
    ports: PortsDep,
) -> None:
    """Delete your account, its sessions and keys, and the projects in which you are alone. This cannot be undone.

    Refused while you are the only owner of a project that has other members: make one of them an owner, or delete it.
    """
    login = await service.confirm_password(authentication, database, caller, deletion.password, network=network)
    await service.delete_account(database, caller, ports.closing_steps, login=login)
    callers.forget(caller.user_id)


@router.get("/sessions", summary="List my sessions", response_model=Page[SessionRead])
async def list_sessions(own: Own, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """Where you are signed in, the newest first."""
    return await pages.read(queries.live_sessions, own, params)


@router.delete("/sessions", summary="End my other sessions", status_code=204)
async def delete_other_sessions(caller: CurrentSession, database: DatabaseDep, callers: CallersDep) -> None:
    """Sign out everywhere but here."""
    callers.forget(*await service.end_other_sessions(database, caller))


@router.delete(
    "/sessions/{session_id}",
    summary="End one of my sessions",
    status_code=204,
    responses=problems(SessionNotFoundError),
)
async def delete_session(
    caller: CurrentSession, session_id: SessionId, database: DatabaseDep, callers: CallersDep
) -> None:
    """Sign out somewhere."""
    await service.end_session(database, caller, session_id)
    callers.forget(session_id)


@router.get("/api-keys", summary="List my API keys", response_model=Page[ApiKeyRead])
async def list_api_keys(own: Own, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """Your API keys, the newest first, without their secrets."""
    return await pages.read(queries.api_keys, own, params)


@router.post(
    "/api-keys",
    summary="Create an API key",
    status_code=201,
    response_model=ApiKeyIssued,
    responses=problems(TooManyApiKeysError),
)
async def create_api_key(
    caller: CurrentSession,
    new: ApiKeyCreate,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    ports: PortsDep,
    response: Response,
) -> dict[str, Any]:
    """Create a key by which a program acts for you, as far as its scopes reach and never further than you may yourself.

    The secret is shown this once. Send it as `X-API-Key` or as bearer token. Keys cannot create keys.
    """
    limit = authentication.settings.max_api_keys
    key = await service.create_api_key(
        database, caller.user_id, new, limit=limit, project_visible=ports.project_visible, caller=caller
    )
    response.headers["Location"] = f"{API_PREFIX}/auth/api-keys/{key['id']}"
    return key


@router.get(
    "/api-keys/{key_id}",
    summary="Read an API key",
    response_model=ApiKeyRead,
    responses=problems(ApiKeyNotFoundError),
)
async def read_api_key(key: OwnKey, database: DatabaseDep) -> dict[str, Any]:
    """One of your API keys, without its secret."""
    return await database.one(queries.api_key, key)


@router.delete(
    "/api-keys/{key_id}",
    summary="Revoke an API key",
    status_code=204,
    responses=problems(ApiKeyNotFoundError),
)
async def delete_api_key(caller: CurrentSession, key_id: ApiKeyId, database: DatabaseDep, callers: CallersDep) -> None:
    """Revoke one of your keys: it is refused from now on."""
    await service.revoke_api_key(database, caller.user_id, key_id)
    callers.forget(key_id)


@users.get("/", summary="List users", response_model=Page[UserRead])
async def list_users(everybody: Everybody, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """All accounts, the newest first. For administrators."""
    return await pages.read(queries.users, everybody, params)


@users.post(
    "/",
    summary="Create a user",
    status_code=201,
    response_model=UserAdministered,
    responses=problems(UsernameTakenError, EmailTakenError),
)
async def create_user(
    caller: Administrator,
    new: UserCreate,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    response: Response,
) -> dict[str, Any]:
    """Create an account for somebody. Its one-time password is shown this once. For administrators."""
    user = await service.create_user(authentication, database, caller, new)
    response.headers["Location"] = f"{API_PREFIX}/users/{user['id']}"
    return user


@users.get(
    "/by-username/{username}",
    summary="Look a person up",
    response_model=PersonRead,
    responses=problems(UserNotFoundError),
)
async def read_person(person: Person, database: DatabaseDep) -> dict[str, Any]:
    """The person with exactly this username (in any letter case), to share a project with: id and username only."""
    return await database.one(queries.person, person)


@users.get(
    "/{user_id}",
    summary="Read a user",
    response_model=UserRead,
    responses=problems(UserNotFoundError),
)
async def read_user(user: Anybody, database: DatabaseDep) -> dict[str, Any]:
    """One account. For administrators."""
    return await database.one(queries.user, user)


@users.patch(
    "/{user_id}",
    summary="Change a user",
    response_model=UserAdministered,
    responses=problems(UserNotFoundError, EmailTakenError, LastAdminError),
)
async def update_user(
    caller: Administrator,
    user_id: UserId,
    changes: UserUpdate,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    callers: CallersDep,
) -> dict[str, Any]:
    """Deactivate or reactivate somebody, make them an administrator or stop that, or give them a one-time password.

    Deactivating ends all their sessions. The last active administrator stays one. For administrators.
    """
    user = await service.update_user(authentication, database, user_id, changes, caller=caller)
    callers.forget(user_id)
    return user


router.routes += users.routes


def _tokens(authentication: AuthenticationDep, pair: service.TokenPair) -> Tokens:
    return Tokens(
        access_token=pair.access_token,
        token_type="bearer",  # noqa: S106 - the type, not a token
        expires_in=authentication.access_tokens.lifetime,
        refresh_token=pair.refresh_token,
    )


def _me(row: dict[str, Any], caller: Caller) -> Me:
    ends = None if caller.expires_at is None else datetime.fromtimestamp(caller.expires_at, UTC)
    signed_in_by = {
        "method": caller.method,
        "id": caller.source_id,
        "scopes": [scope for scope in Scope if caller.has(scope)],
        "project_id": caller.project_id,
        "must_choose_password": caller.must_choose_password,
        "expires_at": ends,
    }
    return Me.model_validate({**row, "signed_in_by": signed_in_by})
