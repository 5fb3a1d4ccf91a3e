"""Conditional requests (RFC 9110, section 13): what a request's `If-Match` and `If-None-Match` ask for.

A read compares its answer's tag (`answered`). A write carries the comparison in its statement, so that nothing comes
between the two: a guard reads the `Preconditions`, their `shape` decides the condition's text (`fulfilled`), and only
where the statement found nothing is it asked which of them failed. docs/decisions/0016-entity-tags.md has the reasons.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args

from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    SQLColumnExpression,
    Text,
    all_,
    any_,
    cast,
    false,
    literal_column,
    not_,
    true,
)

from app.core.errors import AppError, FieldError, InvalidRequestError
from app.core.statements import given

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"

_TAG = r'(?:W/)?"[!#-~\x80-\xff]*"'
# Elements of a list may be empty. What follows a tag can be read in one way only, so that nobody makes us try many.
PATTERN = rf"[ \t]*\*[ \t]*|[ \t,]*{_TAG}[ \t]*(?:,[ \t]*(?:{_TAG}[ \t]*)?)*"
"""What either header may say."""

_TAGS, _HEADER = re.compile(_TAG), re.compile(PATTERN)
MAX_HEADER_BYTES = 4_096
"""Bytes of either header, of all its lines together: some hundreds of our tags."""

NAMED = "taller.has_named_tag"
"""Set in the ASGI scope of a request that is answered 304 because it named the tag, and not by `*`."""

_REVALIDATED = b"private, no-cache"
"""A browser may keep the answer for the one person, and asks each time whether it is still true."""


class PreconditionFailedError(AppError):
    """It is no longer as you saw it: `ETag` is its tag now. Nothing was changed. Read it again, see whether your change
    still makes sense, and send it with the new tag.
    """

    status = 412
    code = "precondition_failed"
    title = "Changed in the meantime"

    def __init__(self, tag: str) -> None:
        super().__init__(headers={"ETag": tag})


class PreconditionRequiredError(AppError):
    """This project takes no blind changes (`require_if_match`): send the tag of what you saw in `If-Match`, or `*` for
    whatever it is.
    """

    status = 428
    code = "precondition_required"
    title = "Say what you saw"


class Kind(Enum):
    """What a header asks for."""

    ABSENT = "nothing"
    ANY = "*"
    TAGS = "one of these"


@dataclass(frozen=True, slots=True)
class Condition:
    """A header as it was sent; weak tags keep their `W/`."""

    kind: Kind
    tags: tuple[str, ...] = ()

    @property
    def strong(self) -> list[str]:
        """The tags for strong comparison, in which weak ones match nothing."""
        return [tag for tag in self.tags if not tag.startswith("W/")]

    @property
    def opaque(self) -> list[str]:
        """The tags for weak comparison, in which it does not matter whether they are weak."""
        return [tag.removeprefix("W/") for tag in self.tags]


_ABSENT, _ANY = Condition(Kind.ABSENT), Condition(Kind.ANY)

PreconditionShape = tuple[Kind, Kind]
"""What decides the text of the condition in a write's statement: what is asked by `If-Match` and by `If-None-Match`."""


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What has to hold of the current tag for a request to be carried out."""

    match: Condition = _ABSENT
    none_match: Condition = _ABSENT

    @property
    def shape(self) -> PreconditionShape:
        """What decides the condition's text."""
        return self.match.kind, self.none_match.kind

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The condition's values."""
        tags = {}
        if self.match.tags:
            tags["if_match"] = self.match.strong
        if self.none_match.tags:
            tags["if_none_match"] = self.none_match.opaque
        return tags

    def refusal(self, tag: str, *, is_required: bool) -> AppError | None:
        """Why a write is not carried out on what has this tag now, where `If-Match` is required or not."""
        if self.match.kind is Kind.ABSENT and is_required:
            return PreconditionRequiredError()
        if self.match.tags or self.none_match is not _ABSENT:
            # Also where it matches now: a moment ago, when the statement ran, it did not.
            return PreconditionFailedError(tag)
        return None


BLIND = Preconditions()
"""Whatever it is now."""


def preconditions_of(request: Request) -> Preconditions:
    """What the request asks for. Raises `InvalidRequestError` for a header that is no list of tags."""
    match = none_match = None
    for name, value in request.scope["headers"]:
        # A list may be sent in several lines.
        if name == b"if-match":
            match = value if match is None else match + b"," + value
        elif name == b"if-none-match":
            none_match = value if none_match is None else none_match + b"," + value
    if match is none_match is None:
        return BLIND
    return Preconditions(_read(IF_MATCH, match), _read(IF_NONE_MATCH, none_match))


def _read(header: str, value: bytes | None) -> Condition:
    if value is None:
        return _ABSENT
    if len(value) > MAX_HEADER_BYTES:
        detail = f"must not have more than {MAX_HEADER_BYTES} bytes"
        raise InvalidRequestError(errors=[FieldError(parameter=header, detail=detail, code="too_long")])
    try:
        return condition_of(value.decode("latin-1"))
    except ValueError as error:
        refused = FieldError(parameter=header, detail=str(error), code="entity_tags")
        raise InvalidRequestError(errors=[refused]) from None


def condition_of(text: str) -> Condition:
    """What a header says, or a member of a body in its place. Raises `ValueError` where that is no list of tags."""
    if not _HEADER.fullmatch(text):
        raise ValueError('must be * or a list of entity tags, each in double quotes ("…"), separated by commas')
    tags = tuple(_TAGS.findall(text))
    return Condition(Kind.TAGS, tags) if tags else _ANY


def tag_of(prefix: str, first: SQLColumnExpression[Any], *others: SQLColumnExpression[Any]) -> ColumnElement[str]:
    """A strong tag as SQL: the prefix, and the values, none of them null. Whatever an answer shows must be in them."""
    tag: ColumnElement[str] = literal_column(f"'\"{prefix}'", Text).concat(cast(first, Text))
    for part in others:
        tag = tag.concat(literal_column("'.'", Text)).concat(cast(part, Text))
    return tag.concat(literal_column("'\"'", Text))


def fulfilled(
    shape: PreconditionShape, tag: ColumnElement[str], is_required: SQLColumnExpression[bool]
) -> ColumnElement[bool]:
    """Holds for a row whose tag is as the `Preconditions` want it, and where none are unless they are required."""
    match, none_match = shape
    condition: ColumnElement[bool] = true()
    if match is Kind.ABSENT:
        condition = not_(is_required)
    elif match is Kind.TAGS:
        condition = tag == any_(given("if_match", ARRAY(Text)))
    if none_match is Kind.ANY:
        condition = false()
    elif none_match is Kind.TAGS:
        condition &= tag != all_(given("if_none_match", ARRAY(Text)))
    return condition


Tagger = Callable[[Any, bytes], str]
"""Makes an answer's tag of its value, if that is known, and its body."""


def tagger(route: APIRoute) -> Tagger | None:
    """How the answers of a route are tagged: by their own `etag`, or a page by its bytes; None where they are not."""
    if route.response_field is None:
        return None
    annotation = route.response_field.field_info.annotation
    members = {name for model in (annotation, *get_args(annotation)) for name in getattr(model, "model_fields", ())}
    if "items" in members and "GET" in (route.methods or ()):
        return lambda _, body: tag_of_bytes(body)
    return _own_tag if "etag" in members else None


def tag_of_bytes(body: bytes) -> str:
    """The tag of an answer that has none of its own."""
    # The fastest of hashlib by far; nobody is harmed by whoever finds two pages of their own with the same one.
    return f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'


def _own_tag(value: Any, body: bytes) -> str:
    tag: str = json.loads(body)["etag"] if value is None else value.etag
    return tag


def answered(request: Request, response: Response, tag: str, *, kept: bytes = _REVALIDATED) -> Response:
    """The answer with its tag; to a read, 304 without a body if the client has it already. `kept`: `Cache-Control`.

    Raises `PreconditionFailedError` if a read wants another, `InvalidRequestError` if it does not say clearly which.
    """
    if request.scope["method"] in {"GET", "HEAD"} and (wanted := preconditions_of(request)) is not BLIND:
        if wanted.match.kind is Kind.TAGS and tag not in wanted.match.strong:
            raise PreconditionFailedError(tag)
        is_named = tag in wanted.none_match.opaque
        if is_named or wanted.none_match.kind is Kind.ANY:
            response = Response(status_code=304)
            request.scope[NAMED] = is_named
    response.raw_headers += [(b"etag", tag.encode()), (b"cache-control", kept)]
    return response
