"""A dict of bounded size."""

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(OrderedDict[K, V]):
    """Holds at most `size` values and evicts the oldest; `move_to_end` makes a value the newest."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def put(self, key: K, value: V) -> None:
        """Set a value, and evict the oldest if there are too many."""
        self[key] = value
        if len(self) > self._size:
            self.popitem(last=False)
