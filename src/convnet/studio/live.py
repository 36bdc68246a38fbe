"""`Live`: sends steps, epochs, predictions for held-out images and layers from a training to the page."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from convnet.errors import in_one_line
from convnet.explain.capture import Capture, capture
from convnet.layers.evaluating import evaluating
from convnet.recipes import TrainingSetup
from convnet.recipes.changes import changeable_fields
from convnet.runs import MetricsLog, StepLog
from convnet.runs.folder import RunFolder
from convnet.studio.channel import Message
from convnet.studio.network_view import ACTIVATION, GRADIENT, Wanted, layers_of, pictures_of
from convnet.studio.tensors import Picture, pack_pictures
from convnet.training import OPTIMIZERS, EpochEnd, Event, StepEnd, TrainingStart
from convnet.workflows.control import Control
from convnet.workflows.explained_network import inner_network

logger = logging.getLogger(__name__)

SHARE = 0.03
"""The largest share of the time of training that is spent on what the page shows."""
TELL_SECONDS = 0.1
"""The interval of messages about steps."""
ANSWER_SECONDS = 1.0
"""The interval of answers for the held-out images."""
SHOWN = 24
"""The number of held-out images that are shown."""
LARGEST = 96
"""The longest side of an image that is shown, in pixels."""


class Live:
    """A listener that sends what the page shows.

    Args:
        send: Sends a message without waiting.
        control: The requests to the training.
    """

    def __init__(self, send: Callable[[Message], None], control: Control) -> None:
        self.send, self.control = send, control
        self.setup: TrainingSetup | None = None
        self.images = torch.empty(0)
        self.targets = torch.empty(0)
        self.wanted: frozenset[Wanted] = frozenset()
        self.watched = 0
        self._rows: list[list[float | None]] = []
        self._told = self._answered = 0.0
        self._free_at = self._cost = 0.0

    def __call__(self, event: Event) -> None:
        """Send what belongs to an event."""
        if isinstance(event, TrainingStart):
            self._start(event.setup, event.folder)
            if event.folder is not None and event.setup.training.progress.step:
                self.send(history(RunFolder(event.folder), event.setup))
        elif isinstance(event, StepEnd):
            self._rows.append([event.step, event.lr, finite(event.loss), finite(event.score)])
            now = time.monotonic()
            if now - self._told > TELL_SECONDS:
                self._tell(event.epoch, event.steps_per_epoch)
            if now - self._answered > ANSWER_SECONDS and now > self._free_at:
                self.answer()
        elif isinstance(event, EpochEnd):
            self._tell(event.epoch, 0)
            scores = (event.train_loss, event.train_score, event.val_loss, event.val_score)
            row = [event.epoch, event.step, *map(finite, scores)]
            self.send({"type": "epoch", "row": row, "images": event.images, "seconds": event.seconds})
            self.answer()

    def _start(self, setup: TrainingSetup, folder: Path | None) -> None:
        self.setup = setup
        split = next(part for part in (setup.split.val, setup.split.test, setup.split.train) if len(part))
        batch = setup.dataset.read(split[:SHOWN])
        self.images, self.targets = batch.images, batch.targets
        info, score = setup.dataset.info, setup.task.score
        recipe = self.control.recipe or setup.recipe  # with the changes so far
        drawn = info.modality == "images" and setup.task.target.has_classes and not setup.task.target.dense
        self.send(
            {
                "type": "started",
                "run": str(folder),
                "recipe": recipe.to_dict(),
                "changeable": changeable_fields(recipe),
                "optimizers": list(OPTIMIZERS),
                "epochs": recipe.epochs,
                "steps_per_epoch": setup.batches.steps,
                "step": setup.training.progress.step,
                "score": {"label": score.label, "key": score.key, "percent": not score.decibels},
                "classes": list(info.classes) if setup.task.target.has_classes else [],
                "samples": {name: len(setup.split[name]) for name in ("train", "val", "test")},
                "data": info.name,
                "parameters": sum(p.numel() for p in setup.network.parameters()),
                "device": setup.training.compute.device.type,
                "layers": self._layers() if recipe.epochs else [],
                "targets": self.targets.tolist() if drawn else [],
                "images": len(self.images) if info.modality == "images" else 0,
            }
        )
        if info.modality == "images":
            small = thumbnails(self.images)
            pictures = [Picture(str(i), "image", image) for i, image in enumerate(small)]
            self.send(pack_pictures({"type": "images"}, pictures, whole=True))
        self.answer()

    def _layers(self) -> list[dict[str, Any]]:
        try:
            found = self._captured(with_gradient=True)
        except Exception as error:  # a user's module may do anything; training goes on without its layers
            logger.warning("the layers are not shown: %s: %s", type(error).__name__, in_one_line(error))
            return []
        assert self.setup is not None
        return layers_of(found, inner_network(self.setup.network))

    def _captured(self, with_gradient: bool) -> Capture:
        """The operations of the network for the watched image, perhaps with the gradient of its loss."""
        setup = self.setup
        assert setup is not None
        place = min(self.watched, len(self.images) - 1)
        image, target = self.images[place : place + 1], self.targets[place : place + 1]
        normal = setup.network.normalize(setup.task.prepare_input(image))

        def objective(output: Tensor) -> Tensor:
            return setup.training.loss(output.float(), target)

        network = inner_network(setup.network)
        return capture(network, normal, objective=objective if with_gradient else None)

    def _tell(self, epoch: int, steps_per_epoch: int) -> None:
        self._told = time.monotonic()
        if self._rows:
            self.send({"type": "steps", "epoch": epoch, "rows": self._rows, "per_epoch": steps_per_epoch})
            self._rows = []

    def flush(self) -> None:
        """Send the steps that were not sent yet."""
        if self.setup is not None:
            self._tell(self.setup.training.progress.epoch + 1, 0)

    def watch(self, wanted: Collection[Wanted], image: int) -> None:
        """Choose the layers and the image that frames show."""
        self.wanted, self.watched = frozenset(wanted), max(0, image)

    def ask_for_frame(self) -> None:
        """Send a frame before the next step, or as soon as it does not slow down training too much."""
        wait = 0.0 if self.control.paused else self._free_at - time.monotonic()
        if wait > 0:
            timer = threading.Timer(wait, self.control.call, [self._frame])
            timer.daemon = True
            timer.start()
        else:
            self.control.call(self._frame)

    def _frame(self) -> None:
        if self.setup is None:
            return
        began = time.monotonic()
        self.flush()
        facts = {"type": "frame", "step": self.setup.training.progress.step, "image": self.watched}
        network = inner_network(self.setup.network)
        try:
            gradient = any(kind == ACTIVATION + GRADIENT for _, kind in self.wanted)
            pictures = pictures_of(self._captured(gradient), network, self.wanted) if self.wanted else []
        except Exception:  # as above
            pictures = []
        self.send(pack_pictures(facts, pictures))
        self._spend(began)

    def answer(self) -> None:
        """Send the network's present answers for the held-out images."""
        setup = self.setup
        if setup is None or not setup.task.target.has_classes or setup.task.target.dense:
            return
        began = self._answered = time.monotonic()
        exclusive = setup.task.target.exclusive
        with torch.no_grad(), evaluating(setup.model):
            outputs = setup.model(setup.task.prepare_input(self.images)).double()
        probabilities = outputs.softmax(1) if exclusive else outputs.sigmoid()
        if probabilities.isfinite().all():
            self.send(
                {
                    "type": "answers",
                    "step": setup.training.progress.step,
                    "probabilities": [[round(p, 5) for p in row] for row in probabilities.tolist()],
                }
            )
        self._spend(began)

    def _spend(self, began: float) -> None:
        """Leave training enough time before the next frame; a single slow one does not count."""
        now = time.monotonic()
        cost, self._cost = min(now - began, self._cost or now - began), now - began
        self._free_at = now + cost * (1 / SHARE - 1)


def history(folder: RunFolder, setup: TrainingSetup) -> dict[str, Any]:
    """The steps and epochs that a run has logged, up to the checkpoint from which it resumes."""
    score, progress = setup.task.score.key, setup.training.progress
    steps, metrics = folder.file("steps.csv"), folder.file("metrics.csv")
    names = ("step", "learning_rate", "loss", score)
    epochs = ("epoch", "step", "train_loss", f"train_{score}", "val_loss", f"val_{score}")
    step_rows = StepLog.read(steps) if steps.exists() else []
    epoch_rows = MetricsLog(metrics).rows if metrics.exists() else []
    return {
        "type": "history",
        "steps": [[row.get(n) for n in names] for row in step_rows if (row["step"] or 0) <= progress.step],
        "epochs": [
            [row.get(n) for n in epochs] for row in epoch_rows if (row["epoch"] or 0) <= progress.epoch
        ],
        "changes": [[c.step, c.field, c.value] for c in folder.changes],
    }


def finite(value: float | None) -> float | None:
    """A number as JSON has it: None in place of NaN and infinities."""
    return value if value is not None and math.isfinite(value) else None


def thumbnails(images: Tensor) -> Tensor:
    """Images N×C×H×W with sides of at most `LARGEST` pixels."""
    longest = max(images.shape[2:])
    if longest <= LARGEST:
        return images
    size = [max(1, round(side * LARGEST / longest)) for side in images.shape[2:]]
    return functional.interpolate(images.float(), size, mode="area")
