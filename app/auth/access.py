"""From a request to a caller: every guard of every feature starts here."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from app.auth.callers import Callers
from app.auth.errors import (
    AdminRequiredError,
    ApiKeyExpiredError,
    ApiKeyNotFoundError,
    ApiKeyRevokedError,
    InsufficientScopeError,
    InvalidApiKeyError,
    InvalidTokenError,
    KeyBoundToProjectError,
    PasswordChangeRequiredError,
    RegistrationClosedError,
    SessionRequiredError,
    UserNotFoundError,
)
from app.auth.manager import Authentication
from app.auth.models import looked_up
from app.auth.scopes import Caller, OwnScope, Scope
from app.core.config import Settings
from app.core.errors import (
    AppError,
    FieldError,
    InvalidRequestError,
    NotAuthenticatedError,
    TooManyRequestsError,
)
from app.core.guards import DEFAULT, LOGIN, Guard, PublicGuard
from app.core.http.trie import API_PREFIX
from app.core.ratelimit.limiter import ALLOWANCE, Allowance
from app.core.text import Storable

SIGNING_IN: tuple[type[AppError], ...] = (
    NotAuthenticatedError,
    InvalidTokenError,
    InvalidApiKeyError,
    ApiKeyExpiredError,
    ApiKeyRevokedError,
    TooManyRequestsError,
)
"""How asking who is calling can fail."""


SECURITY_SCHEMES = {
    "bearer": {
        "type": "oauth2",
        "description": "Sign in by username and password; in development that is `admin` and `1234`.",
        "flows": {
            "password": {
                "tokenUrl": f"{API_PREFIX}/auth/login",
                "scopes": {scope.value: scope.description for scope in Scope},
            }
        },
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key (`tlr_…`), from `POST /api/v1/auth/api-keys`.",
    },
}
"""The two ways of signing in, as OpenAPI describes them."""


async def _authentication(request: Request) -> Authentication:
    authentication: Authentication = request.app.state.authentication
    return authentication


async def _callers(request: Request) -> Callers:
    callers: Callers = request.app.state.callers
    return callers


AuthenticationDep = Annotated[Authentication, Depends(_authentication)]
CallersDep = Annotated[Callers, Depends(_callers)]


async def caller_of(request: Request) -> Caller:
    """Who sent this request, counted for them where the rate of requests is limited.

    Raises `NotAuthenticatedError` without a token, a kind of `InvalidTokenError` with a bad one, `InvalidRequestError`
    with several, each counted for the network address; `TooManyRequestsError` where the caller, or the address, has no
    request left.
    """
    # Asked once: a request with an idempotency key asks again inside its unit, and must not wait there for a second
    # connection.
    caller: Caller | None = request.scope.get("taller.caller")
    if caller is not None:
        return caller
    allowance: Allowance | None = request.scope.get(ALLOWANCE)
    callers: Callers = request.app.state.callers
    try:
        token = _token_of(request)
        # Also from an address that has no request left: whoever is signed in has a quota of their own.
        caller = callers.remembered(token) or await callers.identify(token)
    except (NotAuthenticatedError, InvalidRequestError):
        if allowance is not None:
            allowance.take_for_address(DEFAULT)
        raise
    if allowance is not None:
        allowance.take(caller.principal)
    request.scope["taller.caller"] = caller
    return caller


def _token_of(request: Request) -> str:
    """Return what the request brings: `Authorization: Bearer` with an access token or API key, or `X-API-Key`.

    Raises `InvalidRequestError` where it brings more than one credential: none of them is preferred silently.
    """
    authorization = key = b""
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            if authorization:
                raise _more_than_one("Authorization", "is given more than once", "repeated")
            authorization = value
        elif name == b"x-api-key":
            if key:
                raise _more_than_one("X-API-Key", "is given more than once", "repeated")
            key = value
    scheme, _, credentials = authorization.partition(b" ")
    bearer = credentials.strip() if scheme.lower() == b"bearer" else b""
    # Generated clients (hey-api's) send their one token in every way that the document offers.
    if bearer and key and bearer != key:
        raise _more_than_one("X-API-Key", "cannot be combined with a bearer token: send one of them", "ambiguous")
    token = bearer or key
    if not token:
        raise NotAuthenticatedError
    try:
        return token.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidTokenError from None


def _more_than_one(header: str, detail: str, code: str) -> InvalidRequestError:
    return InvalidRequestError(errors=[FieldError(parameter=header, detail=detail, code=code)])


class _RegistrationGuard(PublicGuard):
    """Admits anybody, where people may register themselves."""

    def __init__(self) -> None:
        super().__init__(LOGIN)
        self.errors = (*self.errors, RegistrationClosedError)

    async def identify(self, request: Request) -> None:
        """Raise `RegistrationClosedError` where the service is closed, before the body is read."""
        settings: Settings = request.app.state.settings
        if not settings.registration_is_open:
            raise RegistrationClosedError


OpenRegistration = Depends(_RegistrationGuard())
"""Marks the operation by which people register themselves."""


class _RefreshGuard(PublicGuard):
    """Admits anybody; the request is counted when its token has been read (`count_refresh`)."""

    def __init__(self) -> None:
        super().__init__(LOGIN)
        self.limited_by = None

    async def admit(self, request: Request) -> None:
        """Count a request without a readable token for its network address."""
        count_refresh(request, None)


AnyRefresh = Depends(_RefreshGuard())
"""Marks the operation that takes a refresh token."""


def count_refresh(request: Request, session_id: UUID | None) -> None:
    """Count a refresh: for its session, if the token is one of ours, whatever others at the same address have done; for
    the network address otherwise. Raises `TooManyRequestsError`.
    """
    allowance: Allowance | None = request.scope.get(ALLOWANCE)
    if allowance is None:
        return
    if session_id is None:
        allowance.take_for_address(LOGIN)
    else:
        allowance.take(session_id)


class CallerGuard(Guard):
    """Admits whoever is signed in: with an API key only if it has the scope, and without a scope with no key at all; by
    a one-time password only to what is for choosing another one.
    """

    def __init__(self, scope: Scope | None, *, for_choosing: bool = False) -> None:
        self.scope = scope
        self.for_choosing = for_choosing
        if scope is None:
            self.errors = (*SIGNING_IN, SessionRequiredError)
            self.security = [{"bearer": []}]
            self.needs = "Needs a session: API keys are refused."
        else:
            self.errors = (*SIGNING_IN, InsufficientScopeError)
            self.security = [{"bearer": [scope.value]}, {"apiKey": [scope.value]}]
            self.needs = f"An API key needs the scope `{scope.value}`."
        if not for_choosing:
            self.errors = (*self.errors, PasswordChangeRequiredError)

    async def caller(self, request: Request) -> Caller:
        """The caller, who has the scope."""
        caller = await caller_of(request)
        if caller.scopes is not None:
            if self.scope is None:
                raise SessionRequiredError
            if self.scope not in caller.scopes:
                raise InsufficientScopeError(self.scope)
        if caller.must_choose_password and not self.for_choosing:
            raise PasswordChangeRequiredError
        return caller

    async def identify(self, request: Request) -> Caller:
        """Return the caller, who has the scope."""
        return await self.caller(request)

    async def admit(self, request: Request) -> None:
        """Refuse those who are not signed in well enough."""
        await self.caller(request)


class SignedIn(CallerGuard):
    """Gives handlers the caller."""

    async def __call__(self, request: Request) -> Caller:
        """The caller, who has the scope."""
        return await self.caller(request)


class Admin(SignedIn):
    """Admits administrators in a session."""

    def __init__(self) -> None:
        super().__init__(None)
        self.errors = (*self.errors, AdminRequiredError)

    async def caller(self, request: Request) -> Caller:
        """The caller, who is an administrator."""
        caller = await super().caller(request)
        if not caller.is_superuser:
            raise AdminRequiredError
        return caller


class PeopleLookup(SignedIn):
    """Admits whoever may look people up, which is beyond any one project."""

    def __init__(self) -> None:
        super().__init__(Scope.MEMBERS_READ)
        self.errors = (*self.errors, KeyBoundToProjectError)

    async def caller(self, request: Request) -> Caller:
        """The caller, who is not bound to a project."""
        caller = await super().caller(request)
        if caller.project_id is not None:
            raise KeyBoundToProjectError
        return caller


CurrentCaller = Annotated[Caller, Depends(SignedIn(Scope.ACCOUNT_READ))]
"""Whoever is calling, if they may read their own account."""

CurrentSession = Annotated[Caller, Depends(SignedIn(None))]
"""Whoever is calling in a session; API keys are refused."""

AnySession = Annotated[Caller, Depends(SignedIn(None, for_choosing=True))]
"""Whoever is calling in a session, also in one that a one-time password began."""

Myself = Annotated[Caller, Depends(SignedIn(Scope.ACCOUNT_READ, for_choosing=True))]
"""Whoever is calling, if they may read who they are, also by a one-time password."""

AccountEditor = Annotated[Caller, Depends(SignedIn(Scope.ACCOUNT_WRITE, for_choosing=True))]
"""Whoever is calling, if they may change their own account; by a one-time password they may choose another."""

PeopleReader = Annotated[Caller, Depends(PeopleLookup())]
"""Whoever is calling, if they may look people up."""

Administrator = Annotated[Caller, Depends(Admin())]
"""An administrator in a session; what administers accounts is not for keys."""


async def _key_id(key_id: Annotated[UUID, Path(description="The API key's id.")]) -> UUID:
    return key_id


async def _user_id(user_id: Annotated[UUID, Path(description="The person's id.")]) -> UUID:
    return user_id


async def _session_id(session_id: Annotated[UUID, Path(description="The session's id.")]) -> UUID:
    return session_id


SessionId = Annotated[UUID, Depends(_session_id)]
"""A session that statements look for among the caller's own."""

ApiKeyId = Annotated[UUID, Depends(_key_id)]
"""An API key that statements look for among the caller's own."""

UserId = Annotated[UUID, Depends(_user_id)]
"""Any person's id: only for administrators, who may see and change everybody."""


async def _own(caller: CurrentCaller) -> OwnScope:
    return OwnScope(caller)


async def _own_account(caller: Myself) -> OwnScope:
    return OwnScope(caller)


async def _own_key(caller: CurrentCaller, key_id: ApiKeyId) -> OwnScope:
    return OwnScope(caller, ApiKeyNotFoundError, key_id=key_id)


async def _everybody(caller: Administrator) -> OwnScope:
    return OwnScope(caller)


async def _anybody(caller: Administrator, user_id: UserId) -> OwnScope:
    return OwnScope(caller, UserNotFoundError, user_id=user_id)


async def _person(
    caller: PeopleReader,
    username: Annotated[str, Path(max_length=320, description="A username."), Storable],
) -> OwnScope:
    return OwnScope(caller, UserNotFoundError, username=looked_up(username))


Own = Annotated[OwnScope, Depends(_own)]
"""What is the caller's own: sessions, keys."""

OwnAccount = Annotated[OwnScope, Depends(_own_account)]
"""The caller's own account."""

OwnKey = Annotated[OwnScope, Depends(_own_key)]
"""One of the caller's own keys."""

Everybody = Annotated[OwnScope, Depends(_everybody)]
"""All accounts, for administrators."""

Anybody = Annotated[OwnScope, Depends(_anybody)]
"""Somebody's account, for administrators."""

Person = Annotated[OwnScope, Depends(_person)]
"""What everybody may know of the person with the username of the path."""
