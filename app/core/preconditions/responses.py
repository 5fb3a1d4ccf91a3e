"""Entity tags in responses: the `ETag` header, and the responses 304 and 412 to conditional reads."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, get_args

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.core.preconditions.headers import UNCONDITIONAL, ConditionKind, PreconditionFailedError, preconditions_of
from app.core.request_state import state_of

_REVALIDATED = b"private, no-cache"
"""A browser may cache the response for its user, and revalidates it each time."""

ETagFactory = Callable[[Any, bytes], str]
"""Returns the tag of a response from its value, if that is known, and its body."""


def etag_factory(route: APIRoute) -> ETagFactory | None:
    """Return the factory of a route's tags: the value's own `etag`, or a hash for a page; None if it has no tags."""
    if route.response_field is None:
        return None
    annotation = route.response_field.field_info.annotation
    members = {name for model in (annotation, *get_args(annotation)) for name in getattr(model, "model_fields", ())}
    if "items" in members and "GET" in (route.methods or ()):
        return lambda _, body: tag_of_bytes(body)
    return _own_tag if "etag" in members else None


def tag_of_bytes(body: bytes) -> str:
    """Return the tag of a response without an `etag` member."""
    # SHA-1 is by far the fastest in hashlib, and a collision between two of one caller's pages harms nobody else.
    return f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'


def _own_tag(value: Any, body: bytes) -> str:
    if value is None:
        value = json.loads(body)
    tag: str = value["etag"] if isinstance(value, Mapping) else value.etag
    return tag


def apply_preconditions(request: Request, response: Response, tag: str, *, kept: bytes = _REVALIDATED) -> Response:
    """Return the response with its tag; for a read, 304 without a body if `If-None-Match` names the tag.

    `kept`: the value of `Cache-Control`. Raises `PreconditionFailedError` if a read's `If-Match` does not name the tag,
    and `InvalidRequestError` for a malformed header.
    """
    if request.scope["method"] in {"GET", "HEAD"} and (wanted := preconditions_of(request)) is not UNCONDITIONAL:
        if wanted.match.kind is ConditionKind.TAGS and tag not in wanted.match.strong:
            raise PreconditionFailedError(tag)
        is_named = tag in wanted.none_match.opaque
        if is_named or wanted.none_match.kind is ConditionKind.ANY:
            response = Response(status_code=304)
            state_of(request.scope).has_named_tag = is_named
    response.raw_headers += [(b"etag", tag.encode()), (b"cache-control", kept)]
    return response
