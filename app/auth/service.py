"""What accounts, sessions and API keys share: a caller is held, and what a restored backup revived is ended."""

from typing import Any

from sqlalchemy import func, literal, update
from sqlalchemy.dialects.postgresql import insert

from app.auth import queries
from app.auth.errors import (
    AdminRequiredError,
    InvalidTokenError,
)
from app.auth.models import EVERYBODY, ONE_TIME, SPENT, AccessChange, ApiKey, Session, User
from app.auth.scopes import Caller
from app.core.database.database import Transaction


async def lock_caller(transaction: Transaction, caller: Caller) -> None:
    """Keep the session or key of a caller from ending before the transaction; refuse one that has ended since the
    caller was remembered. What outlasts a session is done behind this, and not by memory alone.
    """
    held = queries.session_locked if caller.method == "session" else queries.api_key_locked
    if await transaction.fetch_one_or_none(held(caller.source_id)) is None:
        raise InvalidTokenError


async def lock_admin(transaction: Transaction, caller: Caller, people: list[dict[str, Any]]) -> None:
    """As `lock_caller`, for a caller who acts as an administrator and is among these people, who are locked."""
    await lock_caller(transaction, caller)
    if not any(person["id"] == caller.user_id and person["is_admin"] for person in people):
        raise AdminRequiredError


async def end_revived_access(transaction: Transaction, *, revoke_keys: bool) -> dict[str, int]:
    """After a backup was restored, end what may have been ended after it was made, and is there again: all sessions and
    one-time passwords, and, if wanted, all API keys. How many of each.
    """
    ending = {"sessions": update(Session).where(Session.revoked_at.is_(None)).values(revoked_at=func.now())}
    ending["one-time passwords"] = update(User).where(User.password_state == ONE_TIME).values(password_state=SPENT)
    if revoke_keys:
        ending["API keys"] = update(ApiKey).where(ApiKey.revoked_at.is_(None)).values(revoked_at=func.now())
    ended = {
        name: len(await transaction.fetch_all(statement.returning(literal(1)))) for name, statement in ending.items()
    }
    # Processes that ran on may remember whom this database never knew.
    await transaction.execute(insert(AccessChange).values(subject=EVERYBODY))
    return ended
