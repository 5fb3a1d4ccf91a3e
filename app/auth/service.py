"""Operations that accounts, sessions and API keys share: lock a caller, and end access that a backup revived."""

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
from app.core.database.rows import Records


async def lock_caller(transaction: Transaction, caller: Caller) -> None:
    """Lock the caller's session or key until the transaction ends. Raises `InvalidTokenError` if it has ended since the
    caller was cached. Every change that outlasts a session needs this lock: the cache alone may be out of date.
    """
    held = queries.session_locked if caller.method == "session" else queries.api_key_locked
    if await transaction.fetch_one_or_none(held(caller.source_id)) is None:
        raise InvalidTokenError


async def lock_admin(transaction: Transaction, caller: Caller, people: Records) -> None:
    """Lock the caller as `lock_caller` does, and raise `AdminRequiredError` unless they are an administrator among
    these locked users.
    """
    await lock_caller(transaction, caller)
    if not any(person["id"] == caller.user_id and person["is_admin"] for person in people):
        raise AdminRequiredError


async def end_revived_access(transaction: Transaction, *, revoke_keys: bool) -> dict[str, int]:
    """End the access that a restored backup may have revived: all sessions and one-time passwords and, on request, all
    API keys. Return how many of each were ended.
    """
    ending = {"sessions": update(Session).where(Session.revoked_at.is_(None)).values(revoked_at=func.now())}
    ending["one-time passwords"] = update(User).where(User.password_state == ONE_TIME).values(password_state=SPENT)
    if revoke_keys:
        ending["API keys"] = update(ApiKey).where(ApiKey.revoked_at.is_(None)).values(revoked_at=func.now())
    ended = {
        name: len(await transaction.fetch_all(statement.returning(literal(1)))) for name, statement in ending.items()
    }
    # Processes that kept running may have cached callers that the restored database does not have.
    await transaction.execute(insert(AccessChange).values(subject=EVERYBODY))
    return ended
