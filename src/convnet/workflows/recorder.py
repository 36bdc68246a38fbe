"""The listener that records a run during training: logs, checkpoints, an early end."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convnet.errors import InterruptedRunError
from convnet.recipes import EarlyStopping
from convnet.runs import MetricsLog, RunFolder, StepLog, save_checkpoint
from convnet.training import EpochEnd, Event, StepEnd, StopTraining, Training
from convnet.workflows.control import Control

logger = logging.getLogger(__name__)

SAVE_EVERY_SECONDS = 30
"""The interval of checkpoints within an epoch; every epoch also ends with one."""


class Recorder:
    """Writes `metrics.csv`, `steps.csv` and `checkpoints/`, and stops early if the recipe says so.

    The logs are flushed before each checkpoint, so that they cover its steps. When a killed run is resumed,
    rows after the checkpoint are discarded and computed again.
    """

    def __init__(
        self,
        folder: RunFolder,
        training: Training,
        score: str,
        metrics: Sequence[str],
        stopping: EarlyStopping | None,
        control: Control,
        identity: Mapping[str, Any],
    ) -> None:
        """Open the logs of a run.

        Args:
            folder: The run folder.
            training: The training, at the step where it starts or resumes.
            score: The name of the main metric.
            metrics: The names of the user's own metrics.
            stopping: When to stop early; None for never.
            control: What the user asked for.
            identity: The recipe fields that may not change when the run is resumed.
        """
        self.folder, self.score = folder, score
        self.identity = dict(identity)
        self.stopping = stopping
        self.control = control
        self.metrics = MetricsLog(folder.file("metrics.csv"), score, metrics)
        self.metrics.rewind(training.progress.epoch)
        self.steps = StepLog(folder.file("steps.csv"), training.progress.step, score)
        self.saved_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Record an event.

        Raises:
            InterruptedRunError: The user asked to stop; everything up to this step is saved.
            StopTraining: No epoch has been better than the best for `patience` epochs, or the user asked to
                finish.
        """
        if isinstance(event, StepEnd):
            self._step(event)
        elif isinstance(event, EpochEnd):
            self._epoch(event)

    def _step(self, event: StepEnd) -> None:
        self.steps.append((event.step, event.lr, event.loss, event.score))
        if event.step != event.training.progress.step:
            return  # an accelerator reports several steps at once; a checkpoint holds the last one
        due = time.monotonic() - self.saved_at > SAVE_EVERY_SECONDS
        if self.control.take_save() or due:
            self._save(event.training)
        self._stop_if_asked(event)

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
                **{f"val_{name}": value for name, value in event.val_metrics.items()},
                "seconds": event.seconds,
                "data_seconds": event.data_seconds,
                "images_per_second": event.images / event.seconds,
            }
        )
        since_best = self.epochs_since_best()
        if self.stopping is not None and since_best == 0:
            self._write(self.folder.best_checkpoint, event.training)
        self._save(event.training)
        if self.stopping is not None and since_best >= self.stopping.patience:
            raise StopTraining
        self._stop_if_asked(event)

    def epochs_since_best(self) -> int:
        """Epochs since the best one; 0 if it is the last."""
        ranks = [self.rank(row) for row in self.metrics.rows]
        return len(ranks) - 1 - ranks.index(min(ranks))

    def rank(self, row: Mapping[str, Any]) -> tuple[float, ...]:
        """A sort key of epochs, best first: the validation loss, or the validation score and then the loss.

        Without a validation split it is the training loss.
        """
        if row.get("val_loss") is None:
            return (row["train_loss"],)
        if self.stopping is not None and self.stopping.monitor == "score":
            return -row[f"val_{self.score}"], row["val_loss"]
        return (row["val_loss"],)

    def _save(self, training: Training) -> None:
        self.steps.flush()
        training.require_finite()
        self._write(self.folder.checkpoint, training)
        logger.debug("step %s: saved %s", training.progress.step, self.folder.checkpoint)
        self.saved_at = time.monotonic()

    def _write(self, path: Path, training: Training) -> None:
        save_checkpoint(path, {**training.capture(), "recipe": self.identity})

    def _stop_if_asked(self, event: StepEnd | EpochEnd) -> None:
        if self.control.finishing:
            raise StopTraining
        if self.control.stopping:
            raise InterruptedRunError(
                f"stopped after step {event.step}; continue with: convnet resume {self.folder.path}"
            )
