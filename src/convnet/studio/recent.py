"""`Recent`: a small cache of the values that were used last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were used last; safe in several threads, each value is made once.

    Args:
        count: How many are kept.
    """

    def __init__(self, count: int) -> None:
        self._count, self._lock = count, threading.Lock()
        self._values: OrderedDict[K, Future[V]] = OrderedDict()

    def get(self, key: K, make: Callable[[], V] | None = None) -> V | None:
        """A value; one that is missing is made, while others can be read."""
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
            elif make is None:
                return None
            else:
                self._values[key] = Future()
                while len(self._values) > self._count:
                    self._values.popitem(last=False)
                made = self._values[key]
        if found is not None:
            return found.result()
        assert make is not None, "checked above"
        try:
            made.set_result(make())
        except BaseException as error:
            with self._lock:
                self._values.pop(key, None)
            made.set_exception(error)
        return made.result()
