"""Limits on attempts to guess a secret, counted in the database for all workers together.

An attempt is counted before it is checked, so that concurrent attempts gain nothing. A count expires after a window,
and each is for one network address, so that nobody can lock another person out.
"""

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from math import ceil

from sqlalchemy import Executable, Interval, Text, any_, case, extract, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from app.auth import queries
from app.auth.errors import TooManyAttemptsError
from app.auth.models import Attempt
from app.core.config import Settings
from app.core.database.database import Database
from app.core.database.statements import compiled, inline, param
from app.core.errors import UnavailableError


def attempt_key(kind: str, *parts: str) -> str:
    """Return the key under which attempts are counted: a hash, because what people type must not be stored or
    logged.
    """
    return f"{kind}:{hashlib.sha256('|'.join(parts).encode(errors='replace')).hexdigest()[:32]}"


async def count(database: Database, limits: Mapping[str, int], *, window: timedelta) -> None:
    """Count one attempt under each key. Raises `TooManyAttemptsError` if that exceeds a key's limit."""
    counted = await database.fetch_all(_count_attempts(), {"keys": sorted(limits), "window": window})
    exceeded = [row["seconds"] for row in counted if row["count"] > limits[row["key"]]]
    if exceeded:
        raise TooManyAttemptsError(max(1, ceil(max(exceeded))))


async def refund(database: Database, *eased: str, cleared: Sequence[str] = ()) -> None:
    """Subtract one attempt from each of the `eased` keys, and set the `cleared` keys to zero."""
    await database.execute(_refund_attempts(), {"keys": [*eased, *cleared], "cleared": list(cleared)})


async def count_login(settings: Settings, database: Database, *, account: str, address: str | None = None) -> None:
    """Count an attempt to sign in, before the password is checked. Raises `TooManyAttemptsError`."""
    limits = {account: settings.login_failures_per_account}
    if address is not None:
        limits[address] = settings.login_failures_per_address
    await count(database, limits, window=timedelta(seconds=settings.login_failure_window))


@asynccontextmanager
async def refunded_if_unavailable(database: Database, *keys: str) -> AsyncGenerator[None]:
    """Refund an attempt whose password was not checked because the service is overloaded."""
    try:
        yield
    except UnavailableError:
        await refund(database, *keys)
        raise


@compiled
def _count_attempts() -> Executable:
    """Count one attempt under each of these keys, which are sorted."""
    window = param("window", Interval)
    now = func.now()
    counted = select(func.unnest(param("keys", ARRAY(Text))), inline(1), now + window)
    attempt = insert(Attempt).from_select(["key", "count", "resets_at"], counted)
    # Without `now()`, which Citus does not take in ON CONFLICT nor in RETURNING (docs/scaling.md).
    is_over = attempt.excluded.resets_at - Attempt.resets_at >= window
    stored = (
        attempt.on_conflict_do_update(
            index_elements=[Attempt.key],
            set_={
                "count": case((is_over, 1), else_=func.least(Attempt.count + 1, 1_000_000)),
                "resets_at": case((is_over, attempt.excluded.resets_at), else_=Attempt.resets_at),
            },
        )
        .returning(Attempt.key, Attempt.count, Attempt.resets_at)
        .cte("stored")
    )
    return select(stored.c.key, stored.c.count, extract("epoch", stored.c.resets_at - now).label("seconds"))


@compiled
def _refund_attempts() -> Executable:
    keys, cleared = param("keys", ARRAY(Text)), param("cleared", ARRAY(Text))
    return (
        update(Attempt)
        # Locked in the order in which `count` locks them: otherwise two logins of one user could deadlock.
        .where(Attempt.key.in_(queries.attempts_locked(keys)))
        .values(count=case((Attempt.key == any_(cleared), 0), else_=func.greatest(Attempt.count - 1, 0)))
    )
