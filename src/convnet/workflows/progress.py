"""Progress and log messages on standard error: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from convnet.analysis import unfitting_strides
from convnet.log import console, printed_log
from convnet.recipes.network import network_shape
from convnet.tasks import Score
from convnet.training import EpochEnd, Event, Listener, StepEnd, TrainingStart

if TYPE_CHECKING:
    from convnet.recipes import TrainingSetup


logger = logging.getLogger(__name__)

SMOOTHING = 0.95
REFRESH_SECONDS = 0.1
SHORT = {"accuracy": "acc"}
SIZES = {
    "images": "{shape}",
    "table": "{shape.channels} numbers",
    "series": "{shape.width} steps × {shape.channels}",
}


class TrainingProgress:
    """A listener that shows a bar with loss, metric and time left in a terminal, else a line per epoch."""

    def __init__(self) -> None:
        self.console = console()
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.epochs = 0
        self.smoothed = self.drawn_at = 0.0
        self.score = Score("accuracy", "acc")
        self.images = self.since = 0.0
        self.unit = "img"

    def _start(self, setup: TrainingSetup, label: str) -> None:
        """Print the data and the settings of the run."""
        recipe, training = setup.recipe, setup.training
        self.epochs, self.score = recipe.epochs, setup.task.score
        noun = setup.dataset.info.noun
        self.unit = "img" if noun == "images" else noun
        parameters = sum(p.numel() for p in training.model.parameters())
        steps = (
            f"({parameters:,} parameters), {recipe.optimizer.name} at "
            f"{recipe.optimizer.options.get('lr', '?')}, {recipe.schedule.name}, batch {recipe.batch_size}"
            if recipe.epochs
            else "(fitted in one pass)"
            if recipe.weights is None
            else "(pretrained, only the head is fitted)"
        )
        lines = [
            f"{recipe.name}{f' · {label}' if label else ''}  {describe_data(setup)}",
            f"  {recipe.model.label} {steps}, {recipe.precision}, seed {recipe.seed}, "
            f"{training.compute.device.type}",
        ]
        if recipe.epochs and setup.dataset.info.modality == "images":
            lines.append(f"  augmentation: {', '.join(recipe.augment.words()) or 'none'}")
        if not setup.fit_seconds:  # features and memories have no strides
            network = list(training.model.children())[-1]  # what follows the normalization
            fed = network_shape(recipe, setup.dataset)
            lines += [f"  {line}" for line in unfitting_strides(network, fed)]
        lines += [f"  {line}" for line in (*setup.dataset.info.warnings, *setup.split.remarks)]
        if training.progress.step:
            lines.append(f"  resuming at epoch {training.progress.epoch + 1}, step {training.progress.step}")
        for line in lines:
            logger.info("%s", line)
        self.since, self.images = time.perf_counter(), 0
        if self.console.is_terminal and self.epochs and logger.isEnabledFor(logging.INFO):
            self._open_bar(setup)

    def _open_bar(self, setup: TrainingSetup) -> None:
        self.stop()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self.bar = Progress(*columns, console=self.console, transient=True, auto_refresh=False)
        self.task = self.bar.add_task(
            "epoch", total=self.epochs * setup.batches.steps, completed=setup.training.progress.step, note=""
        )
        self.bar.start()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, TrainingStart):
            self._start(event.setup, event.label)
        elif isinstance(event, StepEnd):
            self._step(event)
        else:
            self._epoch(event)

    def _step(self, event: StepEnd) -> None:
        self.images += event.images
        self.smoothed = (
            event.loss
            if self.images == event.images
            else SMOOTHING * self.smoothed + (1 - SMOOTHING) * event.loss
        )
        now, name = time.perf_counter(), SHORT.get(self.score.label, self.score.label)
        if self.bar is None or now - self.drawn_at < REFRESH_SECONDS:
            return
        self.drawn_at = now
        speed = self.images / (now - self.since)
        note = (
            f"loss {self.smoothed:.4f}  {name} {self.score.show(event.score, 1)}  {speed:,.0f} {self.unit}/s"
        )
        self.bar.update(
            self.task,
            completed=event.step,
            description=f"epoch {event.epoch}/{self.epochs}",
            note=note,
            refresh=True,
        )

    def _epoch(self, event: EpochEnd) -> None:
        name = SHORT.get(self.score.label, self.score.label)
        held_out = (
            f"  val loss {event.val_loss:.4f}  {name} {self.score.show(event.val_score)}"
            if event.val_loss is not None
            else ""
        )
        logger.info(
            "%s",
            f"epoch {event.epoch:>{len(str(self.epochs))}}/{self.epochs}  loss {event.train_loss:.4f}  "
            f"{name} {self.score.show(event.train_score)}{held_out}  "
            f"{event.images / event.seconds:,.0f} {self.unit}/s",
        )
        if event.epoch == self.epochs:
            self.stop()

    def stop(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def shown_progress(wanted: bool) -> Iterator[list[Listener]]:
    """A block in which progress and log messages are shown, and the listeners that show it."""
    if not wanted:
        yield []
        return
    with printed_log(), TrainingProgress() as progress:
        yield [progress]


def describe_data(setup: TrainingSetup) -> str:
    """One line about the data, the target, the split sizes and the sample shape."""
    info, task = setup.dataset.info, setup.task
    if not task.target.has_classes:
        options = ", ".join(f"{k}={v}" for k, v in setup.recipe.task.options.items())
        target = f"{task.name}({options})" if options else task.name
    else:
        per = f" per {'pixel' if info.modality == 'images' else 'step'}" if task.target.dense else ""
        target = f"{len(info.classes)} classes{per}"
    counts = "/".join(f"{len(setup.split[name]):,}" for name in ("train", "val", "test"))
    what = f"{info.noun} of {SIZES[info.modality].format(shape=info.shape)}"
    if info.sizes is not None:
        what = "images of different sizes"
    return f"{info.name}, {target}, {counts} {what} (train/val/test)"


T = TypeVar("T")


class WorkProgress:
    """A progress bar in a terminal, nothing elsewhere; log lines are printed above it."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.console = console()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def over(self, items: Iterable[T], total: int) -> Iterator[T]:
        """The same items, counted."""
        yield from self.bar.track(items, total=total, description=self.what)

    def __enter__(self) -> WorkProgress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
