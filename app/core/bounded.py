"""A dict that does not grow without end."""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(OrderedDict[K, V]):
    """Holds at most `size` values: of more, the one that was put first goes, unless it was moved to the end since."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def put(self, key: K, value: V) -> None:
        """Hold a value; in the place of another under the same key, if there is one."""
        self[key] = value
        if len(self) > self._size:
            self.popitem(last=False)
