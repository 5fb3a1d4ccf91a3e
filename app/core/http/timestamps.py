"""Moments in responses always have six fractional digits (RFC 3339). pydantic omits the digits of a whole second. That
is one moment in a million, so the check for it has to be cheap.
"""

import re
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, get_args

from pydantic import BaseModel

_WHOLE = re.compile(rb'(_at":"[-0-9T:]{19})Z"')
"""A member with a moment on a whole second. It cannot match inside a text, where quotation marks are escaped."""


def with_fractions(content: bytes) -> bytes:
    """Return the JSON with six fractional digits in each moment."""
    return _WHOLE.sub(rb'\1.000000Z"', content)


def may_have_whole_seconds(model: Any) -> Callable[[Any], bool]:
    """Return a function that tells whether a response of this type may have a moment on a whole second.

    Checking the moments of an item, or of a page's items, is faster than searching the text.
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
