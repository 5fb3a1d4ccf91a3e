"""Moments in responses always have six fractional digits (RFC 3339). pydantic omits the digits of a whole second."""

import re

_WHOLE = re.compile(rb'(_at":"[-0-9T:]{19})Z"')
"""A member with a moment on a whole second. It cannot match inside a text, where quotation marks are escaped."""


def with_fractions(content: bytes) -> bytes:
    """Return the JSON with six fractional digits in each moment."""
    return _WHOLE.sub(rb'\1.000000Z"', content)
