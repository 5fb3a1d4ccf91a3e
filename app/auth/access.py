"""Authentication of requests: `caller_of` and the base classes of every feature's guards."""

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
    NotAuthenticatedError,
    PasswordChangeRequiredError,
    SessionRequiredError,
)
from app.auth.manager import Authentication
from app.auth.ports import Ports
from app.auth.scopes import ACCOUNT_READ, KEY_SCOPES, Caller, KeyScope, OwnScope
from app.core.errors import AppError, InvalidRequestError, TooManyRequestsError
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
"""The errors that authentication raises."""


def security_schemes(prefix: str) -> dict[str, Any]:
    """Return the two ways of signing in, as OpenAPI describes them, with the scopes of all features. Clients put
    `prefix` before each path.
    """
    return {
        # First, because Swagger UI puts the cursor into the last form: into the username.
        "apiKey": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "An API key (`tlr_…`), from `POST /api/v1/auth/api-keys`.",
        },
        "bearer": {
            "type": "oauth2",
            "description": "Sign in by username and password; in development that is `admin` and `1234`.",
            "flows": {
                "password": {
                    "tokenUrl": f"{prefix}{API_PREFIX}/auth/login",
                    "scopes": {str(scope): scope.description for scope in KEY_SCOPES},
                }
            },
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
    """Return the caller of a request, and count the request against the caller's quota.

    Raises `NotAuthenticatedError` without a token, `InvalidTokenError` or a subclass with a bad one, and
    `InvalidRequestError` with several; such a request counts for the network address. Raises `TooManyRequestsError` if
    the caller, or the address, has no request left.
    """
    # The result is kept in the request's state: a request with an idempotency key is authenticated again inside its
    # transaction, and must not wait there for a second connection.
    state = state_of(request.scope)
    if isinstance(state.caller, Caller):
        return state.caller
    quota = state.quota
    callers = services_of(request)[CallerCache]
    try:
        token = _token_of(request)
        # The address's quota is not checked first: a caller who is signed in has a quota of their own.
        caller = callers.get(token) or await callers.authenticate(token)
    except (NotAuthenticatedError, InvalidRequestError) as error:
        if quota is not None:
            quota.consume_for_address(DEFAULT)
        if type(error) is InvalidTokenError and b"authorization" not in dict(request.scope["headers"]):
            # It came as `X-API-Key`, so it was meant for a key though it does not look like one.
            raise InvalidApiKeyError from None
        raise
    state.caller = caller
    if quota is not None:
        quota.consume(caller.principal)
    return caller


def _token_of(request: Request) -> str:
    """Return the token from `Authorization: Bearer` (an access token or API key) or from `X-API-Key`.

    Raises `InvalidRequestError` for more than one credential: none of them takes precedence silently.
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
    # Generated clients (hey-api's) send their one token in both headers, because the document offers both.
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
    """Requires a signed-in caller.

    API keys need the guard's scope; a guard without a scope accepts sessions only. A session that began with a one-time
    password is accepted only if the operation is for choosing a new password (`for_choosing`).
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

    async def authenticate(self, request: Request) -> Caller:
        """Return the caller. Raises an error of `errors` if the caller's credentials do not suffice."""
        caller = await caller_of(request)
        if caller.scopes is not None:
            if self.scope is None:
                raise SessionRequiredError
            if self.scope not in caller.scopes:
                raise InsufficientScopeError(self.scope)
        if caller.must_choose_password and not self.for_choosing:
            raise PasswordChangeRequiredError
        return caller

    def caller(self, request: Request) -> Caller:
        """Return the caller, whom every route has its guards authenticate before anything else."""
        caller = state_of(request.scope).caller
        assert isinstance(caller, Caller), "authenticated"
        return caller

    async def authorize(self, request: Request) -> None:
        """Let the caller learn what is wrong with the request: they are authenticated."""


class SignedIn(CallerGuard):
    """Passes the caller to the handler."""

    async def __call__(self, request: Request) -> Caller:
        """Return the caller."""
        return self.caller(request)


class Admin(SignedIn):
    """Requires an administrator in a session."""

    def __init__(self) -> None:
        super().__init__(None)
        self.errors = (*self.errors, AdminRequiredError)

    async def authenticate(self, request: Request) -> Caller:
        """Return the caller. Raises `AdminRequiredError` unless they are an administrator."""
        caller = await super().authenticate(request)
        if not caller.is_superuser:
            raise AdminRequiredError
        return caller


CurrentCaller = Annotated[Caller, Depends(SignedIn(ACCOUNT_READ))]
"""The caller, by a session or by an API key with `account:read`."""

CurrentSession = Annotated[Caller, Depends(SignedIn(None))]
"""The caller in a session; API keys are refused."""

AnySession = Annotated[Caller, Depends(SignedIn(None, for_choosing=True))]
"""The caller in a session, including one that began with a one-time password."""

Administrator = Annotated[Caller, Depends(Admin())]
"""An administrator in a session; API keys cannot administer accounts."""


async def _own_scope(caller: CurrentCaller) -> OwnScope:
    return OwnScope(caller)


OwnScopeDep = Annotated[OwnScope, Depends(_own_scope)]
"""The caller's own rows: sessions, API keys."""
