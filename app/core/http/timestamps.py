"""Moments in answers have one form, RFC 3339 with six digits of a second. pydantic leaves the digits out on a whole
second, which is one moment in a million; so the others do not pay for it.
"""

import re
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, get_args

_WHOLE = re.compile(rb'(_at":"[-0-9T:]{19})Z"')
"""The member of a moment on a whole second. Within text, quotation marks would have a backslash in front."""


def with_fractions(content: bytes) -> bytes:
    """Return JSON in which each moment has six digits of a second."""
    return _WHOLE.sub(rb'\1.000000Z"', content)


def may_have_whole_seconds(model: Any) -> Callable[[Any], bool]:
    """Return what tells of an answer of this type whether it is worth looking through.

    Pages are long, and mostly of items whose moments can be asked faster.
    """
    items = getattr(model, "model_fields", {}).get("items")
    fields = getattr(next(iter(get_args(items.annotation)), None), "model_fields", {}) if items is not None else {}
    names = [name for name, field in fields.items() if name.endswith("_at")]
    if not names or any(fields[name].annotation is not datetime for name in names):
        return lambda _: True
    digits = [attrgetter(f"{name}.microsecond") for name in names]
    return lambda page: not all(all(map(of_item, page.items)) for of_item in digits)
