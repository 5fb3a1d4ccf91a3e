"""The store of responses under idempotency keys: its table, the lock of each key, and the limits per caller."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import Response
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Executable,
    Index,
    Interval,
    SmallInteger,
    Text,
    Uuid,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, mapped_column

from app.core.bounded import BoundedDict
from app.core.config import Settings
from app.core.database.database import Database, Transaction
from app.core.database.models import Base
from app.core.database.retention import PurgeRule
from app.core.database.statements import Rows, as_params, column_params, compiled, param
from app.core.errors import AppError, ConflictError

SHARE = 16
"""A process uses at most one part in so many of a caller's remaining quota before it counts again."""

MAX_CACHED = 10_000
"""Callers whose quota a process caches; the least recently used is evicted and counted again. About 2 MB when full."""


class IdempotencyKeyInUseError(ConflictError):
    """A request with this `Idempotency-Key` is still in progress: send it again after `Retry-After` seconds."""

    code = "idempotency_key_in_use"
    title = "Idempotency key in use"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


class IdempotencyKeyReusedError(AppError):
    """This `Idempotency-Key` was already used for a different request to this operation: use a new key."""

    status = 422
    code = "idempotency_key_reused"
    title = "Idempotency key reused"


class TooManyIdempotencyKeysError(ConflictError):
    """You have reached the limit of stored idempotency keys, by number or by the bytes of their responses: send the
    request without a key, or wait until old ones expire.
    """

    code = "too_many_idempotency_keys"
    title = "Too many idempotency keys"


class IdempotencyKey(Base):
    """A key, the request that it was sent with, and the response."""

    __tablename__ = "idempotency_keys"

    principal: Mapped[UUID] = mapped_column(primary_key=True)
    """Who sent it: an API key, or a user."""

    operation: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes]
    """SHA-256 of the request."""

    status: Mapped[int] = mapped_column(SmallInteger)
    headers: Mapped[list[list[str]]] = mapped_column(ARRAY(Text, dimensions=2))
    body: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (Index("idempotency_keys_created_at_idx", "created_at"),)


@dataclass(slots=True)
class Quota:
    """How much more a process may store for a caller before it counts again. The last response may exceed it."""

    keys: int
    size: int
    """Bytes of the responses' bodies."""


class IdempotentRequest(NamedTuple):
    """A request with a key: its caller, its operation, the key, and a hash of the request."""

    principal: UUID
    operation: str
    key: str
    fingerprint: bytes

    @property
    def lock(self) -> int:
        """The number of the advisory lock under which it is executed."""
        name = f"{self.principal}/{self.operation}/{self.key}".encode()
        return int.from_bytes(blake2b(name, digest_size=8).digest(), signed=True)


class IdempotencyStore:
    """Finds and stores responses within the limits of the settings; one instance for each process."""

    def __init__(self, settings: Settings) -> None:
        self._lifetime = timedelta(seconds=settings.idempotency_lifetime)
        self._limit = Quota(settings.max_idempotency_keys, settings.max_idempotency_bytes)
        self._quota: BoundedDict[UUID, Quota] = BoundedDict(MAX_CACHED)

    async def find(self, transaction: Transaction, request: IdempotentRequest) -> Response | None:
        """Return the stored response to a request; None if the request is to be executed, in which case its key is
        locked until the transaction ends.

        Raises `IdempotencyKeyReusedError` or `IdempotencyKeyInUseError`.
        """
        values = {**request._asdict(), "lock": request.lock, "lifetime": self._lifetime}
        found = await transaction.fetch_one_or_none(_select_answer(), values)
        assert found is not None
        if found["fingerprint"] is not None:
            if found["fingerprint"] != request.fingerprint:
                raise IdempotencyKeyReusedError
            response = Response(found["body"], found["status"])
            for name, value in found["headers"]:
                response.headers.append(name, value)
            return response
        if not found["is_free"]:
            raise IdempotencyKeyInUseError
        return None

    async def save(self, transaction: Transaction, request: IdempotentRequest, response: Response) -> None:
        """Store a response in the transaction of its request."""
        headers = [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, value in response.raw_headers
            if name != b"content-length"
        ]
        answer = {"status": response.status_code, "headers": headers, "body": bytes(response.body)}
        values = {**as_params({**request._asdict(), **answer}), "lifetime": self._lifetime}
        if await transaction.fetch_one_or_none(_insert_answer(), values) is None:
            # The first request committed after this one had read the row, and before this one had the lock.
            raise IdempotencyKeyInUseError
        self.count(request, len(response.body))

    async def has_room(self, database: Database, principal: UUID) -> bool:
        """Return whether another response may be stored for a caller."""
        quota = self._quota.get(principal)
        if quota is not None and quota.keys > 0 and quota.size > 0:
            return True
        # Counting takes longer the more keys there are, so it is repeated only when the cached quota is used up.
        values = {"principal": principal, "lifetime": self._lifetime, "at_most": self._limit.keys}
        counted = await database.fetch_one_or_none(_count_answers(), values)
        assert counted is not None, "a sum has one row"
        left = Quota(self._limit.keys - counted["number"], self._limit.size - counted["size"])
        if left.keys <= 0 or left.size <= 0:
            return False
        # Only a part of the quota, because other processes count the same remaining quota.
        self._quota.put(principal, Quota(max(1, left.keys // SHARE), max(1, left.size // SHARE)))
        self._quota.move_to_end(principal)
        return True

    def count(self, request: IdempotentRequest, size: int) -> None:
        """Count a stored response of this many bytes against its caller's quota."""
        if (quota := self._quota.get(request.principal)) is not None:
            quota.keys -= 1
            quota.size -= size


def purge_rule(settings: Settings) -> PurgeRule:
    """Return the rule for deleting expired keys."""
    return PurgeRule(
        IdempotencyKey, IdempotencyKey.created_at <= func.now() - timedelta(seconds=settings.idempotency_lifetime)
    )


def _is_live(key: Any) -> ColumnElement[bool]:
    # Written so that the index on created_at is not used: one caller has few keys, a day has many.
    live: ColumnElement[bool] = func.now() - key.created_at < param("lifetime", Interval)
    return live


@compiled
def _select_answer() -> Rows:
    """Select one row: the stored response, if there is one, and whether the lock was free and is now taken."""
    kept = IdempotencyKey
    this_one = (
        (kept.principal == param("principal", Uuid))
        & (kept.operation == param("operation", Text))
        & (kept.key == param("key", Text))
        & _is_live(kept)
    )
    return select(
        func.pg_try_advisory_xact_lock(param("lock", BigInteger)).label("is_free"),
        kept.fingerprint,
        kept.status,
        kept.headers,
        kept.body,
    ).select_from(select(literal(1)).subquery("request").outerjoin(kept, this_one))


@compiled
def _count_answers() -> Rows:
    """Select the number of a caller's stored responses and their size, both counted up to `at_most` responses."""
    stored = (
        select(func.octet_length(IdempotencyKey.body).label("size"))
        .where(IdempotencyKey.principal == param("principal", Uuid), _is_live(IdempotencyKey))
        .limit(param("at_most", BigInteger))
        .subquery("stored")
    )
    size = cast(func.coalesce(func.sum(stored.c.size), 0), BigInteger)
    return select(func.count().label("number"), size.label("size")).select_from(stored)


@compiled
def _insert_answer() -> Executable:
    """Insert a response, or replace an expired one. Returns no row if there is one that has not expired."""
    named = column_params(IdempotencyKey, ("principal", "operation", "key", "fingerprint", "status", "headers", "body"))
    new = insert(IdempotencyKey).values(named)
    replaced = ("fingerprint", "status", "headers", "body", "created_at")
    return new.on_conflict_do_update(
        constraint="idempotency_keys_pkey",
        set_={name: new.excluded[name] for name in replaced},
        # Without `now()`, which Citus does not take in ON CONFLICT (docs/scaling.md).
        where=new.excluded.created_at - IdempotencyKey.created_at >= param("lifetime", Interval),
    ).returning(IdempotencyKey.status)
