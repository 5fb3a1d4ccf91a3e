"""Statements of authentication that return users, sessions and API keys."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    LargeBinary,
    Text,
    Uuid,
    any_,
    cast,
    extract,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.auth.models import CHOSEN, AccessChange, ApiKey, Attempt, Session, User
from app.core.database.retention import PurgeRule
from app.core.database.statements import Column, Rows, compiled, param

ACCOUNT = (User.id, User.username, User.email, User.is_active, User.is_superuser, User.created_at)
"""The columns of an account that its owner and administrators see."""

LOGIN = (*ACCOUNT, User.hashed_password, User.password_state)


def lowered_username() -> ColumnElement[str]:
    """Return the SQL expression for a username in lower case, as `username_key` returns it."""
    # The server's locale must not decide what lower case is: a Turkish one has another i.
    return func.lower(User.username.collate("C"))


@compiled
def login_by_id() -> Rows:
    """Select the account with this id, with the columns for checking its password."""
    return select(*LOGIN).where(User.id == param("user_id", Uuid))


@compiled
def login_by_name() -> Rows:
    """Select the account with this username in any letter case, with the columns for checking its password."""
    # Python makes the lower case, as it does for counting attempts. PostgreSQL turns a Turkish İ into an i, so that a
    # second spelling of one name would have a count of its own, and more guesses.
    return select(*LOGIN).where(lowered_username() == param("username_key", Text))


def _seconds_until(moment: Column) -> ColumnElement[Any]:
    """Return the seconds until then by the database's clock; null if there is no end."""
    return cast(extract("epoch", moment - func.now()), Double).label("seconds_left")


@compiled
def live_session() -> Rows:
    """Select the active user of a session that has not ended, and when the session ends."""
    ends_at = func.least(Session.expires_at, User.password_expires_at)
    columns = (
        User.id.label("user_id"),
        User.is_superuser,
        (User.password_state != CHOSEN).label("must_choose_password"),
    )
    return (
        select(*columns, ends_at.label("expires_at"), _seconds_until(ends_at))
        .join(Session, Session.user_id == User.id)
        .where(
            Session.id == param("session_id", Uuid),
            Session.revoked_at.is_(None),
            ends_at > func.now(),
            User.is_active,
        )
    )


@compiled
def api_key_by_hash() -> Rows:
    """Select the API key with a secret, expired and revoked ones included, and its user."""
    return (
        select(
            ApiKey.id,
            ApiKey.user_id,
            ApiKey.scopes,
            ApiKey.project_id,
            ApiKey.expires_at,
            _seconds_until(ApiKey.expires_at),
            ApiKey.revoked_at,
            User.is_active,
            User.is_superuser,
        )
        .join(User, User.id == ApiKey.user_id)
        .where(ApiKey.secret_hash == param("secret_hash", LargeBinary))
    )


@compiled
def access_changes() -> Rows:
    """Select one row: the sessions, keys and users whose rights were changed by transactions that the poll at position
    `since` did not see; the position of this poll; the start time of the server, and whether it is a standby.

    The position is the oldest transaction in progress: every transaction that commits later has at least that number.
    """
    subjects = select(AccessChange.subject).where(AccessChange.transaction_id >= param("since", BigInteger)).distinct()
    return select(
        func.array(subjects.scalar_subquery(), type_=ARRAY(Uuid)).label("subjects"),
        cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger).label("position"),
        func.pg_postmaster_start_time().label("server"),
        func.pg_is_in_recovery().label("is_standby"),
    )


def purge_rules(*, keep_ended: timedelta) -> tuple[PurgeRule, ...]:
    """Return the rules for deleting counts that are over, and sessions and keys that ended long enough ago."""
    ended = func.now() - keep_ended
    return (
        PurgeRule(Attempt, Attempt.resets_at < func.now()),
        PurgeRule(Session, or_(Session.expires_at < ended, Session.revoked_at < ended)),
        PurgeRule(ApiKey, ApiKey.revoked_at < ended),
    )


def people_locked(user_ids: Collection[UUID], *, with_admins: bool) -> Rows:
    """Select these users and, on request, all active administrators, locked in one order. The locks make changes of
    accounts and of rights wait for each other.
    """
    wanted: ColumnElement[bool] = User.id.in_(user_ids)
    if with_admins:
        wanted |= User.is_superuser & User.is_active
    admin = (User.is_superuser & User.is_active).label("is_admin")
    return select(User.id, admin, User.hashed_password).where(wanted).order_by(User.id).with_for_update()


def session_locked(session_id: UUID) -> Rows:
    """Select a session that has not ended, locked against its end."""
    return select(Session.id).where(is_live(session_id)).with_for_update(read=True, of=Session)


def api_key_locked(key_id: UUID) -> Rows:
    """Select an API key that has not ended, locked against its end."""
    lives = ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    return select(ApiKey.id).where(ApiKey.id == key_id, lives).with_for_update(read=True)


def keys_to_note(key_ids: Collection[UUID]) -> Rows:
    """Select those of the keys whose last use was recorded over a minute ago, and whose rows are not locked."""
    is_old = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - timedelta(minutes=1))
    named = ApiKey.id == any_(literal(list(key_ids), ARRAY(Uuid)))
    return select(ApiKey.id).where(named, is_old).with_for_update(skip_locked=True)


def is_live(session_id: UUID) -> ColumnElement[bool]:
    """Return the condition that this session has not ended, its user is active and their password has not expired."""
    lasting = or_(User.password_expires_at.is_(None), User.password_expires_at > func.now())
    active = select(User.id).where(User.id == Session.user_id, User.is_active, lasting).exists()
    return (Session.id == session_id) & Session.revoked_at.is_(None) & (Session.expires_at > func.now()) & active


def attempts_locked(keys: ColumnElement[Any]) -> Rows:
    """Select the counts of these keys, locked in the order in which `throttle.count` locks them: otherwise two logins
    could deadlock.
    """
    return select(Attempt.key).where(Attempt.key == any_(keys)).order_by(Attempt.key).with_for_update()
