"""From a token to a person: every guard of every feature starts here."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer

from app.auth.errors import InvalidTokenError
from app.auth.manager import Authentication
from app.auth.scopes import AuthUser
from app.core.errors import NotAuthenticatedError
from app.core.guards import Guard
from app.core.routing import API_PREFIX

bearer = OAuth2PasswordBearer(
    tokenUrl=f"{API_PREFIX}/auth/login",
    scheme_name="bearer",
    description="Sign in by username and password; in development that is `admin` and `1234`.",
    auto_error=False,
)


async def _authentication(request: Request) -> Authentication:
    authentication: Authentication = request.app.state.authentication
    return authentication


AuthenticationDep = Annotated[Authentication, Depends(_authentication)]


async def caller_of(request: Request) -> AuthUser:
    """Who sent this request. Raises `NotAuthenticatedError` without a token, `InvalidTokenError` with a bad one."""
    token = await bearer(request)
    if not token:
        raise NotAuthenticatedError
    authentication: Authentication = request.app.state.authentication
    user = await authentication.strategy.read_token(token, authentication.manager)
    if user is None:
        raise InvalidTokenError
    return user


class SignedIn(Guard):
    """Admits everybody who is signed in."""

    errors = (NotAuthenticatedError, InvalidTokenError)

    async def __call__(self, request: Request, _: Annotated[str | None, Depends(bearer)]) -> AuthUser:
        """The caller."""
        return await caller_of(request)

    async def admit(self, request: Request) -> None:
        """Refuse those who are not signed in."""
        await caller_of(request)


CurrentUser = Annotated[AuthUser, Depends(SignedIn())]
"""The person who is calling; anybody signed in is admitted."""
