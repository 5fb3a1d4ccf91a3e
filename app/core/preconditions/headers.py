"""Conditional requests (RFC 9110, section 13): what a request's `If-Match` and `If-None-Match` ask for.

A read compares its answer's tag (`responses`). A write carries the comparison in its statement (`etags`), so that
nothing comes between the two: a guard reads the `Preconditions`, their `shape` decides the condition's text, and only
where the statement found nothing is it asked which of them failed. docs/decisions/0016-entity-tags.md has the reasons.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fastapi import Request

from app.core.errors import AppError, InvalidRequestError

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"

_TAG = r'(?:W/)?"[!#-~\x80-\xff]*"'
# Elements of a list may be empty. The pattern is unambiguous, so that it cannot backtrack (ReDoS).
PATTERN = rf"[ \t]*\*[ \t]*|[ \t,]*{_TAG}[ \t]*(?:,[ \t]*(?:{_TAG}[ \t]*)?)*"
"""What either header may say."""

_TAGS, _HEADER = re.compile(_TAG), re.compile(PATTERN)
MAX_HEADER_BYTES = 4_096
"""Bytes of either header, of all its lines together: some hundreds of our tags."""


class PreconditionFailedError(AppError):
    """The resource has changed since you read it; its current tag is in `ETag`. Nothing was changed: read it again, and
    repeat your change with the new tag.
    """

    status = 412
    code = "precondition_failed"
    title = "Precondition failed"

    def __init__(self, tag: str) -> None:
        super().__init__(headers={"ETag": tag})


class PreconditionRequiredError(AppError):
    """This project requires `If-Match` for every change (`require_if_match`): send the tag of the state that you read,
    or `*` for any state.
    """

    status = 428
    code = "precondition_required"
    title = "Precondition required"


class ConditionKind(Enum):
    """What a header asks for."""

    ABSENT = "nothing"
    ANY = "*"
    TAGS = "one of these"


@dataclass(frozen=True, slots=True)
class Condition:
    """A header as it was sent; weak tags keep their `W/`."""

    kind: ConditionKind
    tags: tuple[str, ...] = ()

    @property
    def strong(self) -> list[str]:
        """The tags for strong comparison, in which weak ones match nothing."""
        return [tag for tag in self.tags if not tag.startswith("W/")]

    @property
    def opaque(self) -> list[str]:
        """The tags for weak comparison, in which it does not matter whether they are weak."""
        return [tag.removeprefix("W/") for tag in self.tags]


_ABSENT, _ANY = Condition(ConditionKind.ABSENT), Condition(ConditionKind.ANY)

PreconditionShape = tuple[ConditionKind, ConditionKind]
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
        if self.match.kind is ConditionKind.ABSENT and is_required:
            return PreconditionRequiredError()
        if self.match.tags or self.none_match is not _ABSENT:
            # It fails even if the tag matches by now: it did not when the statement ran.
            return PreconditionFailedError(tag)
        return None


UNCONDITIONAL = Preconditions()
"""Whatever it is now."""


def preconditions_of(request: Request) -> Preconditions:
    """Return what the request asks for. Raises `InvalidRequestError` for a header that is no list of tags."""
    match = none_match = None
    for name, value in request.scope["headers"]:
        # A list may be sent in several lines.
        if name == b"if-match":
            match = value if match is None else match + b"," + value
        elif name == b"if-none-match":
            none_match = value if none_match is None else none_match + b"," + value
    if match is none_match is None:
        return UNCONDITIONAL
    return Preconditions(_read(IF_MATCH, match), _read(IF_NONE_MATCH, none_match))


def _read(header: str, value: bytes | None) -> Condition:
    if value is None:
        return _ABSENT
    if len(value) > MAX_HEADER_BYTES:
        raise InvalidRequestError.at(f"must not have more than {MAX_HEADER_BYTES} bytes", "too_long", parameter=header)
    try:
        return condition_of(value.decode("latin-1"))
    except ValueError as error:
        raise InvalidRequestError.at(str(error), "entity_tags", parameter=header) from None


def condition_of(text: str) -> Condition:
    """Read a header, or a member of a body in its place. Raises `ValueError` if it is not a list of tags."""
    if not _HEADER.fullmatch(text):
        raise ValueError('must be * or a comma-separated list of entity tags, each in double quotes ("…")')
    tags = tuple(_TAGS.findall(text))
    return Condition(ConditionKind.TAGS, tags) if tags else _ANY
