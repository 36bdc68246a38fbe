"""A trained run: its results, evaluation on other data, prediction, its report."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from convnet.errors import ConvnetError, RunError
from convnet.layers import Network
from convnet.outputs import UNCALIBRATED, Calibration, Labels, Prediction
from convnet.prediction import DenseMap, NetworkPredictor
from convnet.recipes.load import trained_network
from convnet.registry import Section
from convnet.runs import Baselines, MetricsLog, RunFolder, baselines_beside
from convnet.runs.schema import WAY_OUT
from convnet.tasks import Evaluation
from convnet.types import SplitName
from convnet.workflows.evaluate import evaluate_run
from convnet.workflows.run_info import RunInfo


@dataclass(frozen=True)
class Run(RunInfo):
    """A run folder. Files are read when they are first needed.

    Attributes:
        folder: The paths of its files.
    """

    def __repr__(self) -> str:
        """The data, the network and the main metric on one line."""
        try:
            recipe, score = self.recipe, self.task.score
            about = f"{recipe.model.label} on {self.data['name']}"
            if not self.folder.finished:
                return f"Run {self.path}: {about}, unfinished"
            held_out = self.result["test"] or self.result["val"] or {}
            split = "test" if self.result["test"] else "validation"
            figures = f", {split} {score.label} {score.show(held_out[score.key])}" if held_out else ""
            return f"Run {self.path}: {about}, {self.result['epochs']} epochs{figures}"
        except ConvnetError as error:
            return f"Run {self.path}: {error}"

    @cached_property
    def result(self) -> dict[str, Any]:
        """The final figures: loss and metrics per split, seconds, images per second, parameters.

        Raises:
            RunError: The run is not finished.
        """
        if not self.folder.finished:
            raise RunError(f"{self.path}: not finished; continue it with 'convnet resume {self.path}'")
        result = self.folder.result
        file, model, samples = self.folder.file("result.json"), self.recipe.model.name, self.data["samples"]
        if result.get("model") not in (None, "", model):
            raise RunError(f"{file}: of another run: its model is {result['model']}, not {model}; {WAY_OUT}")
        for name in ("train", "val", "test"):
            figures = result[name] or {self.task.score.key: None}
            if self.task.score.key not in figures:
                raise RunError(f"{file}: damaged: {name} has no {self.task.score.key}; train the run again")
            if (count := figures.get("samples") or 0) > samples[name]:
                raise RunError(
                    f"{file}: of another run: {name} has {count:,} samples, not {samples[name]:,}; {WAY_OUT}"
                )
        return result | {"run": str(self.path)}

    @property
    def baselines(self) -> Baselines | None:
        """The baselines measured on the same samples and the same split; None if there are none."""
        return baselines_beside(self.folder) if self.task.target.exclusive else None

    @property
    def baselines_command(self) -> str | None:
        """The `convnet baselines` command for this run's data and split; None where none applies."""
        uneven = self.modality == "series" and self.data.get("steps") is None
        if not self.task.target.exclusive or uneven:
            return None
        recipe, words = self.recipe, ["convnet", "baselines", self.recipe.data.source]
        sections: dict[str, Section] = {"data": recipe.data, "split": recipe.split}
        if recipe.weights is None or recipe.weights.source != "imagenet":  # which have their own image size
            sections["preprocess"] = recipe.preprocess
        for name, section in sections.items():
            for field, info in type(section).model_fields.items():
                value = getattr(section, field)
                if field not in ("source", "normalize") and value != info.default:
                    words += ["--set", f"{name}.{field}={json.dumps(value)}"]
        return shlex.join(words)

    @property
    def metrics(self) -> list[dict[str, float | None]]:
        """One row per epoch: losses, metrics, learning rate, seconds."""
        return MetricsLog(self.folder.file("metrics.csv"), self.task.score.key, self.recipe.metrics).rows

    @property
    def calibration(self) -> Calibration:
        """Temperature and threshold of unknown samples, fitted to the validation split.

        Without effect if the run has no validation split or is of an earlier version.
        """
        stored = self.result.get("calibration")
        return UNCALIBRATED if stored is None else Calibration.from_dict(stored)

    @cached_property
    def model(self) -> Network:
        """The trained network in evaluation mode, with normalization: uint8 N×C×H×W → logits.

        Raises:
            RunError: The run is not finished, or its weights are damaged.
        """
        return trained_network(self.folder, self.recipe)

    @cached_property
    def predictor(self) -> NetworkPredictor:
        """The trained network with its preprocessing, classes and thresholds."""
        colors = {k: v for k, v in (self.recipe.data.colors or {}).items() if isinstance(v, str)}
        thresholds = self.result.get("thresholds", {})
        values = tuple(self.data.get("mask_values", ()))
        series = self.modality == "series"
        labels = Labels(self.classes, thresholds, colors, values, series, self.calibration)
        return NetworkPredictor.of(str(self.path), self.model, self.task, self.inputs, labels)

    def evaluate(
        self, data: Any = None, *, split: SplitName | None = None, label: str | None = None
    ) -> Evaluation:
        """Evaluate the network on held-out data.

        Args:
            data: A path, the name of a data set, or data in memory of the kinds that `convnet.train` takes.
                Default: the run's own data.
            split: The split to evaluate. Default: "test", or "val" if there is no test split; all samples
                of data without splits.
            label: The label column of other data. Default: the run's.

        Returns:
            Loss, metrics and predictions of every sample; the class depends on the task.

        Raises:
            DataError: The data has classes that the run does not know, or no samples in that split.
        """
        return evaluate_run(self, data, split=split, label=label).evaluation

    def predict(self, inputs: Any, *, tile: int | None = None) -> list[Prediction]:
        """Predict files or images in memory.

        Args:
            inputs: A path, a pattern ("photos/*.jpg"), a PIL image, an array (H×W, H×W×C or N×H×W×C; uint8,
                or floats 0…1), or a sequence of these. A path may be a folder, a zip archive or a table of
                paths; for a run on tables or series it is a file of those.
            tile: Compute large images in tiles of this many pixels a side.

        Returns:
            One prediction per sample; the class depends on the task.

        Raises:
            DataError: A file is missing or unreadable, or does not fit the network.
        """
        return self.predictor.predict(inputs, tile=tile)

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
        """Write `report.html` and its pictures again, with everything that can be measured.

        Returns:
            The path of the page.

        Raises:
            RunError: The run is not finished.
        """
        # Imported here because matplotlib costs half a second, which prediction does not need.
        from convnet.workflows.report import write_report

        _ = self.result
        return write_report(self, full=True)


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
