"""Run an iterator ahead in another thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1


def prefetch(items: Iterator[T], count: int) -> Generator[T, None, None]:
    """Yield the items of an iterator, with up to `count` of them computed in advance by a thread.

    Exceptions of `items` are raised here. The thread ends when this iterator ends or is closed.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(count)
    stop = threading.Event()

    def put(item: T | None, error: BaseException | None = None) -> bool:
        while not stop.is_set():
            try:
                ready.put((item, error), timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    end = StopIteration()

    def run() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(None, end)
        except BaseException as error:  # raised again by the reader
            put(None, error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    try:
        while True:
            item, error = ready.get()
            if error is end:
                return
            if error is not None:
                raise error
            assert item is not None
            yield item
    finally:
        stop.set()
        worker.join()
