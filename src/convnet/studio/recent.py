"""`Recent`: a small cache of the values that were used last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were used last; safe in several threads.

    Args:
        count: How many are kept.
    """

    def __init__(self, count: int) -> None:
        self._count, self._lock = count, threading.Lock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V] | None = None) -> V | None:
        """A value; one that is missing is made."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            if make is None:
                return None
            value = self._values[key] = make()
            while len(self._values) > self._count:
                self._values.popitem(last=False)
            return value
