"""A listener that writes the curves of training for TensorBoard.

    pip install tensorboard
    python examples/tensorboard_listener.py digits
    tensorboard --logdir runs

A listener is called with every event of the training loop; the fields of the events are in the reference.
"""

from __future__ import annotations

import sys
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

import convnet
from convnet.training import EpochEnd, Event, StepEnd, TrainingStart


class TensorBoard:
    """Writes loss, metric and learning rate of every step and epoch, and histograms of the weights."""

    def __init__(self, folder: str | Path, every: int = 10) -> None:
        """Choose where to write.

        Args:
            folder: The folder of the log.
            every: How many steps lie between two entries.
        """
        self.folder, self.every = Path(folder), every
        self.writer: SummaryWriter | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrainingStart):
            self.close()
            # In a comparison or cross-validation, every run has a label and its own curves.
            self.writer = SummaryWriter(str(self.folder / event.label.replace("/", "-")))
        elif isinstance(event, StepEnd) and event.step % self.every == 0:
            self._write(event.step, {"step/loss": event.loss, "step/score": event.score, "step/lr": event.lr})
        elif isinstance(event, EpochEnd):
            self._write(
                event.step,
                {
                    "train/loss": event.train_loss,
                    "train/score": event.train_score,
                    "val/loss": event.val_loss,
                    "val/score": event.val_score,
                    "images per second": event.images / event.seconds,
                },
            )
            for name, weight in event.training.model.named_parameters():
                self.writer.add_histogram(name, weight, event.step)
            self.writer.flush()

    def close(self) -> None:
        """Finish the log."""
        if self.writer is not None:
            self.writer.close()

    def _write(self, step: int, values: dict[str, float | None]) -> None:
        for name, value in values.items():
            if value is not None:  # there is no validation loss without a validation split
                self.writer.add_scalar(name, value, step)


if __name__ == "__main__":
    listener = TensorBoard("runs/tensorboard")
    convnet.train(sys.argv[1] if len(sys.argv) > 1 else "digits", listeners=[listener])
    listener.close()
