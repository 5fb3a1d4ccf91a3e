"""Strict parsing of JSON bodies (RFC 8259, RFC 7493): UTF-8, no repeated names, no NaN, and limits on size.

The module `json` accepts other encodings, NaN and repeated names silently, and validation would report any number of
unknown members. Such bodies are refused here, before validation.
"""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from json import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

from app.core.errors import MAX_REPORTED_ERRORS, FieldError, InvalidJsonError, InvalidRequestError, json_pointer

MAX_MEMBERS = 32
"""Members that one object of a body may have, several times as many as the largest valid object."""

MAX_OBJECTS = 10_000
"""Objects that one body may have, several times as many as the largest valid batch."""


class _RefusedObjectError(Exception):
    """An object of the body is refused. Its location is found by parsing the body again."""


def read_json(body: bytes) -> Any:
    """Return the parsed value of a JSON body.

    Raises `InvalidJsonError` if it is not JSON, and `InvalidRequestError` with a pointer to each repeated name and to
    each object with too many members.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidJsonError(f"The body is not UTF-8: byte {error.start} is invalid.") from None
    try:
        # Strings may contain braces too, so the objects are counted before the body is refused.
        if body.count(b"{") > MAX_OBJECTS:
            _count_objects(text)
        return _decode(text)
    except JSONDecodeError as error:
        raise InvalidJsonError(f"The body is not valid JSON: the error is at character {error.pos}.") from None
    except (RecursionError, ValueError):
        raise InvalidJsonError("The body is nested too deeply, or a number in it has too many digits.") from None
    except _RefusedObjectError:
        raise InvalidRequestError(errors=_refusals(text)) from None


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members) or len(members) > MAX_MEMBERS:
        raise _RefusedObjectError
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise InvalidJsonError("The body is not valid JSON: NaN and Infinity are not allowed.")


_decoder = JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)


def _decode(text: str) -> Any:
    if not text.startswith(("{", "[")):
        return _decoder.decode(text)
    # `raw_decode` skips `decode`'s two searches for blanks around the value.
    value, end = _decoder.raw_decode(text)
    if end < len(text) and text[end:].strip(" \t\n\r"):
        raise JSONDecodeError("Extra data", text, end)
    return value


def _count_objects(text: str) -> None:
    numbers = count(1)

    def note(_: list[tuple[str, Any]]) -> None:
        if next(numbers) > MAX_OBJECTS:
            raise InvalidRequestError.at(
                f"must not have more than {MAX_OBJECTS} objects", "too_many_objects", pointer=""
            )

    json.loads(text, object_pairs_hook=note)


class _Object(dict[str, Any]):
    """An object of the body, with its errors by the member's name; None for the whole object."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(members)
        self.errors: dict[str | None, FieldError] = {}
        if len(members) > MAX_MEMBERS:
            detail = f"must not have more than {MAX_MEMBERS} members"
            self.errors[None] = FieldError(detail=detail, code="too_many_members")
        elif len(self) < len(members):
            counts = Counter(name for name, _ in members)
            repeated = FieldError(detail="is given more than once", code="repeated")
            self.errors.update(dict.fromkeys((name for name, times in counts.items() if times > 1), repeated))


def _refusals(text: str) -> list[FieldError]:
    """Return where and why objects of a body are refused, the first `MAX_REPORTED_ERRORS` of them."""
    if text.count("[") > MAX_OBJECTS:
        # Finding the location among so many arrays would take too long.
        detail = "contains an object with a repeated name or too many members"
        return [FieldError(pointer="", detail=detail, code="repeated")]
    found = (
        FieldError(pointer=json_pointer(path if name is None else (*path, name)), **error)
        for path, value in _objects(json.loads(text, object_pairs_hook=_Object))
        for name, error in value.errors.items()
    )
    return list(islice(found, MAX_REPORTED_ERRORS))


def _objects(value: Any) -> Iterator[tuple[list[object], _Object]]:
    """Yield the objects in a value with their paths, in their order."""
    path: list[object] = []
    # What is still to be looked at on each level of the path. Whole paths would take too much memory.
    left: list[Iterator[tuple[object, Any]]] = [iter([("", value)])]
    while left:
        for name, part in left[-1]:
            path.append(name)
            if isinstance(part, _Object):
                yield path[1:], part
            members = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
            left.append(each for each in members if isinstance(each[1], dict | list))
            break
        else:
            left.pop()
            del path[-1:]
