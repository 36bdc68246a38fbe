"""A trained run, as Python sees it: its figures, evaluation on other data, prediction, its report."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from convnet.data import Dataset, Modality, read_split
from convnet.device import default_device, make_fabric, resolve_precision
from convnet.errors import ConvnetError, DataError, RunError
from convnet.prediction.dense import DenseMap, predict_dense
from convnet.prediction.predictor import (
    ImagePrediction,
    Mask,
    Prediction,
    StepPrediction,
    predict_classes,
    predict_images,
    predict_masks,
    predict_steps,
)
from convnet.recipes import Recipe
from convnet.recipes.load import recipe_of, trained_network
from convnet.recipes.network import task_of
from convnet.runs import Baselines, MetricsLog, RunFolder, baselines_beside
from convnet.tasks import Evaluation, Task
from convnet.training import LOSSES
from convnet.types import OF_SAMPLES, ImageShape, SplitName, TargetKind
from convnet.workflows.run_data import held_out, open_other_data, open_own_data


@dataclass(frozen=True)
class Run:
    """A run folder; nothing is read before it is asked for."""

    folder: RunFolder

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @cached_property
    def recipe(self) -> Recipe:
        """The complete recipe."""
        return recipe_of(self.folder)

    @cached_property
    def task(self) -> Task:
        """What the network is for."""
        return task_of(self.recipe)

    @cached_property
    def result(self) -> dict[str, Any]:
        """The final figures: loss and accuracy of each split, seconds, images per second, parameters."""
        if not self.folder.finished:
            raise RunError(f"{self.path}: not finished; continue it with 'convnet resume {self.path}'")
        result: dict[str, Any] = self.folder.read_json("result.json")
        return result | {"run": str(self.path)}

    @property
    def baselines(self) -> Baselines | None:
        """What simple models reach on the same samples and the same split, where that was measured."""
        return baselines_beside(self.folder) if self.task.target == "class" else None

    @property
    def baselines_command(self) -> str:
        """What measures them: `convnet baselines` with this run's data and split."""
        recipe, words = self.recipe, ["convnet", "baselines", self.recipe.data.source]
        sections = {"data": recipe.data, "split": recipe.split, "preprocess": recipe.preprocess}
        for name, section in sections.items():
            for field, info in type(section).model_fields.items():
                value = getattr(section, field)
                if field not in ("source", "normalize") and value != info.default:
                    words += ["--set", f"{name}.{field}={json.dumps(value)}"]
        return shlex.join(words)

    @property
    def metrics(self) -> list[dict[str, float | None]]:
        """A row per epoch: losses, scores, rate, seconds."""
        return MetricsLog(self.folder.file("metrics.csv")).rows

    @cached_property
    def data(self) -> dict[str, Any]:
        """Name, classes, image shape and sample counts of the data."""
        described: dict[str, Any] = self.folder.read_json("data.json")
        return described

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return tuple(self.data["classes"])

    @property
    def shape(self) -> ImageShape:
        """Shape of the images that the network takes."""
        return ImageShape(*self.data["shape"])

    @property
    def modality(self) -> Modality:
        """What its samples are: images, a table or series."""
        modality: Modality = self.data.get("form", "table" if self.data.get("columns") else "images")
        return modality

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of numbers that a table's run takes; none of a run of images."""
        return tuple(self.data.get("columns", ()))

    @cached_property
    def model(self) -> nn.Sequential:
        """The trained network, normalisation included: uint8 N×C×H×W → logits, in evaluation mode.

        Raises:
            RunError: the run is not finished, or its weights are damaged.
        """
        return trained_network(self.folder, self.recipe)

    def evaluate(
        self, data: str | None = None, *, split: SplitName | None = None, data_dir: Path | None = None
    ) -> Evaluation:
        """Loss, accuracy and predictions on a split of the run's own data, or on other data.

        The split is, unless given: test, or val where there is no test; of other data that has no splits,
        everything.

        Raises:
            DataError: the data has classes that the run does not know, or nothing in that split.
        """
        if data is None:
            dataset = open_own_data(self, data_dir)
            own = read_split(self.folder.read("split.csv"), dataset)
            chosen = split or ("test" if len(own.test) else "val")
            indices = own[chosen]
        else:
            dataset = open_other_data(self, data, data_dir)
            indices = held_out(dataset, split)
        if not len(indices):
            raise DataError(f"{dataset.name}: no samples in its {split or 'held-out'} split")
        device = default_device()
        fabric = make_fabric(device, resolve_precision(self.recipe.precision, device))
        model = self.model.to(fabric.device)
        loss = self.task.fit_loss(LOSSES.build(self.recipe.loss.name, **self.recipe.loss.options))
        try:
            found = self.task.evaluate(model, dataset.to(fabric.device), indices, loss, fabric)
            return found.with_thresholds(self.result.get("thresholds", {}))
        finally:
            model.cpu()

    def predict(self, samples: Sequence[str | Path]) -> list[Prediction]:
        """Classes and probabilities for image files, in the order given; for rows of tables, and for series.

        Of a multi-label run, the labels that are said of each, and the probabilities of all.

        Raises:
            DataError: a file is missing, no readable image, or a table without the run's columns.
            RunError: the run makes masks or images; `predict_masks` and `predict_images` are for those.
        """
        if self.task.target not in OF_SAMPLES:
            self._require_target("class")
        return predict_classes(self, samples)

    def predict_masks(self, images: Sequence[str | Path], *, tile: int | None = None) -> Iterator[Mask]:
        """A class for every pixel of each image; in tiles of `tile` pixels, if given.

        Images keep their sizes, unless the run resized its own (preprocess.image_size).

        Raises:
            DataError: a file is missing or no readable image.
            RunError: the run is not of a segmentation.
        """
        self._require_target("mask")
        return predict_masks(self, images, tile)

    def predict_steps(self, files: Sequence[str | Path]) -> Iterator[StepPrediction]:
        """A class for every step of each series of the files.

        Raises:
            DataError: a file is missing, or holds no series of the run's channels.
            RunError: the run does not say classes of steps.
        """
        self._require_target("mask")
        return predict_steps(self, files)

    def predict_images(
        self, images: Sequence[str | Path], *, tile: int | None = None
    ) -> Iterator[ImagePrediction]:
        """The image that the network makes of each; in tiles of `tile` pixels, if given. Sizes as of masks.

        Raises:
            DataError: a file is missing or no readable image.
            RunError: the run makes no images.
        """
        self._require_target("image")
        return predict_images(self, images, tile)

    def predict_dense(self, photo: str | Path, *, scale: float = 1.0) -> DenseMap:
        """The classes of all windows of a photo, which is first resized by `scale` (M31).

        Raises:
            DataError: the photo cannot be read, or is smaller than the images of the run.
            RunError: the run is no classifier of images.
            ModelError: a layer of the network depends on the size of the image.
        """
        return predict_dense(self, Path(photo), scale=scale)

    def _require_target(self, target: TargetKind) -> None:
        if self.task.target != target:
            made = {"class": "classes", "labels": "labels", "mask": "masks", "image": "images"}
            raise RunError(
                f"{self.path}: a run of {self.task.name} makes {made[self.task.target]}, no {made[target]}"
            )

    def report(self, data_dir: Path | None = None) -> Path:
        """Write `report.html` and the pictures anew; returns the page's path."""
        _ = self.result
        return write_report(self, data_dir=data_dir)


def load_run(path: str | Path) -> Run:
    """The run in a folder.

    Raises:
        RunError: there is none, or it is of another version.
    """
    return Run(RunFolder.open(Path(path)))


def write_report(run: Run, dataset: Dataset | None = None, data_dir: Path | None = None) -> Path:
    """The run's page; without pictures of samples where the data is no longer to be had."""
    # Here, because it imports matplotlib: half a second that predicting need not pay.
    from convnet.reports.run_page import write_run_report

    if dataset is None:
        try:
            dataset = open_own_data(run, data_dir)
        except ConvnetError:
            dataset = None
    beside = run.baselines or run.baselines_command
    return write_run_report(run.folder, run.recipe, run.task, run.result, run.model, dataset, beside)
