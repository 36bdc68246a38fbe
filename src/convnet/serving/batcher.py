"""`Batcher`: samples of concurrent requests are computed together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.prediction.backend import Backend
from convnet.serving.limits import Limits
from convnet.serving.metrics import Metrics

Sample = NDArray[Any]
Outputs = NDArray[np.float32]


@dataclass
class _Waiting:
    sample: Sample
    future: asyncio.Future[Outputs]
    loop: asyncio.AbstractEventLoop
    since: float


class Batcher:
    """Computes samples in one thread: all that are waiting, up to `limits.batch` at a time.

    While a batch is computed, the next one collects, so batches grow with the load and a single request does
    not wait. Samples that are being decoded are waited for, but not longer than `limits.delay`.

    Args:
        backend: Computes a batch.
        limits: The largest batch, and the longest wait for others.
        metrics: Counts batches.
        labels: The labels of the model in the metrics: name and version.
    """

    def __init__(self, backend: Backend, limits: Limits, metrics: Metrics, labels: tuple[str, str]) -> None:
        self._backend, self._limits = backend, limits
        self._sizes, self._seconds = metrics.batches.labels(*labels), metrics.computing.labels(*labels)
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._announced = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def announce(self, count: int) -> None:
        """Tell that `count` samples will be submitted soon; a negative number takes that back."""
        with self._changed:
            self._announced += count
            self._changed.notify()

    async def submit(self, sample: Sample) -> Outputs:
        """The outputs for one sample C×H×W, which was announced."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(sample, loop.create_future(), loop, time.monotonic())
        with self._changed:
            self._announced -= 1
            self._queue.append(waiting)
            self._changed.notify()
        return await waiting.future

    def close(self) -> None:
        """Compute what waits, and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._next():
            begun = time.perf_counter()
            outcome: Outputs | Exception
            try:
                outcome = self._backend.outputs(np.stack([waiting.sample for waiting in batch]))
            except Exception as error:  # whatever a model raises belongs to its requests, not to this thread
                outcome = error
            self._seconds.observe(time.perf_counter() - begun)
            self._sizes.observe(len(batch))
            try:
                batch[0].loop.call_soon_threadsafe(_deliver, batch, outcome)
            except RuntimeError:  # the server has ended
                return

    def _next(self) -> list[_Waiting]:
        """The next batch; empty after `close`."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._queue or self._stopped)
                if not self._queue:
                    return []
                deadline = self._queue[0].since + self._limits.delay
                while (
                    len(self._queue) < self._limits.batch
                    and self._announced
                    and not self._stopped
                    and (left := deadline - time.monotonic()) > 0
                ):
                    self._changed.wait(left)
                count = min(self._limits.batch, len(self._queue))
                batch = [self._queue.popleft() for _ in range(count)]
                if there := [waiting for waiting in batch if not waiting.future.cancelled()]:
                    return there


def _deliver(batch: list[_Waiting], outcome: Outputs | Exception) -> None:
    for place, waiting in enumerate(batch):
        if waiting.future.done():  # the client has gone
            continue
        if isinstance(outcome, Exception):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome[place])
