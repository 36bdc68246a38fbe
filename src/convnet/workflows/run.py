"""A trained run: its results, evaluation on other data, prediction, its report."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convnet.data import Dataset, read_split, to_device
from convnet.device import default_device, make_compute
from convnet.errors import ConvnetError, DataError, RunError
from convnet.layers import Network
from convnet.prediction import DenseMap, Predictor
from convnet.recipes.load import trained_network
from convnet.runs import Baselines, MetricsLog, RunFolder, baselines_beside
from convnet.settings import settings
from convnet.tasks import Evaluation, Labels, Prediction
from convnet.training import LOSSES
from convnet.types import SplitName
from convnet.workflows.run_data import held_out, open_other_data, open_own_data
from convnet.workflows.run_info import RunInfo


@dataclass(frozen=True)
class Run(RunInfo):
    """A run folder. Files are read when they are first needed.

    Attributes:
        folder: The paths of its files.
    """

    @cached_property
    def result(self) -> dict[str, Any]:
        """The final figures: loss and metrics per split, seconds, images per second, parameters.

        Raises:
            RunError: The run is not finished.
        """
        if not self.folder.finished:
            raise RunError(f"{self.path}: not finished; continue it with 'convnet resume {self.path}'")
        result: dict[str, Any] = self.folder.read_json("result.json")
        return result | {"run": str(self.path)}

    @property
    def baselines(self) -> Baselines | None:
        """The baselines measured on the same samples and the same split; None if there are none."""
        return baselines_beside(self.folder) if self.task.target.exclusive else None

    @property
    def baselines_command(self) -> str:
        """The `convnet baselines` command for this run's data and split."""
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
        """One row per epoch: losses, metrics, learning rate, seconds."""
        return MetricsLog(self.folder.file("metrics.csv")).rows

    @cached_property
    def model(self) -> Network:
        """The trained network in evaluation mode, with normalization: uint8 N×C×H×W → logits.

        Raises:
            RunError: The run is not finished, or its weights are damaged.
        """
        return trained_network(self.folder, self.recipe)

    @cached_property
    def predictor(self) -> Predictor:
        """The trained network with its preprocessing, classes and thresholds."""
        colors = {k: v for k, v in (self.recipe.data.colors or {}).items() if isinstance(v, str)}
        thresholds = self.result.get("thresholds", {})
        labels = Labels(self.classes, thresholds, colors, series=self.modality == "series")
        return Predictor(str(self.path), self.model, self.task, self.inputs, labels)

    def evaluate(self, data: Any = None, *, split: SplitName | None = None) -> Evaluation:
        """Evaluate the network on held-out data.

        Args:
            data: A path, the name of a data set, or data in memory of the kinds that `convnet.train` takes.
                Default: the run's own data.
            split: The split to evaluate. Default: "test", or "val" if there is no test split; all samples
                of data without splits.

        Returns:
            Loss, metrics and predictions of every sample; the class depends on the task.

        Raises:
            DataError: The data has classes that the run does not know, or no samples in that split.
        """
        if data is None:
            dataset = open_own_data(self)
            own = read_split(self.folder.read("split.csv"), dataset)
            chosen = split or ("test" if len(own.test) else "val")
            indices = own[chosen]
        else:
            dataset = open_other_data(self, data)
            indices = held_out(dataset, split)
        if not len(indices):
            raise DataError(f"{dataset.info.name}: no samples in its {split or 'held-out'} split")
        compute = make_compute(settings().device or default_device(), self.recipe.precision)
        model = self.model.to(compute.device)
        loss = self.task.fit_loss(LOSSES.build(self.recipe.loss.name, **self.recipe.loss.options))
        try:
            found = self.task.evaluate(model, to_device(dataset, compute.device), indices, loss, compute)
            return found.with_thresholds(self.result.get("thresholds", {}))
        finally:
            model.cpu()

    def predict(self, files: Sequence[str | Path], *, tile: int | None = None) -> list[Prediction]:
        """Predict files.

        Args:
            files: Image files, or tables or series for a run trained on them.
            tile: Compute large images in tiles of this many pixels a side.

        Returns:
            One prediction per sample; the class depends on the task.

        Raises:
            DataError: A file is missing or unreadable, or does not fit the network.
        """
        return self.predictor.predict(files, tile=tile)

    def predict_dense(self, photo: str | Path, *, scale: float = 1.0) -> DenseMap:
        """Classify every window of a photo.

        Args:
            photo: The path of the photo.
            scale: The factor by which the photo is resized first.

        Returns:
            Class probabilities per window.

        Raises:
            DataError: The photo is missing or unreadable, or too small.
            ModelError: The network cannot be made fully convolutional.
        """
        return self.predictor.dense(photo, scale=scale)

    def report(self) -> Path:
        """Write `report.html` and its pictures again.

        Returns:
            The path of the page.

        Raises:
            RunError: The run is not finished.
        """
        _ = self.result
        return write_report(self)


def load_run(path: str | Path) -> Run:
    """Open a run.

    Args:
        path: The run folder.

    Returns:
        The run; its network is loaded when it is first used.

    Raises:
        RunError: The folder holds no run, or a run of another version.
    """
    return Run(RunFolder.open(Path(path)))


def write_report(run: Run, dataset: Dataset | None = None) -> Path:
    """Write the run's page, without pictures of samples if the data is no longer available."""
    # Imported here because matplotlib costs half a second, which prediction does not need.
    from convnet.reports.run_page import write_run_report

    if dataset is None:
        try:
            dataset = open_own_data(run)
        except ConvnetError:
            dataset = None
    beside = run.baselines or run.baselines_command
    return write_run_report(run.folder, run.recipe, run.task, run.result, run.model, dataset, beside)
