"""Statements that return people, sessions and keys."""

from collections.abc import Collection, Hashable
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

from app.auth.models import CHOSEN, AccessChange, ApiKey, Attempt, Session, User, looked_up
from app.core.database.retention import Expired
from app.core.database.statements import Column, Rows, given
from app.core.listing.sorting import Key
from app.core.listing.statement import Shape, listing, page_of

ACCOUNT = (User.id, User.username, User.email, User.is_active, User.is_superuser, User.created_at)
"""What a person, and an administrator, may see of an account."""

WRITTEN = (*ACCOUNT, User.password_expires_at)
"""What is returned of an account that was written."""

LOGIN = (*ACCOUNT, User.hashed_password, User.password_state)

SESSION = (
    Session.id,
    Session.user_agent,
    Session.address,
    Session.created_at,
    Session.refreshed_at,
    Session.expires_at,
)
API_KEY = (
    ApiKey.id,
    ApiKey.name,
    ApiKey.prefix,
    ApiKey.scopes,
    ApiKey.project_id,
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.last_used_at,
)


def _lowered() -> ColumnElement[str]:
    # The server's locale must not decide what its small letters are: a Turkish one has another i.
    return func.lower(User.username.collate("C"))


def user_by_id(user_id: UUID) -> Rows:
    """The account with this id, as if it was written."""
    return select(*WRITTEN).where(User.id == user_id)


def login_by_id(user_id: UUID) -> Rows:
    """The account with this id, with what is needed to check its password."""
    return select(*LOGIN).where(User.id == user_id)


def login_by_name(name: str) -> Rows:
    """The account with this username, whatever its case, with what is needed to check its password."""
    # In lower case by Python's rules, as attempts are counted: PostgreSQL's make an i of a Turkish İ, and so would give
    # more guesses for another way to write the same name.
    return select(*LOGIN).where(_lowered() == looked_up(name))


def account(_: Hashable) -> Rows:
    """The caller's own account."""
    return select(*ACCOUNT).where(User.id == given("caller_id", Uuid))


def user(_: Hashable) -> Rows:
    """Somebody's account."""
    return select(*ACCOUNT).where(User.id == given("user_id", Uuid))


def person(_: Hashable) -> Rows:
    """What everybody may know of the active person with a username, given as it is `looked_up`."""
    return select(User.id, User.username).where(_lowered() == given("username", Text), User.is_active)


@listing({"id": Key(User.id)}, "-id")
def users(_: Hashable, shape: Shape) -> Rows:
    """A page of all accounts, the newest first."""
    return page_of(shape, User.id, select(*ACCOUNT))


def _seconds_until(moment: Column) -> ColumnElement[Any]:
    """How long it is until then by the database's clock; null for ever."""
    return cast(extract("epoch", moment - func.now()), Double).label("seconds_left")


def live_session() -> Rows:
    """The person of a session that has not ended, if active, and when it ends."""
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
            Session.id == given("session_id", Uuid),
            Session.revoked_at.is_(None),
            ends_at > func.now(),
            User.is_active,
        )
    )


def api_key_by_hash() -> Rows:
    """The key with a secret, whatever its state, and its person."""
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
        .where(ApiKey.secret_hash == given("secret_hash", LargeBinary))
    )


@listing({"id": Key(Session.id)}, "-id")
def live_sessions(_: Hashable, shape: Shape) -> Rows:
    """A page of the caller's sessions, the newest first."""
    own = Session.user_id == given("caller_id", Uuid)
    shown = select(*SESSION, (Session.id == given("source_id", Uuid)).label("is_current"))
    live = Session.revoked_at.is_(None) & (Session.expires_at > func.now())
    return page_of(shape, Session.id, shown.where(own, live))


@listing({"id": Key(ApiKey.id)}, "-id")
def api_keys(_: Hashable, shape: Shape) -> Rows:
    """A page of the caller's keys, the newest first."""
    own = ApiKey.user_id == given("caller_id", Uuid)
    return page_of(shape, ApiKey.id, select(*API_KEY).where(own, ApiKey.revoked_at.is_(None)))


def api_key(_: Hashable) -> Rows:
    """One of the caller's keys."""
    own = (ApiKey.user_id == given("caller_id", Uuid)) & ApiKey.revoked_at.is_(None)
    return select(*API_KEY).where(ApiKey.id == given("key_id", Uuid), own)


def access_changes() -> Rows:
    """One row: the sessions, keys and people whose rights were changed by transactions that a reading at position
    `since` did not see; the position of this reading; on which run of which server that holds, and whether it is one
    that follows another.

    The position is the oldest transaction under way: whatever is committed later, however late, is numbered from there.
    """
    subjects = select(AccessChange.subject).where(AccessChange.transaction_id >= given("since", BigInteger)).distinct()
    return select(
        func.array(subjects.scalar_subquery(), type_=ARRAY(Uuid)).label("subjects"),
        cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger).label("position"),
        func.pg_postmaster_start_time().label("server"),
        func.pg_is_in_recovery().label("is_standby"),
    )


def expired(*, keep_ended: timedelta) -> tuple[Expired, ...]:
    """What nobody needs any longer."""
    ended = func.now() - keep_ended
    return (
        Expired(Attempt, Attempt.resets_at < func.now()),
        Expired(Session, or_(Session.expires_at < ended, Session.revoked_at < ended)),
        Expired(ApiKey, ApiKey.revoked_at < ended),
    )


def people_locked(user_ids: Collection[UUID], *, with_admins: bool) -> Rows:
    """These people, and all active administrators if they are asked for, locked in one order: changes of who they are,
    and of what they may do, wait for each other.
    """
    wanted: ColumnElement[bool] = User.id.in_(user_ids)
    if with_admins:
        wanted |= User.is_superuser & User.is_active
    admin = (User.is_superuser & User.is_active).label("is_admin")
    return select(User.id, admin, User.hashed_password).where(wanted).order_by(User.id).with_for_update()


def session_locked(session_id: UUID) -> Rows:
    """A session that has not ended, locked against its end."""
    return select(Session.id).where(is_live(session_id)).with_for_update(read=True, of=Session)


def api_key_locked(key_id: UUID) -> Rows:
    """An API key that has not ended, locked against its end."""
    lives = ApiKey.revoked_at.is_(None) & or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    return select(ApiKey.id).where(ApiKey.id == key_id, lives).with_for_update(read=True)


def keys_to_note(key_ids: Collection[UUID]) -> Rows:
    """Those of the keys whose last use was not written down for a minute, and that nobody is changing."""
    is_old = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < func.now() - timedelta(minutes=1))
    named = ApiKey.id == any_(literal(list(key_ids), ARRAY(Uuid)))
    return select(ApiKey.id).where(named, is_old).with_for_update(skip_locked=True)


def live_api_key_count(user_id: UUID) -> Rows:
    """How many keys a person has."""
    return select(func.count().label("count")).where(ApiKey.user_id == user_id, ApiKey.revoked_at.is_(None))


def newest_sessions(user_id: UUID, at_most: int) -> Rows:
    """The sessions that a person keeps when there are too many."""
    live = (Session.user_id == user_id) & Session.revoked_at.is_(None)
    return select(Session.id).where(live).order_by(Session.id.desc()).limit(at_most)


def is_live(session_id: UUID) -> ColumnElement[bool]:
    """Holds for the row of this session if it has not ended, its person is active and their password has not ended."""
    lasting = or_(User.password_expires_at.is_(None), User.password_expires_at > func.now())
    active = select(User.id).where(User.id == Session.user_id, User.is_active, lasting).exists()
    return (Session.id == session_id) & Session.revoked_at.is_(None) & (Session.expires_at > func.now()) & active


def just_refreshed(session_id: UUID, generation: int, refresh_hash: bytes, within: timedelta) -> Rows:
    """The person of a session whose latest refresh, a moment ago, issued the token with this hash."""
    return select(Session.user_id).where(
        is_live(session_id),
        Session.generation == generation,
        Session.refresh_hash == refresh_hash,
        Session.refreshed_at > func.now() - within,
    )


def attempts_locked(*keys: str) -> Rows:
    """These counts, locked in the order in which they are counted: the other one would let two logins wait for each
    other.
    """
    return select(Attempt.key).where(Attempt.key.in_(keys)).order_by(Attempt.key).with_for_update()
