"""The listener that writes a run down while it trains: logs, checkpoints, a clean stop on Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from convnet.errors import InterruptedRunError
from convnet.runs import MetricsLog, RunFolder, StepLog, save_checkpoint
from convnet.training import EpochEnd, Event, StepEnd, StopTraining, Training

SAVE_EVERY_SECONDS = 30
"""How much work a kill may cost within an epoch; every epoch ends with a checkpoint anyway."""


class Recorder:
    """Writes `metrics.csv`, `steps.csv` and `checkpoints/`; stops early when the recipe says so.

    A checkpoint counts on the rows of its steps being on the disk, so the logs are flushed first. Of what
    follows a checkpoint nothing is kept when a killed run goes on: it comes again, the same.
    """

    def __init__(
        self,
        folder: RunFolder,
        training: Training,
        score: str,
        patience: int | None,
        stop_asked: Callable[[], bool],
        identity: Mapping[str, Any],
    ) -> None:
        """`score` is the name of the figure of merit; `identity`, what may not change when a run goes on."""
        self.folder, self.score = folder, score
        self.identity = dict(identity)
        self.patience = patience
        self.stop_asked = stop_asked
        self.metrics = MetricsLog(folder.file("metrics.csv"), score)
        self.metrics.rewind(training.progress.epoch)
        self.steps = StepLog(folder.file("steps.csv"), training.progress.step, score)
        self.saved_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Record an event.

        Raises:
            InterruptedRunError: the user asked to stop; everything up to this step is saved.
            StopTraining: the validation loss has not fallen for too long.
        """
        if isinstance(event, StepEnd):
            self._step(event)
        elif isinstance(event, EpochEnd):
            self._epoch(event)

    def _step(self, event: StepEnd) -> None:
        self.steps.append((event.step, event.lr, event.loss, event.score))
        if event.step != event.training.progress.step:
            return  # an accelerator reports several steps at once; the last one is what a checkpoint holds
        if self.stop_asked():
            self._save(event.training)
            self._stop_if_asked(event)
        if time.monotonic() - self.saved_at > SAVE_EVERY_SECONDS:
            self._save(event.training)

    def _epoch(self, event: EpochEnd) -> None:
        self.metrics.append(
            {
                "epoch": event.epoch,
                "step": event.step,
                "learning_rate": event.lr,
                "train_loss": event.train_loss,
                f"train_{self.score}": event.train_score,
                "val_loss": event.val_loss,
                f"val_{self.score}": event.val_score,
                "seconds": event.seconds,
                "data_seconds": event.data_seconds,
                "images_per_second": event.images / event.seconds,
            }
        )
        since_best = self.epochs_since_best()
        if self.patience is not None and since_best == 0:
            self._write(self.folder.best_checkpoint, event.training)
        self._save(event.training)
        if self.patience is not None and since_best >= self.patience:
            raise StopTraining
        self._stop_if_asked(event)

    def epochs_since_best(self) -> int:
        """0 where the last epoch has the lowest loss so far (of the validation, if there is one)."""
        losses = [
            row["train_loss"] if row["val_loss"] is None else row["val_loss"] for row in self.metrics.rows
        ]
        known = [loss for loss in losses if loss is not None]
        return len(known) - 1 - known.index(min(known))

    def _save(self, training: Training) -> None:
        self.steps.flush()
        training.require_finite()
        self._write(self.folder.checkpoint, training)
        self.saved_at = time.monotonic()

    def _write(self, path: Path, training: Training) -> None:
        save_checkpoint(path, {**training.capture(), "recipe": self.identity})

    def _stop_if_asked(self, event: StepEnd | EpochEnd) -> None:
        if self.stop_asked():
            raise InterruptedRunError(
                f"stopped after step {event.step}; continue with: convnet resume {self.folder.path}"
            )


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a question that the recorder asks after every step.

    A second one acts as usual. Only the main thread can receive signals; elsewhere nothing changes.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def ask(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in signals:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
