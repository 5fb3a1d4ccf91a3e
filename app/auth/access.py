"""From a request to a caller: every guard of every feature starts here."""

from typing import Annotated, Any

from fastapi import Depends, Request

from app.auth.callers import CallerCache
from app.auth.errors import (
    AdminRequiredError,
    ApiKeyExpiredError,
    ApiKeyRevokedError,
    InsufficientScopeError,
    InvalidApiKeyError,
    InvalidTokenError,
    PasswordChangeRequiredError,
    SessionRequiredError,
)
from app.auth.manager import Authentication
from app.auth.ports import Ports
from app.auth.scopes import ACCOUNT_READ, KEY_SCOPES, Caller, KeyScope, OwnScope
from app.core.errors import (
    AppError,
    InvalidRequestError,
    NotAuthenticatedError,
    TooManyRequestsError,
)
from app.core.guards import DEFAULT, Guard
from app.core.http.routing import API_PREFIX
from app.core.network import network_of
from app.core.request_state import state_of
from app.core.services import services_of

SIGNING_IN: tuple[type[AppError], ...] = (
    NotAuthenticatedError,
    InvalidTokenError,
    InvalidApiKeyError,
    ApiKeyExpiredError,
    ApiKeyRevokedError,
    TooManyRequestsError,
)
"""How asking who is calling can fail."""


def security_schemes() -> dict[str, Any]:
    """Return the two ways of signing in, as OpenAPI describes them, with the scopes of all features."""
    return {
        "bearer": {
            "type": "oauth2",
            "description": "Sign in by username and password; in development that is `admin` and `1234`.",
            "flows": {
                "password": {
                    "tokenUrl": f"{API_PREFIX}/auth/login",
                    "scopes": {str(scope): scope.description for scope in KEY_SCOPES},
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


async def _authentication(request: Request) -> Authentication:
    return services_of(request)[Authentication]


async def _callers(request: Request) -> CallerCache:
    return services_of(request)[CallerCache]


async def _network(request: Request) -> str:
    return network_of(request.client)


async def _ports(request: Request) -> Ports:
    return services_of(request)[Ports]


AuthenticationDep = Annotated[Authentication, Depends(_authentication)]

CallersDep = Annotated[CallerCache, Depends(_callers)]
NetworkDep = Annotated[str, Depends(_network)]
PortsDep = Annotated[Ports, Depends(_ports)]


async def caller_of(request: Request) -> Caller:
    """Who sent this request, counted for them where the rate of requests is limited.

    Raises `NotAuthenticatedError` without a token, a kind of `InvalidTokenError` with a bad one, `InvalidRequestError`
    with several, each counted for the network address; `TooManyRequestsError` where the caller, or the address, has no
    request left.
    """
    # Asked once: a request with an idempotency key asks again inside its transaction, and must not wait there for a
    # second connection.
    state = state_of(request.scope)
    if isinstance(state.caller, Caller):
        return state.caller
    quota = state.quota
    callers = services_of(request)[CallerCache]
    try:
        token = _token_of(request)
        # Also from an address that has no request left: whoever is signed in has a quota of their own.
        caller = callers.get(token) or await callers.authenticate(token)
    except (NotAuthenticatedError, InvalidRequestError) as error:
        if quota is not None:
            quota.consume_for_address(DEFAULT)
        if type(error) is InvalidTokenError and b"authorization" not in dict(request.scope["headers"]):
            # It came as `X-API-Key`, so it was meant for a key though it does not look like one.
            raise InvalidApiKeyError from None
        raise
    if quota is not None:
        quota.consume(caller.principal)
    state.caller = caller
    return caller


def _token_of(request: Request) -> str:
    """Return what the request brings: `Authorization: Bearer` with an access token or API key, or `X-API-Key`.

    Raises `InvalidRequestError` where it brings more than one credential: none of them is preferred silently.
    """
    authorization = key = b""
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            if authorization:
                raise InvalidRequestError.at("is given more than once", "repeated", parameter="Authorization")
            authorization = value
        elif name == b"x-api-key":
            if key:
                raise InvalidRequestError.at("is given more than once", "repeated", parameter="X-API-Key")
            key = value
    scheme, _, credentials = authorization.partition(b" ")
    bearer = credentials.strip() if scheme.lower() == b"bearer" else b""
    # Generated clients (hey-api's) send their one token in every way that the document offers.
    if bearer and key and bearer != key:
        raise InvalidRequestError.at(
            "cannot be combined with a bearer token: send one of them", "ambiguous", parameter="X-API-Key"
        )
    token = bearer or key
    if not token:
        raise NotAuthenticatedError
    try:
        return token.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidTokenError from None


class CallerGuard(Guard):
    """Admits whoever is signed in: with an API key only if it has the scope, and without a scope with no key at all; by
    a one-time password only to what is for choosing another one.
    """

    def __init__(self, scope: KeyScope | None, *, for_choosing: bool = False) -> None:
        self.scope = scope
        self.for_choosing = for_choosing
        if scope is None:
            self.errors = (*SIGNING_IN, SessionRequiredError)
            self.security = [{"bearer": []}]
            self.needs = "Needs a session: API keys are refused."
        else:
            self.errors = (*SIGNING_IN, InsufficientScopeError)
            self.security = [{"bearer": [scope]}, {"apiKey": [scope]}]
            self.needs = f"An API key needs the scope `{scope}`."
        if not for_choosing:
            self.errors = (*self.errors, PasswordChangeRequiredError)

    async def caller(self, request: Request) -> Caller:
        """Return the caller, who has the scope."""
        caller = await caller_of(request)
        if caller.scopes is not None:
            if self.scope is None:
                raise SessionRequiredError
            if self.scope not in caller.scopes:
                raise InsufficientScopeError(self.scope)
        if caller.must_choose_password and not self.for_choosing:
            raise PasswordChangeRequiredError
        return caller

    async def authenticate(self, request: Request) -> Caller:
        """Return the caller, who has the scope."""
        return await self.caller(request)

    async def authorize(self, request: Request) -> None:
        """Refuse those who are not signed in well enough."""
        await self.caller(request)


class SignedIn(CallerGuard):
    """Gives handlers the caller."""

    async def __call__(self, request: Request) -> Caller:
        """Return the caller, who has the scope."""
        return await self.caller(request)


class Admin(SignedIn):
    """Admits administrators in a session."""

    def __init__(self) -> None:
        super().__init__(None)
        self.errors = (*self.errors, AdminRequiredError)

    async def caller(self, request: Request) -> Caller:
        """Return the caller, who is an administrator."""
        caller = await super().caller(request)
        if not caller.is_superuser:
            raise AdminRequiredError
        return caller


CurrentCaller = Annotated[Caller, Depends(SignedIn(ACCOUNT_READ))]
"""Whoever is calling, if they may read their own account."""

CurrentSession = Annotated[Caller, Depends(SignedIn(None))]
"""Whoever is calling in a session; API keys are refused."""

AnySession = Annotated[Caller, Depends(SignedIn(None, for_choosing=True))]
"""Whoever is calling in a session, also in one that a one-time password began."""

Administrator = Annotated[Caller, Depends(Admin())]
"""An administrator in a session; what administers accounts is not for keys."""


async def _own_scope(caller: CurrentCaller) -> OwnScope:
    return OwnScope(caller)


OwnScopeDep = Annotated[OwnScope, Depends(_own_scope)]
"""What is the caller's own: sessions, keys."""
