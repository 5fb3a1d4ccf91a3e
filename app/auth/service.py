"""What changes accounts, sessions and keys."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

from fastapi_users.exceptions import UserNotExists
from sqlalchemy import ColumnElement, Executable, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.auth import queries, throttle
from app.auth.errors import (
    AdminRequiredError,
    ApiKeyNotFoundError,
    EmailTakenError,
    InvalidCredentialsError,
    InvalidRefreshTokenError,
    InvalidTokenError,
    LastAdminError,
    RefreshTokenReusedError,
    SessionNotFoundError,
    TooManyApiKeysError,
    UsernameTakenError,
    UserNotFoundError,
    WrongPasswordError,
)
from app.auth.manager import Authentication, AuthUser
from app.auth.models import CHOSEN, EVERYBODY, ONE_TIME, SPENT, AccessChange, ApiKey, Session, User, looked_up
from app.auth.passwords import Passwords, one_time_password, refuse_weak
from app.auth.ports import ClosingStep, ProjectVisible
from app.auth.schemas import ApiKeyCreate, Credentials, MeUpdate, Registration, UserCreate, UserUpdate
from app.auth.scopes import UNBOUND, Caller
from app.auth.tokens import RefreshClaims, hashed, issue_refresh_token, new_api_key
from app.core.database.database import ConstraintError, Database, Unit
from app.core.errors import FieldError, InvalidRequestError, UnavailableError
from app.core.ids import uuid7

SEED_USERNAME, SEED_PASSWORD = "admin", "1234"

PREFIX_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sign-in comes from."""

    network: str
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a session's holder gets."""

    access_token: str
    refresh_token: str


async def create_seed_admin(database: Database, passwords: Passwords) -> bool:
    """Create the development administrator unless that name is taken; whether it was created."""
    values = {"username": SEED_USERNAME, "is_superuser": True, "hashed_password": await passwords.hash(SEED_PASSWORD)}
    created = await database.row(insert(User).values(id=uuid7(), **values).on_conflict_do_nothing().returning(User.id))
    return created is not None


# Accounts


async def register(
    authentication: Authentication, database: Database, new: Registration, *, network: str
) -> dict[str, Any]:
    """Create an account for whoever asks."""
    limits = {throttle.attempt_key("registration", network): authentication.settings.registrations_per_address}
    await throttle.count(database, limits, window=timedelta(hours=1))
    return await create_account(authentication, database, new)


async def create_account(
    authentication: Authentication, database: Database, new: Registration, *, is_superuser: bool = False
) -> dict[str, Any]:
    """Create an account whose password its person has chosen."""
    refuse_weak(new.password, new.username)
    return await _insert_user(
        database,
        username=new.username,
        email=new.email,
        is_superuser=is_superuser,
        **_chosen(await authentication.passwords.hash(new.password)),
    )


async def create_user(
    authentication: Authentication, database: Database, caller: Caller, new: UserCreate
) -> dict[str, Any]:
    """Create an account for somebody, with a one-time password."""
    secret, values = await _one_time_password(authentication)
    async with database.unit() as unit:
        people = await unit.rows(queries.people_locked([caller.user_id], with_admins=False))
        await _hold_admin(unit, caller, people)
        user = await _insert_user(unit, **new.model_dump(), **values)
    return {**user, "one_time_password": secret, "one_time_password_expires_at": user.pop("password_expires_at")}


async def _one_time_password(authentication: Authentication) -> tuple[str, dict[str, Any]]:
    """A one-time password, and what is stored of it."""
    secret = one_time_password()
    return secret, {
        "hashed_password": await authentication.passwords.hash(secret),
        "password_state": ONE_TIME,
        "password_expires_at": func.now() + timedelta(seconds=authentication.settings.one_time_password_lifetime),
    }


def _chosen(hashed_password: str) -> dict[str, Any]:
    """What is stored of a password that its person has chosen."""
    return {"hashed_password": hashed_password, "password_state": CHOSEN, "password_expires_at": None}


async def update_own(
    authentication: Authentication, database: Database, caller: Caller, changes: MeUpdate, *, login: AuthUser
) -> dict[str, Any]:
    """Change one's own account; a new password ends all other sessions."""
    values = changes.values()
    del values["current_password"]
    if "password" in values:
        refuse_weak(values["password"], login.username)
        values |= _chosen(await authentication.passwords.hash(values.pop("password")))
    async with database.unit() as unit:
        people = await unit.rows(queries.people_locked([caller.user_id], with_admins=False))
        _refuse_changed_password(people, login)
        await _hold(unit, caller)
        row = await _update_user(unit, caller.user_id, values)
        if "hashed_password" in values:
            # Behind the change, whose lock a login under way waits for.
            await _end_sessions(unit, caller.user_id, besides=caller.source_id)
    return row


async def update_user(
    authentication: Authentication, database: Database, user_id: UUID, changes: UserUpdate, *, caller: Caller | None
) -> dict[str, Any]:
    """Change somebody's account as an administrator; without a caller, as the operator. The last active administrator
    stays one.
    """
    values, secret = changes.values(), None
    if values.pop("reset_password", False):
        secret, stored = await _one_time_password(authentication)
        values |= stored
    is_demotion = values.get("is_active") is False or values.get("is_superuser") is False
    ids = [user_id] if caller is None else [user_id, caller.user_id]
    async with database.unit(by_value=True) as unit:
        people = await unit.rows(queries.people_locked(ids, with_admins=is_demotion))
        if is_demotion:
            _refuse_last_admin(people, user_id)
        if caller is not None:
            await _hold_admin(unit, caller, people)
        user = await _update_user(unit, user_id, values)
        if secret is not None or not user["is_active"]:
            await _end_sessions(unit, user_id)
    expires_at = user.pop("password_expires_at")
    return {
        **user,
        "one_time_password": secret,
        "one_time_password_expires_at": None if secret is None else expires_at,
    }


async def set_password(
    authentication: Authentication, database: Database, user_id: UUID, username: str, password: str
) -> None:
    """Give an account another password, as its operator does, and end its sessions."""
    refuse_weak(password, username)
    hashed_password = await authentication.passwords.hash(password)
    async with database.unit() as unit:
        await _update_user(unit, user_id, _chosen(hashed_password))
        await _end_sessions(unit, user_id)


async def delete_account(database: Database, caller: Caller, steps: Iterable[ClosingStep], *, login: AuthUser) -> None:
    """Delete one's own account, with its sessions and keys, after what other features do about it."""
    user_id = caller.user_id
    async with database.unit(by_value=True) as unit:
        # What would still refer to the account waits from here on, and then finds it gone.
        people = await unit.rows(queries.people_locked([user_id], with_admins=True))
        _refuse_last_admin(people, user_id)
        _refuse_changed_password(people, login)
        await _hold(unit, caller)
        for step in steps:
            await step(unit, user_id)
        await unit.rows(delete(User).where(User.id == user_id))


async def confirm_password(
    authentication: Authentication, database: Database, caller: Caller, password: str, *, network: str
) -> AuthUser:
    """Return the caller's account, if this is its password.

    Throttled, because a stolen token must not serve to guess; but apart from sign-ins, because by failing strangers at
    the same address could keep the caller from it.
    """
    try:
        user = await authentication.manager.get(caller.user_id)
    except UserNotExists:
        raise InvalidTokenError from None
    key = throttle.attempt_key("confirmation", str(caller.user_id), network)
    await _count_login(authentication, database, account=key)
    async with _forgiven_if_unavailable(database, key):
        is_right = await authentication.manager.check_password(user, password)
    if not is_right:
        raise WrongPasswordError
    await throttle.forgive(database, cleared=[key])
    return user


async def _insert_user(database: Database, **values: Any) -> dict[str, Any]:
    try:
        rows = await database.rows(insert(User).values(id=uuid7(), **values).returning(*queries.WRITTEN))
    except ConstraintError as error:
        _refuse_taken(error)
    return rows[0]


async def _update_user(unit: Unit, user_id: UUID, values: dict[str, Any]) -> dict[str, Any]:
    statement: Executable = queries.user_by_id(user_id)
    if values:
        statement = update(User).where(User.id == user_id).values(values).returning(*queries.WRITTEN)
    try:
        row = await unit.row(statement)
    except ConstraintError as error:
        _refuse_taken(error)
    if row is None:
        raise UserNotFoundError
    return row


def _refuse_taken(error: ConstraintError) -> NoReturn:
    match error.constraint:
        case "users_username_key" | "users_username_lower_key":
            raise UsernameTakenError from None
        case "users_email_key" | "users_email_lower_key":
            raise EmailTakenError from None
    raise error


def _refuse_last_admin(people: list[dict[str, Any]], user_id: UUID) -> None:
    """Keep one active administrator. The rows stay locked, so that two cannot go at the same moment."""
    if [person["id"] for person in people if person["is_admin"]] == [user_id]:
        raise LastAdminError


def _refuse_changed_password(people: list[dict[str, Any]], login: AuthUser) -> None:
    """Raise `WrongPasswordError` if the password that was confirmed is no longer the account's."""
    if not any(person["id"] == login.id and person["hashed_password"] == login.hashed_password for person in people):
        raise WrongPasswordError


async def _hold(unit: Unit, caller: Caller) -> None:
    """Keep the session or key of a caller from ending until the unit does; refuse one that has ended since the caller
    was remembered. What outlasts a session is done behind this, and not by memory alone.
    """
    held = queries.session_locked if caller.method == "session" else queries.api_key_locked
    if await unit.row(held(caller.source_id)) is None:
        raise InvalidTokenError


async def _hold_admin(unit: Unit, caller: Caller, people: list[dict[str, Any]]) -> None:
    """As `_hold`, for a caller who acts as an administrator and is among these people, who are locked."""
    await _hold(unit, caller)
    if not any(person["id"] == caller.user_id and person["is_admin"] for person in people):
        raise AdminRequiredError


# Sessions


async def sign_in(
    authentication: Authentication, database: Database, credentials: Credentials, origin: Origin
) -> TokenPair:
    """Begin a session."""
    account, address = _login_keys(credentials.username, origin.network)
    await _count_login(authentication, database, account=account, address=address)
    async with _forgiven_if_unavailable(database, account, address):
        user = await authentication.manager.authenticate(credentials)
    if user is None or user.password_state == SPENT:
        raise InvalidCredentialsError
    if user.password_state == ONE_TIME:
        await _spend(database, user)
    tokens = await _begin_session(authentication, database, user, origin)
    await throttle.forgive(database, address, cleared=[account])
    return tokens


async def refresh(authentication: Authentication, database: Database, claims: RefreshClaims, token: str) -> TokenPair:
    """Exchange a refresh token, and what it says, for the next pair.

    One that was used before ends its session, unless its exchange was a moment ago: then the answer was probably lost,
    and the same pair is given again.
    """
    settings = authentication.settings
    following = issue_refresh_token(authentication.ring, claims.session_id, claims.generation + 1)
    live = queries.is_live(claims.session_id)
    holder = await database.row(
        update(Session)
        .where(live, Session.generation == claims.generation, Session.refresh_hash == hashed(token))
        .values(
            generation=Session.generation + 1,
            refresh_hash=hashed(following),
            refreshed_at=func.now(),
            expires_at=func.now() + timedelta(seconds=settings.refresh_token_lifetime),
        )
        .returning(Session.user_id)
    )
    if holder is None:
        grace = timedelta(seconds=settings.refresh_grace)
        holder = await database.row(
            queries.just_refreshed(claims.session_id, claims.generation + 1, hashed(following), grace)
        )
    if holder is None:
        stolen = update(Session).where(live, Session.generation > claims.generation).values(revoked_at=func.now())
        if await database.row(stolen.returning(Session.id)):
            raise RefreshTokenReusedError
        raise InvalidRefreshTokenError
    return _tokens(authentication, holder["user_id"], claims.session_id, following)


async def end_session(database: Database, caller: Caller, session_id: UUID) -> None:
    """End one of the caller's sessions."""
    ended = await database.row(
        update(Session)
        .where(Session.id == session_id, Session.user_id == caller.user_id, Session.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(Session.id)
    )
    if ended is None:
        raise SessionNotFoundError


async def end_other_sessions(database: Database, caller: Caller) -> list[UUID]:
    """End all of the caller's sessions but this one; which they were."""
    rows = await database.rows(_ending(caller.user_id, besides=caller.source_id).returning(Session.id))
    return [row["id"] for row in rows]


async def _spend(database: Database, user: AuthUser) -> None:
    # The condition lets one of two simultaneous logins through.
    spent = (
        update(User)
        .where(
            User.id == user.id,
            User.password_state == ONE_TIME,
            or_(User.password_expires_at.is_(None), User.password_expires_at > func.now()),
            User.hashed_password == user.hashed_password,
        )
        .values(password_state=SPENT)
        .returning(User.id)
    )
    if await database.row(spent) is None:
        raise InvalidCredentialsError


async def _begin_session(
    authentication: Authentication, database: Database, user: AuthUser, origin: Origin
) -> TokenPair:
    settings = authentication.settings
    session_id = uuid7()
    refresh_token = issue_refresh_token(authentication.ring, session_id, 0)
    values = {
        "id": session_id,
        "refresh_hash": hashed(refresh_token),
        "user_agent": origin.user_agent,
        "address": origin.network,
    }
    columns = Session.__table__.c
    row = (
        select(
            User.id,
            *(literal(value, columns[name].type) for name, value in values.items()),
            func.now() + timedelta(seconds=settings.refresh_token_lifetime),
        )
        # The password was checked a while ago. The lock waits for a change of it under way, and then finds it changed.
        .where(User.id == user.id, User.is_active, User.hashed_password == user.hashed_password)
        .with_for_update(read=True)
    )
    begun = (
        insert(Session)
        .from_select(["user_id", *values, "expires_at"], row, include_defaults=False)
        .returning(Session.id)
        .cte("begun")
    )
    # Both see what was there before, so one place is kept for the new session.
    kept = queries.newest_sessions(user.id, settings.max_sessions - 1)
    ended = _ending(user.id).where(Session.id.not_in(kept), select(begun.c.id).exists()).returning(Session.id)
    if await database.row(select(begun.c.id).add_cte(ended.cte("ended"))) is None:
        raise InvalidCredentialsError
    return _tokens(authentication, user.id, session_id, refresh_token)


def _tokens(authentication: Authentication, user_id: UUID, session_id: UUID, refresh_token: str) -> TokenPair:
    return TokenPair(authentication.access_tokens.issue(user_id, session_id), refresh_token)


async def _end_sessions(unit: Unit, user_id: UUID, *, besides: UUID | None = None) -> None:
    await unit.rows(_ending(user_id, besides=besides))


def _ending(user_id: UUID, *, besides: UUID | None = None) -> Any:
    statement = update(Session).where(Session.user_id == user_id, Session.revoked_at.is_(None))
    if besides is not None:
        statement = statement.where(Session.id != besides)
    return statement.values(revoked_at=func.now())


def _login_keys(username: str, network: str) -> tuple[str, str]:
    return (
        throttle.attempt_key("login", looked_up(username), network),
        throttle.attempt_key("network", network),
    )


async def _count_login(
    authentication: Authentication, database: Database, *, account: str, address: str | None = None
) -> None:
    settings = authentication.settings
    limits = {account: settings.login_failures_per_account}
    if address is not None:
        limits[address] = settings.login_failures_per_address
    await throttle.count(database, limits, window=timedelta(seconds=settings.login_failure_window))


@asynccontextmanager
async def _forgiven_if_unavailable(database: Database, *keys: str) -> AsyncGenerator[None]:
    """Count no attempt whose password nobody looked at, because too many others waited."""
    try:
        yield
    except UnavailableError:
        await throttle.forgive(database, *keys)
        raise


# API keys


async def create_api_key(
    database: Database,
    user_id: UUID,
    new: ApiKeyCreate,
    *,
    limit: int,
    project_visible: ProjectVisible,
    caller: Caller | None,
) -> dict[str, Any]:
    """Create a key; its secret is in the answer and nowhere else. Without a caller, as the operator."""
    beyond = [index for index, scope in enumerate(new.scopes) if new.project_id is not None and scope in UNBOUND]
    if beyond:
        detail = "reaches beyond one project: leave it out, or the project_id"
        raise InvalidRequestError(
            errors=[FieldError(pointer=f"/scopes/{index}", detail=detail, code="unbound") for index in beyond]
        )
    async with database.unit() as unit:
        if new.project_id is not None and not await project_visible(unit, user_id, new.project_id):
            # The same for a project that does not exist and for one that this person may not see.
            error = FieldError(pointer="/project_id", detail="is no project that you may see", code="unknown_project")
            raise InvalidRequestError(errors=[error])
        # Creations by one person wait for each other, so that the limit holds.
        if not await unit.rows(queries.people_locked([user_id], with_admins=False)):
            # The caller's account was deleted a moment ago.
            raise InvalidTokenError
        if caller is not None:
            await _hold(unit, caller)
        (live,) = await unit.rows(queries.live_api_key_count(user_id))
        if live["count"] >= limit:
            raise TooManyApiKeysError
        secret = new_api_key()
        values = {
            "id": uuid7(),
            "user_id": user_id,
            "name": new.name,
            "prefix": secret[:PREFIX_LENGTH],
            "secret_hash": hashed(secret),
            "scopes": sorted({scope.value for scope in new.scopes}),
            "project_id": new.project_id,
            "expires_at": new.expires_at,
        }
        (key,) = await unit.rows(insert(ApiKey).values(values).returning(*queries.API_KEY))
    return {**key, "secret": secret}


async def revoke_any_api_key(database: Database, key: UUID | str) -> dict[str, Any]:
    """Revoke a key, whoever's, by its id or its secret: what an operator does with one that was found lying about."""
    which = ApiKey.id == key if isinstance(key, UUID) else ApiKey.secret_hash == hashed(key)
    return await _revoke(database, which, "There is no such API key, or it was revoked already.")


async def revoke_api_key(database: Database, user_id: UUID, key_id: UUID) -> None:
    """Revoke a key of this person."""
    await _revoke(database, (ApiKey.id == key_id) & (ApiKey.user_id == user_id))


async def end_what_may_have_ended(unit: Unit, *, revoke_keys: bool) -> dict[str, int]:
    """After a backup was restored, end what may have been ended after it was made, and is there again: all sessions and
    one-time passwords, and, if wanted, all API keys. How many of each.
    """
    ending = {"sessions": update(Session).where(Session.revoked_at.is_(None)).values(revoked_at=func.now())}
    ending["one-time passwords"] = update(User).where(User.password_state == ONE_TIME).values(password_state=SPENT)
    if revoke_keys:
        ending["API keys"] = update(ApiKey).where(ApiKey.revoked_at.is_(None)).values(revoked_at=func.now())
    ended = {name: len(await unit.rows(statement.returning(literal(1)))) for name, statement in ending.items()}
    # Processes that ran on may remember whom this database never knew.
    await unit.rows(insert(AccessChange).values(subject=EVERYBODY))
    return ended


async def _revoke(database: Database, which: ColumnElement[bool], detail: str | None = None) -> dict[str, Any]:
    statement = update(ApiKey).where(which, ApiKey.revoked_at.is_(None)).values(revoked_at=func.now())
    row = await database.row(statement.returning(ApiKey.id, ApiKey.name))
    if row is None:
        raise ApiKeyNotFoundError(detail)
    return row
