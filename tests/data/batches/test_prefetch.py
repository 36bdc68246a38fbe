from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from convnet.data.batches.prefetch import prefetch


def test_everything_comes_in_order() -> None:
    assert list(prefetch(iter(range(100)), 3)) == list(range(100))


def test_errors_come_where_they_happened() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("x")

    found = prefetch(items(), 4)
    assert next(found) == 1
    with pytest.raises(KeyError, match="x"):
        next(found)


def test_the_thread_ends_when_nobody_listens() -> None:
    before = set(threading.enumerate())
    found = prefetch(iter(range(10**9)), 2)
    assert next(found) == 0
    assert set(threading.enumerate()) - before
    found.close()  # type: ignore[attr-defined]
    assert not set(threading.enumerate()) - before
