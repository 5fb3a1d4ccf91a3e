"""Moments in answers have one form, RFC 3339 with six digits of a second. pydantic leaves the digits out on a whole
second, which is one moment in a million; so the others do not pay for it.
"""

import re
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, get_args

from pydantic import BaseModel

_WHOLE = re.compile(rb'(_at":"[-0-9T:]{19})Z"')
"""The member of a moment on a whole second. Within text, quotation marks would have a backslash in front."""


def with_fractions(content: bytes) -> bytes:
    """Return JSON in which each moment has six digits of a second."""
    return _WHOLE.sub(rb'\1.000000Z"', content)


def may_have_whole_seconds(model: Any) -> Callable[[Any], bool]:
    """Return what tells of an answer of this type whether it is worth looking through.

    The moments of one thing, and of a page of things, are asked faster than the text is searched.
    """
    fields = getattr(model, "model_fields", {})
    if "items" in fields and (digits := _digits(next(iter(get_args(fields["items"].annotation)), None))):
        return lambda page: not all(all(map(of_item, page.items)) for of_item in digits)
    if digits := _digits(model):
        return lambda value: not all(of_value(value) for of_value in digits)
    return lambda _: True


def _digits(model: Any) -> list[Callable[[Any], int]]:
    """Return what reads the digits of a second of each moment in a model; nothing where that would not be all."""
    fields = getattr(model, "model_fields", {})
    names = [name for name, field in fields.items() if name.endswith("_at")]
    are_always_there = all(fields[name].annotation is datetime for name in names)
    if not are_always_there or any(_holds_models(field.annotation) for field in fields.values()):
        return []
    return [attrgetter(f"{name}.microsecond") for name in names]


def _holds_models(annotation: Any) -> bool:
    if any(map(_holds_models, get_args(annotation))):
        return True
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
