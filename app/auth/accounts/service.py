"""Operations that change accounts."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi_users.exceptions import UserNotExists
from sqlalchemy import Executable, delete, func, update
from sqlalchemy.dialects.postgresql import insert

from app.auth import throttle
from app.auth.accounts import queries
from app.auth.accounts.schemas import MeUpdate, Registration, UserCreate, UserUpdate
from app.auth.errors import (
    EmailTakenError,
    InvalidTokenError,
    LastAdminError,
    UsernameTakenError,
    UserNotFoundError,
    WrongPasswordError,
)
from app.auth.manager import Authentication, AuthUser
from app.auth.models import CHOSEN, ONE_TIME, User
from app.auth.passwords import Passwords, one_time_password, refuse_weak
from app.auth.ports import ClosingStep
from app.auth.queries import people_locked
from app.auth.scopes import Caller
from app.auth.service import lock_admin, lock_caller
from app.auth.sessions.service import end_sessions
from app.core.database.database import Database, Transaction, refusing, repeated_if_undone
from app.core.database.rows import Records, Row
from app.core.ids import uuid7

_TAKEN = {
    "users_username_key": UsernameTakenError,
    "users_username_lower_key": UsernameTakenError,
    "users_email_key": EmailTakenError,
    "users_email_lower_key": EmailTakenError,
}
"""The refusals of accounts, by the constraint that is violated."""

SEED_USERNAME, SEED_PASSWORD = "admin", "1234"


async def create_seed_admin(database: Database, passwords: Passwords) -> bool:
    """Create the development administrator unless the name is taken. Return whether it was created."""
    values = {"username": SEED_USERNAME, "is_superuser": True, "hashed_password": await passwords.hash(SEED_PASSWORD)}
    created = await database.fetch_one_or_none(
        insert(User).values(id=uuid7(), **values).on_conflict_do_nothing().returning(User.id)
    )
    return created is not None


async def register(authentication: Authentication, database: Database, new: Registration, *, network: str) -> Row:
    """Create an account for an anonymous caller. Raises `TooManyAttemptsError` if the address has registered
    too many.
    """
    limits = {throttle.attempt_key("registration", network): authentication.settings.registrations_per_address}
    await throttle.count(database, limits, window=timedelta(hours=1))
    return await create_account(authentication, database, new)


async def create_account(
    authentication: Authentication, database: Database, new: Registration, *, is_superuser: bool = False
) -> Row:
    """Create an account with a password that its owner has chosen."""
    refuse_weak(new.password, new.username)
    return await _insert_user(
        database,
        username=new.username,
        email=new.email,
        is_superuser=is_superuser,
        **_chosen(await authentication.passwords.hash(new.password)),
    )


@repeated_if_undone
async def create_user(
    authentication: Authentication, database: Database, caller: Caller, new: UserCreate
) -> dict[str, Any]:
    """Create an account for somebody, with a one-time password."""
    secret, values = await _one_time_password(authentication)
    async with database.transaction() as transaction:
        people = await transaction.fetch_all(people_locked([caller.user_id], with_admins=False))
        await lock_admin(transaction, caller, people)
        user = await _insert_user(transaction, **new.model_dump(), **values)
    return {**user, "one_time_password": secret, "one_time_password_expires_at": user["password_expires_at"]}


async def _one_time_password(authentication: Authentication) -> tuple[str, dict[str, Any]]:
    """Return a one-time password, and the column values to store for it."""
    secret = one_time_password()
    return secret, {
        "hashed_password": await authentication.passwords.hash(secret),
        "password_state": ONE_TIME,
        "password_expires_at": func.now() + timedelta(seconds=authentication.settings.one_time_password_lifetime),
    }


def _chosen(hashed_password: str) -> dict[str, Any]:
    """Return the column values to store for a password that the account's owner has chosen."""
    return {"hashed_password": hashed_password, "password_state": CHOSEN, "password_expires_at": None}


@repeated_if_undone
async def update_own(
    authentication: Authentication, database: Database, caller: Caller, changes: MeUpdate, *, login: AuthUser
) -> Row:
    """Change the caller's own account; a new password ends all other sessions."""
    values = changes.values()
    del values["current_password"]
    if "password" in values:
        refuse_weak(values["password"], login.username)
        values |= _chosen(await authentication.passwords.hash(values.pop("password")))
    async with database.transaction() as transaction:
        people = await transaction.fetch_all(people_locked([caller.user_id], with_admins=False))
        _refuse_changed_password(people, login)
        await lock_caller(transaction, caller)
        row = await _update_user(transaction, caller.user_id, values)
        if "hashed_password" in values:
            # After the change: a login under way waits for its row lock, and then finds the new password.
            await end_sessions(transaction, caller.user_id, except_for=caller.source_id)
    return row


@repeated_if_undone
async def update_user(
    authentication: Authentication, database: Database, user_id: UUID, changes: UserUpdate, *, caller: Caller | None
) -> dict[str, Any]:
    """Change an account as an administrator or, without a caller, as the operator. Raises `LastAdminError` if no active
    administrator would be left.
    """
    values, secret = changes.values(), None
    if values.pop("reset_password", False):
        secret, stored = await _one_time_password(authentication)
        values |= stored
    is_demotion = values.get("is_active") is False or values.get("is_superuser") is False
    ids = [user_id] if caller is None else [user_id, caller.user_id]
    async with database.by_value.transaction() as transaction:
        people = await transaction.fetch_all(people_locked(ids, with_admins=is_demotion))
        if is_demotion:
            _refuse_last_admin(people, user_id)
        if caller is not None:
            await lock_admin(transaction, caller, people)
        user = await _update_user(transaction, user_id, values)
        if secret is not None or not user["is_active"]:
            await end_sessions(transaction, user_id)
    return {
        **user,
        "one_time_password": secret,
        "one_time_password_expires_at": None if secret is None else user["password_expires_at"],
    }


@repeated_if_undone
async def set_password(
    authentication: Authentication, database: Database, user_id: UUID, username: str, password: str
) -> None:
    """Set an account's password as the operator, and end its sessions."""
    refuse_weak(password, username)
    hashed_password = await authentication.passwords.hash(password)
    async with database.transaction() as transaction:
        await _update_user(transaction, user_id, _chosen(hashed_password))
        await end_sessions(transaction, user_id)


@repeated_if_undone
async def delete_account(database: Database, caller: Caller, steps: Iterable[ClosingStep], *, login: AuthUser) -> None:
    """Delete the caller's account with its sessions and keys, after the steps that other features add."""
    user_id = caller.user_id
    async with database.by_value.transaction() as transaction:
        # From here on, statements that would refer to the account wait for this lock, and then find the account gone.
        people = await transaction.fetch_all(people_locked([user_id], with_admins=True))
        _refuse_last_admin(people, user_id)
        _refuse_changed_password(people, login)
        await lock_caller(transaction, caller)
        for step in steps:
            await step(transaction, user_id)
        await transaction.execute(delete(User).where(User.id == user_id))


async def confirm_password(
    authentication: Authentication, database: Database, caller: Caller, password: str, *, network: str
) -> AuthUser:
    """Return the caller's account if this is its password. Raises `WrongPasswordError` or `TooManyAttemptsError`.

    Attempts are limited, because a stolen token must not allow guessing. They are counted apart from sign-ins:
    otherwise failed sign-ins from the same address could lock the caller out here.
    """
    try:
        user = await authentication.manager.get(caller.user_id)
    except UserNotExists:
        raise InvalidTokenError from None
    key = throttle.attempt_key("confirmation", str(caller.user_id), network)
    await throttle.count_login(authentication.settings, database, account=key)
    async with throttle.refunded_if_unavailable(database, key):
        is_right = await authentication.manager.check_password(user, password)
    if not is_right:
        raise WrongPasswordError
    await throttle.refund(database, cleared=[key])
    return user


async def _insert_user(database: Database, **values: Any) -> Row:
    with refusing(_TAKEN):
        rows = await database.fetch_all(insert(User).values(id=uuid7(), **values).returning(*queries.WRITTEN))
    return rows[0]


async def _update_user(transaction: Transaction, user_id: UUID, values: dict[str, Any]) -> Row:
    statement: Executable = queries.user_by_id(user_id)
    if values:
        statement = update(User).where(User.id == user_id).values(values).returning(*queries.WRITTEN)
    with refusing(_TAKEN):
        row = await transaction.fetch_one_or_none(statement)
    if row is None:
        raise UserNotFoundError
    return row


def _refuse_last_admin(people: Records, user_id: UUID) -> None:
    """Raise `LastAdminError` if this is the only active administrator. The rows are locked, so that two administrators
    cannot be removed at the same moment.
    """
    if [person["id"] for person in people if person["is_admin"]] == [user_id]:
        raise LastAdminError


def _refuse_changed_password(people: Records, login: AuthUser) -> None:
    """Raise `WrongPasswordError` if the password that was confirmed is no longer the account's."""
    if not any(person["id"] == login.id and person["hashed_password"] == login.hashed_password for person in people):
        raise WrongPasswordError
