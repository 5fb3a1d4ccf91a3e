"""Entity tags in responses: the `ETag` header, and the responses 304 and 412 to conditional reads."""

import hashlib
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, get_args

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import to_json

from app.core.database.rows import Records
from app.core.preconditions.headers import UNCONDITIONAL, PreconditionFailedError, preconditions_of
from app.core.request_state import state_of

REVALIDATED = b"private, no-cache"
"""A browser may cache the response for its user, and revalidates it each time."""


def tag_reader(route: APIRoute) -> Callable[[Any], str | None] | None:
    """Return what tells the tag from a response's value, or None where only its bytes do; None if it has no tag."""
    if route.response_field is None:
        return None
    annotation = route.response_field.field_info.annotation
    members = {name for model in (annotation, *get_args(annotation)) for name in getattr(model, "model_fields", ())}
    if "items" in members and "GET" in (route.methods or ()):
        return tag_of_page
    return itemgetter("etag") if "etag" in members else None


def tag_of_page(page: Mapping[str, Any]) -> str | None:
    """Return the tag of a page from the ids and tags of its rows and its other members; None if its rows have none. A
    row's tag changes whenever its representation does.
    """
    items = page["items"]
    states = items.states() if isinstance(items, Records) else None
    if states is None:
        return None
    return tag_of_bytes(states + to_json({name: value for name, value in page.items() if value is not items}))


def tag_of_bytes(body: bytes) -> str:
    """Return the tag of a response without an `etag` member."""
    # SHA-1 is by far the fastest in hashlib, and a collision between two of one caller's pages harms nobody else.
    return f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'


def unchanged(request: Request, tag: str) -> Response | None:
    """Return 304 without a body for a read whose `If-None-Match` names the current tag, None for any other request.

    Raises `PreconditionFailedError` if a read's `If-Match` does not name the tag, and `InvalidRequestError` for a
    malformed header.
    """
    if request.scope["method"] not in {"GET", "HEAD"} or (wanted := preconditions_of(request)) is UNCONDITIONAL:
        return None
    if wanted.match.kind == "tags" and tag not in wanted.match.strong:
        raise PreconditionFailedError(tag)
    is_named = tag in wanted.none_match.opaque
    if not is_named and wanted.none_match.kind != "any":
        return None
    state_of(request.scope).has_named_tag = is_named
    return Response(status_code=304)


def tagged(response: Response, tag: str, *, kept: bytes = REVALIDATED) -> Response:
    """Return the response with its tag. `kept`: the value of `Cache-Control`."""
    response.raw_headers += [(b"etag", tag.encode()), (b"cache-control", kept)]
    return response


def apply_preconditions(request: Request, response: Response, tag: str, *, kept: bytes = REVALIDATED) -> Response:
    """Return the response, or 304 instead of it (`unchanged`), with its tag (`tagged`)."""
    return tagged(unchanged(request, tag) or response, tag, kept=kept)
