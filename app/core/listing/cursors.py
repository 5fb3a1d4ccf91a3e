"""Cursors: signed positions in a list, which clients can store but not forge.

A cursor holds the sort keys of one row, and a MAC over them, the caller, the list and the filters. A cursor that
verifies was issued for this request, so its values need no further validation.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json

from app.core.errors import InvalidRequestError
from app.core.listing.sorting import Keys, Order
from app.core.signing import KeyRing

MAX_CURSOR_LENGTH = 4_608
"""Characters, more than any cursor has. The longest would hold a title of 500 control characters, which JSON escapes
with six bytes each; without control characters, a title of 500 four-byte characters gives a cursor of 2 800.
"""

_PURPOSE = b"cursor"
_MAC_BYTES = 16


class CursorMismatchError(InvalidRequestError):
    """The cursor was not issued to you for this list with this order and these filters. Start again with `?cursor=`,
    and change only `size` between pages.
    """

    code = "cursor_mismatch"
    title = "Cursor mismatch"

    def __init__(self) -> None:
        detail = "was not issued to you for this list with this order and these filters; start again with `?cursor=`"
        super().__init__(errors=[{"parameter": "cursor", "detail": detail, "code": self.code}])


class Position(NamedTuple):
    """The row before a page's first one, by its sort keys, and whether the page is read backwards from there."""

    values: Sequence[Any]
    is_backwards: bool = False


class Cursors:
    """The cursors of one request, bound to its operation, the caller's scope, its order and its filters."""

    def __init__(
        self,
        ring: KeyRing,
        keys: Keys,
        operation: str,
        parameters: Mapping[str, Any],
        order: Order,
        conditions: Mapping[str, Any],
    ) -> None:
        self._ring, self._order, self._keys = ring, order, keys
        # pydantic's encoder takes long for classes that it does not know: the driver's ids, and named tuples.
        named = [(name, _plain(value)) for name, value in parameters.items()]
        self._bound_to = to_json([[operation, *named, *map(tuple, order), *sorted(conditions.items())]], fallback=str)

    def encode(self, row: Mapping[str, Any], *, is_backwards: bool = False) -> str:
        """Return the cursor of the position of a row."""
        body = to_json([is_backwards, *(_plain(row[sort.name]) for sort in self._order)])
        mac = self._ring.macs(_PURPOSE, body + self._bound_to)[0][:_MAC_BYTES]
        return urlsafe_b64encode(mac + body).decode().rstrip("=")

    def decode(self, cursor: str) -> Position:
        """Return the position of a cursor. Raises `CursorMismatchError` if it was issued for another context."""
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii") + b"==")
        except ValueError:
            raise CursorMismatchError from None
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        valid = self._ring.macs(_PURPOSE, body + self._bound_to)
        if not any(hmac.compare_digest(mac, each[:_MAC_BYTES]) for each in valid):
            raise CursorMismatchError
        is_backwards, *values = json.loads(body)
        decoded = [self._keys[sort.name].decoded(value) for sort, value in zip(self._order, values, strict=True)]
        return Position(decoded, is_backwards)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else str(value)
