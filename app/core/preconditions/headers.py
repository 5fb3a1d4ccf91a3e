"""Conditional requests (RFC 9110, section 13): parsing of `If-Match` and `If-None-Match`.

A read compares the tag of its response (`responses`). A write has the comparison in its statement (`etags`), so that no
other change can come between (docs/decisions/0016-entity-tags.md).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import Request

from app.core.errors import AppError, InvalidRequestError

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"

_TAG = r'(?:W/)?"[!#-~\x80-\xff]*"'
# List elements may be empty. The pattern is unambiguous, so that it cannot backtrack (ReDoS).
PATTERN = rf"[ \t]*\*[ \t]*|[ \t,]*{_TAG}[ \t]*(?:,[ \t]*(?:{_TAG}[ \t]*)?)*"
"""The syntax of both headers."""

_TAGS, _HEADER = re.compile(_TAG), re.compile(PATTERN)
MAX_HEADER_BYTES = 4_096
"""Bytes of either header, all its lines together: enough for some hundred tags."""


class PreconditionFailedError(AppError):
    """The resource has changed since you read it; its current tag is in `ETag`. Nothing was changed: read it again and
    repeat your change with the new tag.
    """

    status = 412
    code = "precondition_failed"
    title = "Precondition failed"

    def __init__(self, tag: str) -> None:
        super().__init__(headers={"ETag": tag})


ConditionKind = Literal["absent", "any", "tags"]
"""The kinds of header values: none, `*`, or entity tags."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed header; weak tags keep their `W/`."""

    kind: ConditionKind
    tags: tuple[str, ...] = ()

    @property
    def strong(self) -> list[str]:
        """The tags for strong comparison, which weak tags never match."""
        return [tag for tag in self.tags if not tag.startswith("W/")]

    @property
    def opaque(self) -> list[str]:
        """The tags for weak comparison, without their `W/`."""
        return [tag.removeprefix("W/") for tag in self.tags]


_ABSENT, _ANY = Condition("absent"), Condition("any")

PreconditionShape = tuple[ConditionKind, ConditionKind]
"""The kinds of `If-Match` and `If-None-Match`, which determine the SQL of a write's condition."""


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The conditions on the current tag under which a request is executed."""

    match: Condition = _ABSENT
    none_match: Condition = _ABSENT

    @property
    def shape(self) -> PreconditionShape:
        """The part that determines the condition's SQL."""
        return self.match.kind, self.none_match.kind

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The condition's bind parameters."""
        tags = {}
        if self.match.tags:
            tags["if_match"] = self.match.strong
        if self.none_match.tags:
            tags["if_none_match"] = self.none_match.opaque
        return tags

    def refusal(self, tag: str) -> PreconditionFailedError | None:
        """Return the error if this is why a write found no row, otherwise None. `tag`: the current one."""
        # It fails even if the tag matches by now: it did not when the statement ran.
        return PreconditionFailedError(tag) if self.match.tags or self.none_match is not _ABSENT else None


UNCONDITIONAL = Preconditions()
"""No preconditions."""


def preconditions_of(request: Request) -> Preconditions:
    """Return the preconditions of a request. Raises `InvalidRequestError` for a malformed header."""
    match = none_match = None
    for name, value in request.scope["headers"]:
        # A list may be sent in several header lines.
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
    """Parse a header, or the member of a body that replaces it. Raises `ValueError` if it is not a list of tags."""
    if not _HEADER.fullmatch(text):
        raise ValueError('must be * or a comma-separated list of entity tags, each in double quotes ("…")')
    tags = tuple(_TAGS.findall(text))
    return Condition("tags", tags) if tags else _ANY
