"""Sign-in, and operations that change sessions."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Executable, Interval, Text, Uuid, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.auth import throttle
from app.auth.errors import (
    InvalidCredentialsError,
    InvalidRefreshTokenError,
    RefreshTokenReusedError,
    SessionNotFoundError,
)
from app.auth.manager import Authentication, AuthUser
from app.auth.models import ONE_TIME, SPENT, Session, User, username_key
from app.auth.queries import is_live
from app.auth.scopes import Caller
from app.auth.sessions import queries
from app.auth.sessions.schemas import Credentials
from app.auth.tokens import RefreshClaims, hashed, issue_refresh_token
from app.core.database.database import Database, Transaction
from app.core.database.statements import as_params, column_params, compiled, param
from app.core.errors import AppError
from app.core.ids import uuid7
from app.core.metrics import Counter

_SIGN_INS = Counter("taller_sign_ins", "Sign-ins: `succeeded`, or the code of the refusal.", ["result"])


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sign-in comes from."""

    network: str
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of a session."""

    access_token: str
    refresh_token: str


async def sign_in(
    authentication: Authentication, database: Database, credentials: Credentials, origin: Origin
) -> TokenPair:
    """Begin a session. Raises `InvalidCredentialsError` or `TooManyAttemptsError`."""
    try:
        tokens = await _sign_in(authentication, database, credentials, origin)
    except AppError as error:
        _SIGN_INS.labels(error.code).inc()
        raise
    _SIGN_INS.labels("succeeded").inc()
    return tokens


async def _sign_in(
    authentication: Authentication, database: Database, credentials: Credentials, origin: Origin
) -> TokenPair:
    account, address = _login_keys(credentials.username, origin.network)
    await throttle.count_login(authentication.settings, database, account=account, address=address)
    async with throttle.refunded_if_unavailable(database, account, address):
        user = await authentication.manager.authenticate(credentials)
    if user is None or user.password_state == SPENT:
        raise InvalidCredentialsError
    if user.password_state == ONE_TIME:
        await _spend(database, user)
    tokens = await _begin_session(authentication, database, user, origin)
    await throttle.refund(database, address, cleared=[account])
    return tokens


async def refresh(authentication: Authentication, database: Database, claims: RefreshClaims, token: str) -> TokenPair:
    """Exchange a refresh token, whose claims are valid, for the next pair.

    A token that was used before ends its session, unless it was exchanged a moment ago: then the answer was probably
    lost, and the same pair is returned again.
    """
    settings = authentication.settings
    following = issue_refresh_token(authentication.ring, claims.session_id, claims.generation + 1)
    live = is_live(claims.session_id)
    holder = await database.fetch_one_or_none(
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
        holder = await database.fetch_one_or_none(
            queries.just_refreshed(claims.session_id, claims.generation + 1, hashed(following), grace)
        )
    if holder is None:
        stolen = update(Session).where(live, Session.generation > claims.generation).values(revoked_at=func.now())
        if await database.fetch_one_or_none(stolen.returning(Session.id)):
            raise RefreshTokenReusedError
        raise InvalidRefreshTokenError
    return _tokens(authentication, holder["user_id"], claims.session_id, following)


async def end_session(database: Database, caller: Caller, session_id: UUID) -> None:
    """End one of the caller's sessions."""
    ended = await database.fetch_one_or_none(
        update(Session)
        .where(Session.id == session_id, Session.user_id == caller.user_id, Session.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(Session.id)
    )
    if ended is None:
        raise SessionNotFoundError


async def end_other_sessions(database: Database, caller: Caller) -> list[UUID]:
    """End all of the caller's sessions but this one. Return their ids."""
    rows = await database.fetch_all(_ending(caller.user_id, except_for=caller.source_id).returning(Session.id))
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
    if await database.fetch_one_or_none(spent) is None:
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
    begun = await database.fetch_one_or_none(
        _insert_session(tuple(values)),
        {
            **as_params(values),
            "user_id": user.id,
            "hashed_password": user.hashed_password,
            "lifetime": timedelta(seconds=settings.refresh_token_lifetime),
            # Both parts of the statement see the rows from before, so one place is left for the new session.
            "at_most": settings.max_sessions - 1,
        },
    )
    if begun is None:
        raise InvalidCredentialsError
    return _tokens(authentication, user.id, session_id, refresh_token)


@compiled
def _insert_session(names: tuple[str, ...]) -> Executable:
    """Insert a session and end the oldest if there are too many: no row if the password or the account has changed."""
    user_id = param("user_id", Uuid)
    row = (
        select(User.id, *column_params(Session, names).values(), func.now() + param("lifetime", Interval))
        # The password was verified a while ago. The lock waits for a concurrent change, and then finds the new hash.
        .where(User.id == user_id, User.is_active, User.hashed_password == param("hashed_password", Text))
        .with_for_update(read=True)
    )
    begun = (
        insert(Session)
        .from_select(["user_id", *names, "expires_at"], row, include_defaults=False)
        .returning(Session.id)
        .cte("begun")
    )
    kept = queries.newest_sessions(user_id, param("at_most", BigInteger))
    ended = _ending(user_id).where(Session.id.not_in(kept), select(begun.c.id).exists()).returning(Session.id)
    return select(begun.c.id).add_cte(ended.cte("ended"))


def _tokens(authentication: Authentication, user_id: UUID, session_id: UUID, refresh_token: str) -> TokenPair:
    return TokenPair(authentication.access_tokens.issue(user_id, session_id), refresh_token)


async def end_sessions(transaction: Transaction, user_id: UUID, *, except_for: UUID | None = None) -> None:
    """End all sessions of a user, except for one if it is named."""
    await transaction.execute(_ending(user_id, except_for=except_for))


def _ending(user_id: UUID | ColumnElement[UUID], *, except_for: UUID | None = None) -> Any:
    statement = update(Session).where(Session.user_id == user_id, Session.revoked_at.is_(None))
    if except_for is not None:
        statement = statement.where(Session.id != except_for)
    return statement.values(revoked_at=func.now())


def _login_keys(username: str, network: str) -> tuple[str, str]:
    return (
        throttle.attempt_key("login", username_key(username), network),
        throttle.attempt_key("network", network),
    )
