"""`/auth/register`, `/auth/me` and `/users/`."""

from datetime import UTC, datetime
from typing import Any

from fastapi import Response

from app.auth.access import (
    Administrator,
    AuthenticationDep,
    CallersDep,
    CurrentSession,
    NetworkDep,
    PortsDep,
)
from app.auth.accounts import queries, service
from app.auth.accounts.access import (
    AccountEditor,
    AllUsers,
    AnyUser,
    OpenRegistration,
    OwnAccount,
    PersonByUsername,
    UserId,
)
from app.auth.accounts.schemas import (
    AccountDeletion,
    Me,
    MeUpdate,
    PersonRead,
    Registration,
    UserAdministered,
    UserCreate,
    UserRead,
    UserUpdate,
)
from app.auth.errors import (
    EmailTakenError,
    LastAdminError,
    OnlyOwnerError,
    PasswordChangeRequiredError,
    TooManyAttemptsError,
    UsernameTakenError,
    UserNotFoundError,
    WrongPasswordError,
)
from app.auth.scopes import KEY_SCOPES, Caller
from app.core.database.database import DatabaseDep
from app.core.database.rows import Row
from app.core.http.routing import API_PREFIX, FeatureRouter, SecretRoute
from app.core.listing.pagination import Page, PageParamsDep, PagesDep

router = FeatureRouter(prefix="/auth", tag="auth", route_class=SecretRoute)

users = FeatureRouter(prefix="/users", tag="users", route_class=SecretRoute)


@router.post(
    "/register",
    summary="Register",
    status_code=201,
    dependencies=[OpenRegistration],
    response_model=UserRead,
    errors=(UsernameTakenError, EmailTakenError, TooManyAttemptsError),
)
async def register(
    new: Registration,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    network: NetworkDep,
    response: Response,
) -> Row:
    """Create your own account, if the service accepts registrations."""
    response.headers["Location"] = f"{API_PREFIX}/auth/me"
    return await service.register(authentication, database, new, network=network)


@router.get("/me", summary="Who am I?")
async def read_me(own: OwnAccount, database: DatabaseDep) -> Me:
    """Return your account and how you are signed in: by a session or an API key, with which scopes, until when."""
    return _me(await database.fetch_one(queries.account(), own), own.caller)


@router.patch(
    "/me",
    summary="Change my account",
    errors=(PasswordChangeRequiredError, WrongPasswordError, EmailTakenError, TooManyAttemptsError),
)
async def update_me(
    caller: AccountEditor,
    changes: MeUpdate,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    callers: CallersDep,
    network: NetworkDep,
) -> Me:
    """Change your e-mail address or your password. Any change needs the current password; a new password ends all your
    other sessions.

    In a session that began with a one-time password, set a new password first: then the session has no restriction.
    """
    if caller.must_choose_password and "password" not in changes.values():
        raise PasswordChangeRequiredError
    login = await service.confirm_password(authentication, database, caller, changes.current_password, network=network)
    me = _me(await service.update_own(authentication, database, caller, changes, login=login), caller)
    callers.invalidate(caller.user_id)
    return me


@router.delete(
    "/me",
    summary="Delete my account",
    status_code=204,
    errors=(WrongPasswordError, LastAdminError, OnlyOwnerError, TooManyAttemptsError),
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
    """Delete your account, its sessions and API keys, and the projects that have no other member. This cannot be
    undone.

    Refused while you are the only owner of a project that has other members: make one of them an owner, or delete it.
    """
    login = await service.confirm_password(authentication, database, caller, deletion.password, network=network)
    await service.delete_account(database, caller, ports.closing_steps, login=login)
    callers.invalidate(caller.user_id)


@users.get("/", summary="List users", response_model=Page[UserRead])
async def list_users(scope: AllUsers, params: PageParamsDep, pages: PagesDep) -> dict[str, Any]:
    """List all accounts, the newest first. For administrators."""
    return await pages.read(queries.users, scope, params)


@users.post(
    "/",
    summary="Create a user",
    status_code=201,
    response_model=UserAdministered,
    location="/users",
    errors=(UsernameTakenError, EmailTakenError),
)
async def create_user(
    caller: Administrator,
    new: UserCreate,
    authentication: AuthenticationDep,
    database: DatabaseDep,
) -> dict[str, Any]:
    """Create an account for somebody else. Its one-time password is shown only once. For administrators."""
    return await service.create_user(authentication, database, caller, new)


@users.get(
    "/by-username/{username}",
    summary="Look a person up",
    response_model=PersonRead,
    errors=(UserNotFoundError,),
)
async def read_person(person: PersonByUsername, database: DatabaseDep) -> Row:
    """Return the user with this exact username (in any letter case), to share a project with: id and username only."""
    return await database.fetch_one(queries.person(), person)


@users.get(
    "/{user_id}",
    summary="Read a user",
    response_model=UserRead,
    errors=(UserNotFoundError,),
)
async def read_user(user: AnyUser, database: DatabaseDep) -> Row:
    """Return one account. For administrators."""
    return await database.fetch_one(queries.user(), user)


@users.patch(
    "/{user_id}",
    summary="Change a user",
    response_model=UserAdministered,
    errors=(UserNotFoundError, EmailTakenError, LastAdminError),
)
async def update_user(
    caller: Administrator,
    user_id: UserId,
    changes: UserUpdate,
    authentication: AuthenticationDep,
    database: DatabaseDep,
    callers: CallersDep,
) -> dict[str, Any]:
    """Change an account: its e-mail address, whether it is active, whether it is an administrator; or give it a
    one-time password.

    Deactivating an account ends its sessions. The last active administrator cannot be demoted. For administrators.
    """
    user = await service.update_user(authentication, database, user_id, changes, caller=caller)
    callers.invalidate(user_id)
    return user


def _me(row: Row, caller: Caller) -> Me:
    ends = None if caller.expires_at is None else datetime.fromtimestamp(caller.expires_at, UTC)
    signed_in_by = {
        "method": caller.method,
        "id": caller.source_id,
        "scopes": [scope for scope in KEY_SCOPES if caller.has(scope)],
        "project_id": caller.project_id,
        "must_choose_password": caller.must_choose_password,
        "expires_at": ends,
    }
    return Me.model_validate({**row, "signed_in_by": signed_in_by})
