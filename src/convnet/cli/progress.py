"""What is seen of training while it runs, on standard error: a live bar, or plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from convnet.analysis import unfitting_strides
from convnet.tasks import Score
from convnet.training import EpochEnd, Event, StepEnd

if TYPE_CHECKING:
    from convnet.recipes import TrainingSetup


SMOOTHING = 0.95
REFRESH_SECONDS = 0.1
SHORT = {"accuracy": "acc"}
WHAT = {
    "images": "images of {shape}",
    "table": "rows of {shape.channels} numbers",
    "series": "series of {shape.width} steps × {shape.channels}",
}


class TrainingProgress:
    """A listener: a bar with rate, loss, accuracy and time left in a terminal; a line per epoch elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.epochs = 0
        self.smoothed = self.drawn_at = 0.0
        self.score = Score("accuracy", "acc")
        self.images = self.since = 0.0

    def start(self, setup: TrainingSetup, label: str = "") -> None:
        """Say what is about to be trained."""
        recipe, split, training = setup.recipe, setup.split, setup.training
        self.epochs, self.score = recipe.epochs, setup.task.score
        parameters = sum(p.numel() for p in training.model.parameters())
        counts = "/".join(f"{len(split[name]):,}" for name in ("train", "val", "test"))
        what = WHAT[setup.dataset.modality].format(shape=setup.dataset.shape)
        if setup.dataset.sizes is not None:
            what = "images of different sizes"
        say = self.console.print
        say(
            f"[bold]{recipe.name}[/bold]{f' · {label}' if label else ''}  {setup.dataset.name}, "
            f"{describe_target(setup)}, {counts} {what} (train/val/test)",
            soft_wrap=True,
        )
        steps = (
            f"({parameters:,} parameters), {recipe.optimizer.name} at "
            f"{recipe.optimizer.options.get('lr', '?')}, {recipe.schedule.name}, batch {recipe.batch_size}"
            if recipe.epochs
            else "(nothing to train by steps)"
        )
        say(
            f"  {recipe.model.label} {steps}, {recipe.precision}, seed {recipe.seed}, "
            f"{setup.fabric.device.type}",
            soft_wrap=True,
        )
        if not setup.fit_seconds:  # features and memories have no strides
            network = list(training.model.children())[-1]  # what follows the normalisation
            for line in unfitting_strides(network, setup.dataset.shape):
                say(f"  {line}", soft_wrap=True, markup=False)
        for line in setup.dataset.warnings:
            say(f"  {line}", soft_wrap=True, markup=False)
        if training.progress.step:
            say(f"  going on after step {training.progress.step} of epoch {training.progress.epoch + 1}")
        self.since, self.images = time.perf_counter(), 0
        if self.console.is_terminal and self.epochs:
            self._open_bar(setup)

    def say(self, line: str) -> None:
        """What takes long before the first step."""
        self.console.print(f"  {line}", soft_wrap=True, markup=False)

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
        if isinstance(event, StepEnd):
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
        note = f"loss {self.smoothed:.4f}  {name} {self.score.show(event.score, 1)}  {speed:,.0f} img/s"
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
        self.console.print(
            f"epoch {event.epoch:>{len(str(self.epochs))}}/{self.epochs}  loss {event.train_loss:.4f}  "
            f"{name} {self.score.show(event.train_score)}{held_out}  "
            f"{event.images / event.seconds:,.0f} img/s",
            soft_wrap=True,
        )
        if event.epoch == self.epochs:
            self.stop()

    def stop(self) -> None:
        """Take the bar off the screen."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def __enter__(self) -> TrainingProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def describe_target(setup: TrainingSetup) -> str:
    """What is to be learnt: so many classes, or another image."""
    if setup.task.target == "image":
        options = ", ".join(f"{k}={v}" for k, v in setup.recipe.task.options.items())
        return f"{setup.task.name}({options})" if options else setup.task.name
    per_pixel = "per pixel" if setup.dataset.modality == "images" else "per step"
    return f"{len(setup.dataset.classes)} classes{f' {per_pixel}' if setup.task.target == 'mask' else ''}"


T = TypeVar("T")


class WorkProgress:
    """A bar in a terminal, nothing elsewhere; lines in between are printed above it."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.console = Console(stderr=True, highlight=False)
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

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(f"  {line}", soft_wrap=True, markup=False)

    def __enter__(self) -> WorkProgress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
