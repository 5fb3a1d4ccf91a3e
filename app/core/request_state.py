"""What is known of a request while it is served: one object, under one key of its ASGI scope."""

from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol
from uuid import UUID

from app.core.concurrency import Share

_KEY = "taller"


class Known(Protocol):
    """Somebody who is signed in."""

    @property
    def user_id(self) -> UUID:
        """The person, whatever they are signed in by."""

    @property
    def principal(self) -> UUID:
        """What stays the same from request to request: an API key, or the person."""


class RequestQuota(Protocol):
    """What a request takes, once, from what its caller may still ask for."""

    def consume(self, caller: UUID) -> None:
        """Count it for whoever is signed in. Raises `TooManyRequestsError` where none is left."""

    def consume_for_address(self, policy: str) -> None:
        """Count it for the network address that it comes from. Raises `TooManyRequestsError` where none is left."""


class RequestState:
    """The state of one request. `RequestMiddleware` makes it, and every layer below adds what it finds out."""

    prefix: str = ""
    """The part of the path that a proxy strips; clients put it before each path."""

    declared_length: int | None = None
    """The bytes of the body, where the client declares them."""

    idempotency_keys: tuple[bytes, ...] = ()
    """Every value of the `Idempotency-Key` header."""

    quota: RequestQuota | None = None
    """None where requests are not limited."""

    caller: Known | None = None
    """Who sends it, once a guard has asked."""

    share: Share | None = None
    """What the caller may have done at a time; its place is taken while the handler runs."""

    body: bytes = b""
    """The body, once the operation has read it."""

    transaction: object | None = None
    """The transaction in which the whole request is answered, while there is one."""

    has_named_tag: bool = False
    """Whether it is answered 304 because it named the tag, and not by `*`."""

    is_replayed: bool = False
    """Whether it is answered as an earlier request with the same key was."""

    code: str | None = None
    """The code of the problem that it is answered with."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id

    def put_into(self, scope: MutableMapping[str, Any]) -> None:
        """Let `state_of` find it."""
        scope[_KEY] = self


def state_of(scope: Mapping[str, Any]) -> RequestState:
    """Return the state of the request with this ASGI scope."""
    state: RequestState = scope[_KEY]
    return state
