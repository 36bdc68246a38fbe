"""A task in one file: brightness of an image as one number, with a target of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import convnet
from convnet.data import DATASETS, Dataset, from_tensors
from convnet.data.datasets.named.finders import NamedSet, bundled
from convnet.device import Compute
from convnet.layers import classifier_of
from convnet.models.registry import MODELS, Facts, network
from convnet.outputs import Labels, OutputKind, Prediction
from convnet.recipes import Recipe
from convnet.targets import TARGETS, Loss, Target, register_target
from convnet.tasks.task import TASKS, Evaluation, Score, Task, predict_all
from convnet.training.losses import LOSSES, loss_for
from convnet.types import ImageShape
from convnet.workflows import resume, train
from tests.conftest import Cli, refused


class Number(Target):
    """One number per sample, float N."""

    name = head = "number"
    noun = "numbers"
    has_classes = False


@dataclass(frozen=True)
class NumberPrediction(Prediction):
    location: str
    value: float

    def as_dict(self) -> dict[str, Any]:
        return {"image": self.location, "value": self.value}

    def as_text(self, top: int) -> str:
        return f"{self.location}  {self.value:.3f}"


@dataclass(frozen=True)
class NumberResult(Evaluation):
    loss: float
    errors: Tensor
    indices: Tensor

    @property
    def score(self) -> float:
        return float((self.errors.abs() < 0.1).float().mean())

    def scores(self) -> dict[str, Any]:
        return {"close": self.score, "mean_error": float(self.errors.abs().mean())}

    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        for error in self.errors.tolist():
            yield {"close": float(abs(error) < 0.1), "error": f"{error:.4f}"}


class NumberOutputs(OutputKind):
    name = "brightness"

    def prediction(
        self, location: str, outputs: NDArray[np.float32], image: NDArray[Any], labels: Labels
    ) -> NumberPrediction:
        return NumberPrediction(location, float(outputs[0]))


class Regression(Task):
    name = "brightness"
    annotation = "number"
    score = Score("close", "within 0.1")
    loss = "number-l2"
    outputs_kind = NumberOutputs()

    def __init__(self) -> None:
        self.target = TARGETS["number"]

    def outputs(self, dataset: Dataset) -> int:
        return 1

    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        close = (outputs[:, 0] - targets).abs() < 0.1
        return close.sum(), torch.full_like(close.sum(), len(close))

    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
    ) -> NumberResult:
        mean, outputs, targets, found = predict_all(model, dataset, indices, loss, compute)
        return NumberResult(mean, outputs[:, 0] - targets, found)


def gray_squares(name: str, classes: tuple[str, ...]) -> Dataset:
    levels = torch.linspace(0, 255, 200)
    images = levels[:, None, None, None].expand(-1, 1, 8, 8).round().byte().contiguous()
    locations = [f"square[{i}]" for i in range(200)]
    return from_tensors(name, images, levels / 255, classes, locations, target=TARGETS["number"])


@pytest.fixture(scope="module", autouse=True)
def toy() -> Iterator[None]:
    """Registers the target, the loss, the network, the task and the data, and takes them back."""
    register_target(Number())
    loss_for("number-l2", "number")(lambda: lambda outputs, targets: F.mse_loss(outputs[:, 0], targets))

    @network("mean-net", Facts(ImageShape(1, 8, 8), 1, 1, 2, "the test", targets=("number",)))
    def mean_net(in_channels: int, num_classes: int, image_size: tuple[int, int]) -> nn.Module:
        return classifier_of(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(in_channels, 1))

    TASKS.register("brightness")(Regression)
    DATASETS["squares"] = NamedSet("squares", "gray squares", (), bundled(gray_squares))  # type: ignore[arg-type]
    yield
    del DATASETS["squares"], TARGETS["number"]
    for registry, name in ((LOSSES, "number-l2"), (MODELS, "mean-net"), (TASKS, "brightness")):
        del registry._builders[name]  # type: ignore[attr-defined]
        registry._facts.pop(name, None)  # type: ignore[attr-defined]


def test_a_task_of_one_file_trains_evaluates_predicts_resumes_and_reports(tmp_path: Path, call: Cli) -> None:
    recipe = Recipe.from_dict(
        {
            "name": "toy",
            "data": {"source": "squares"},
            "task": "brightness",
            "model": "mean-net",
            "optimizer": {"name": "adam", "lr": 0.05},
            "epochs": 20,
            "batch_size": 16,
        }
    )
    with convnet.use_settings(keep_checkpoints=True):
        run = train(recipe, tmp_path / "run")
    assert run.result["test"]["close"] > 0.9
    assert run.evaluate().scores() == pytest.approx(
        {k: run.result["test"][k] for k in ("close", "mean_error")}
    )
    Image.fromarray(np.full((8, 8), 51, np.uint8)).save(tmp_path / "dark.png")
    assert run.predict([tmp_path / "dark.png"])[0].as_dict()["value"] == pytest.approx(0.2, abs=0.1)
    done = call("predict", tmp_path / "run", tmp_path / "dark.png")
    assert done.returncode == 0 and "dark.png  0." in done.stdout
    assert "applies" in refused(call("predict", tmp_path / "run", tmp_path / "dark.png", "--dense"))
    page = run.report().read_text()
    assert "within 0.1" in page and "Training curves" in page
    assert len(resume(run.path, epochs=21).metrics) == 21
