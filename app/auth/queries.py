"""Statements that return people, sessions and keys."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, literal, select, true

from app.auth.models import AccessChange, ApiKey, Session, User
from app.auth.scopes import Caller
from app.core.database import Rows
from app.core.pagination import PageParams, page_statement

ACCOUNT = (User.id, User.username, User.email, User.is_active, User.is_superuser, User.created_at)
"""What a person, and an administrator, may see of an account."""

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


def user_by_id(user_id: UUID) -> Rows:
    """The account with this id."""
    return select(*ACCOUNT).where(User.id == user_id)


def login_by_id(user_id: UUID) -> Rows:
    """The account with this id, with what is needed to check its password."""
    return select(*LOGIN).where(User.id == user_id)


def login_by_name(name: str) -> Rows:
    """The account with this username, whatever its case, with what is needed to check its password."""
    return select(*LOGIN).where(func.lower(User.username) == func.lower(name))


def person_by_username(name: str) -> Rows:
    """What everybody may know of the active person with this username."""
    return select(User.id, User.username).where(func.lower(User.username) == func.lower(name), User.is_active)


def users(params: PageParams) -> Rows:
    """A page of all accounts, the newest first."""
    return page_statement(
        anchor=select(literal(1)).subquery("everybody"),
        permitted=true(),
        items=select(*ACCOUNT).order_by(User.id.desc()),
        total=select(func.count()).select_from(User),
        params=params,
    )


def live_session(session_id: UUID) -> Rows:
    """The person of a session that has not ended, if active."""
    return (
        select(User.id.label("user_id"), User.is_superuser)
        .join(Session, Session.user_id == User.id)
        .where(Session.id == session_id, Session.revoked_at.is_(None), Session.expires_at > func.now(), User.is_active)
    )


def api_key_by_hash(secret_hash: bytes) -> Rows:
    """The key with this secret, whatever its state, and its person."""
    return (
        select(
            ApiKey.id,
            ApiKey.user_id,
            ApiKey.scopes,
            ApiKey.project_id,
            ApiKey.expires_at,
            ApiKey.revoked_at,
            User.is_active,
            User.is_superuser,
        )
        .join(User, User.id == ApiKey.user_id)
        .where(ApiKey.secret_hash == secret_hash)
    )


def live_sessions(caller: Caller, params: PageParams) -> Rows:
    """A page of the caller's sessions, the newest first."""
    live = (Session.user_id == caller.user_id) & Session.revoked_at.is_(None) & (Session.expires_at > func.now())
    return page_statement(
        anchor=select(literal(1)).subquery("caller"),
        permitted=true(),
        items=select(*SESSION, (Session.id == caller.source_id).label("is_current"))
        .where(live)
        .order_by(Session.id.desc()),
        total=select(func.count()).select_from(Session).where(live),
        params=params,
    )


def api_keys(caller: Caller, params: PageParams) -> Rows:
    """A page of the caller's keys, the newest first."""
    own = (ApiKey.user_id == caller.user_id) & ApiKey.revoked_at.is_(None)
    return page_statement(
        anchor=select(literal(1)).subquery("caller"),
        permitted=true(),
        items=select(*API_KEY).where(own).order_by(ApiKey.id.desc()),
        total=select(func.count()).select_from(ApiKey).where(own),
        params=params,
    )


def api_key_of(caller: Caller) -> Rows:
    """The key by which the caller is known."""
    return select(*API_KEY).where(ApiKey.id == caller.source_id)


def changed_subjects(within: timedelta) -> Rows:
    """The sessions, keys and people whose rights changed lately."""
    return select(AccessChange.subject).where(AccessChange.changed_at > func.now() - within).distinct()
