"""Guards of accounts."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from app.auth.access import Administrator, SignedIn
from app.auth.errors import (
    KeyBoundToProjectError,
    RegistrationClosedError,
    UserNotFoundError,
)
from app.auth.models import username_key
from app.auth.scopes import ACCOUNT_READ, ACCOUNT_WRITE, MEMBERS_READ, Caller, OwnScope
from app.core.config import Settings
from app.core.guards import LOGIN, PublicGuard
from app.core.services import services_of
from app.core.text import NoNul


class _RegistrationGuard(PublicGuard):
    """Admits anybody, if the service accepts registrations."""

    def __init__(self) -> None:
        super().__init__(LOGIN)
        self.errors = (*self.errors, RegistrationClosedError)

    async def authenticate(self, request: Request) -> None:
        """Raise `RegistrationClosedError`, before the body is read, if the service accepts no registrations."""
        settings = services_of(request)[Settings]
        if (settings.registration or ("open" if settings.is_development else "closed")) == "closed":
            raise RegistrationClosedError


OpenRegistration = Depends(_RegistrationGuard())
"""Marks the operation by which people register themselves."""


class PeopleLookup(SignedIn):
    """Requires a caller who may look people up; an API key that is bound to a project may not."""

    def __init__(self) -> None:
        super().__init__(MEMBERS_READ)
        self.errors = (*self.errors, KeyBoundToProjectError)

    async def authenticate(self, request: Request) -> Caller:
        """Return the caller. Raises `KeyBoundToProjectError` for a key that is bound to a project."""
        caller = await super().authenticate(request)
        if caller.project_id is not None:
            raise KeyBoundToProjectError
        return caller


Myself = Annotated[Caller, Depends(SignedIn(ACCOUNT_READ, for_choosing=True))]
"""The caller, if they may read their own account; a one-time password suffices."""

AccountEditor = Annotated[Caller, Depends(SignedIn(ACCOUNT_WRITE, for_choosing=True))]
"""The caller, if they may change their own account; with a one-time password they may set a new password."""

PeopleReader = Annotated[Caller, Depends(PeopleLookup())]
"""The caller, if they may look people up."""


async def _user_id(user_id: Annotated[UUID, Path(description="The person's id.")]) -> UUID:
    return user_id


UserId = Annotated[UUID, Depends(_user_id)]
"""A person's id, on operations for administrators, who may see and change every account."""


async def _own_account(caller: Myself) -> OwnScope:
    return OwnScope(caller)


async def _all_users(caller: Administrator) -> OwnScope:
    return OwnScope(caller)


async def _any_user(caller: Administrator, user_id: UserId) -> OwnScope:
    return OwnScope(caller, UserNotFoundError, user_id=user_id)


async def _person_by_username(
    caller: PeopleReader,
    username: Annotated[str, Path(max_length=320, description="A username.", examples=["ana"]), NoNul],
) -> OwnScope:
    return OwnScope(caller, UserNotFoundError, username=username_key(username))


OwnAccount = Annotated[OwnScope, Depends(_own_account)]
"""The caller's own account."""

AllUsers = Annotated[OwnScope, Depends(_all_users)]
"""All accounts, for administrators."""

AnyUser = Annotated[OwnScope, Depends(_any_user)]
"""Any account, for administrators."""

PersonByUsername = Annotated[OwnScope, Depends(_person_by_username)]
"""The public part of the account with the username of the path."""
