"""The state of a request while it is served: one object, under one key of its ASGI scope."""

from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol
from uuid import UUID

from app.core.concurrency import Share

_KEY = "taller"

LINES = "taller.lines"
"""An extension of ASGI that our protocol has: an `http.response.start` that has, under this name, further headers as
lines, each with its end, which are sent as they are, has the body as well, or its first part."""


class Known(Protocol):
    """An authenticated caller."""

    @property
    def user_id(self) -> UUID:
        """The user, whether signed in by a session or by an API key."""

    @property
    def principal(self) -> UUID:
        """The identity across requests: the API key, or the user."""


class RequestQuota(Protocol):
    """The rate limit for one request, which is counted once."""

    def consume(self, caller: UUID) -> None:
        """Count the request against a caller's quota. Raises `TooManyRequestsError` if it is used up."""

    def consume_for_address(self, policy: str) -> None:
        """Count the request against its network address's quota. Raises `TooManyRequestsError` if it is used up."""


class RequestState:
    """The state of one request. `RequestMiddleware` creates it, and the layers below it fill it in."""

    prefix: str = ""
    """The part of the path that a proxy strips; clients put it before each path."""

    declared_length: int | None = None
    """The length of the body in bytes, if the client declares it."""

    idempotency_keys: tuple[bytes, ...] = ()
    """Every value of the `Idempotency-Key` header."""

    quota: RequestQuota | None = None
    """None if requests are not limited."""

    caller: Known | None = None
    """The caller, once a guard has authenticated the request."""

    share: Share | None = None
    """The caller's concurrency limit, in which the request holds a place while its handler runs."""

    body: bytes = b""
    """The body, once the operation has read it."""

    database: object | None = None
    """The database in the place of the application's: for example a transaction that spans the whole request."""

    position: str | None = None
    """The position in the database that the client has seen, as it sent it. None if reads have no replica."""

    position_seen: str | None = None
    """The position that it has seen by the response."""

    has_named_tag: bool = False
    """Whether the response is 304 because `If-None-Match` named the tag, and not by `*`."""

    is_replayed: bool = False
    """Whether the response is the stored one of an earlier request with the same idempotency key."""

    code: str | None = None
    """The code of the problem in the response."""

    reason: str | None = None
    """Why it was refused, for the log: the problem's detail, or the codes of what is wrong with the input."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id

    def put_into(self, scope: MutableMapping[str, Any]) -> None:
        """Store it in the ASGI scope, where `state_of` finds it."""
        scope[_KEY] = self


def state_of(scope: Mapping[str, Any]) -> RequestState:
    """Return the state of the request with this ASGI scope."""
    state: RequestState = scope[_KEY]
    return state
