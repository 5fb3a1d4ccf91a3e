"""Statements that return sessions."""

from collections.abc import Hashable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Uuid,
    func,
    select,
)

from app.auth.models import Session
from app.auth.queries import is_live
from app.auth.sessions.schemas import SessionRead
from app.core.database.statements import Rows, param
from app.core.listing.sorting import Key
from app.core.listing.statement import ListSource, ListVariant, list_query, simple_list

SESSION = (
    Session.id,
    Session.user_agent,
    Session.address,
    Session.created_at,
    Session.refreshed_at,
    Session.expires_at,
)


@list_query({"id": Key(Session.id)}, "-id", model=SessionRead)
def live_sessions(_: Hashable, __: ListVariant) -> ListSource:
    """Select a page of the caller's sessions, the newest first."""
    own = Session.user_id == param("caller_id", Uuid)
    shown = select(*SESSION, (Session.id == param("source_id", Uuid)).label("is_current"))
    live = Session.revoked_at.is_(None) & (Session.expires_at > func.now())
    return simple_list(shown.where(own, live))


def newest_sessions(user_id: ColumnElement[UUID], at_most: ColumnElement[int]) -> Rows:
    """Select the newest sessions of a user, which are kept when there are too many."""
    live = (Session.user_id == user_id) & Session.revoked_at.is_(None)
    return select(Session.id).where(live).order_by(Session.id.desc()).limit(at_most)


def just_refreshed(session_id: UUID, generation: int, refresh_hash: bytes, within: timedelta) -> Rows:
    """Select the user of a session whose latest refresh was within that time and issued the token with this hash."""
    return select(Session.user_id).where(
        is_live(session_id),
        Session.generation == generation,
        Session.refresh_hash == refresh_hash,
        Session.refreshed_at > func.now() - within,
    )
