"""Multi-label classification: any number of labels per image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset
from convnet.device import Compute
from convnet.errors import DataError
from convnet.outputs import LabelOutputs
from convnet.outputs.class_prediction import HALF
from convnet.targets import MULTI_HOT, Loss
from convnet.tasks.intervals import Interval, as_intervals, bootstrap_sums
from convnet.tasks.metrics import label_agreement
from convnet.tasks.task import TASKS, Evaluation, Score, Task, predict_all


@dataclass(frozen=True, repr=False)
class MultiLabelResult(Evaluation):
    """The evaluation of a multi-label classifier on N samples.

    Attributes:
        loss: The mean loss.
        logits: N×K, on the CPU like all tensors here.
        targets: N×K, 1 for each label that applies.
        indices: The indices of the samples, N.
        classes: The names of the K labels.
        thresholds: K; a label is predicted if its probability is at least its threshold.
        extra: Metrics of the user's own.
    """

    loss: float | None
    logits: Float[Tensor, "N K"]
    targets: Float[Tensor, "N K"]
    indices: Int[Tensor, " N"]
    classes: tuple[str, ...]
    thresholds: Float[Tensor, " K"]
    extra: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def probabilities(self) -> Float[Tensor, "N K"]:
        """The sigmoid of the logits."""
        return self.logits.sigmoid()

    @cached_property
    def predicted(self) -> Tensor:
        """The predicted labels, boolean N×K."""
        return self.probabilities >= self.thresholds

    @property
    def score(self) -> float:
        """Micro-averaged F1 at thresholds of 0.5."""
        return float(_f1(self.probabilities >= HALF, self.targets > 0, over=(0, 1)))

    def scores(self) -> dict[str, Any]:
        """F1, mAP and macro F1 over the labels that occur, and the metrics of each label."""
        there = self.targets.sum(0) > 0
        precision = average_precision(self.probabilities, self.targets)
        single = _f1(self.predicted, self.targets > 0, over=(0,))
        tuned = float(_f1(self.predicted, self.targets > 0, over=(0, 1)))
        return {
            "f1": self.score,
            "map": float(precision[there].mean()) if there.any() else 0.0,
            **({"tuned_f1": tuned} if (self.thresholds != HALF).any() else {}),
            **self.extra,
            "macro_f1": float(single[there].mean()) if there.any() else 0.0,
            "average_precision": dict(zip(self.classes, precision.tolist(), strict=True)),
            "label_f1": dict(zip(self.classes, single.tolist(), strict=True)),
            "threshold": dict(zip(self.classes, self.thresholds.tolist(), strict=True)),
            "share": dict(zip(self.classes, self.targets.mean(0).tolist(), strict=True)),
        }

    def intervals(self) -> dict[str, Interval]:
        """The bootstrap interval over samples of the micro-averaged F1 at thresholds of 0.5."""
        said, right = self.probabilities >= HALF, self.targets > 0
        counts = torch.stack([(said & right).sum(1), said.sum(1) + right.sum(1)], 1).double().numpy()
        ends = bootstrap_sums(counts, lambda sums: 2 * sums[:, :1] / np.maximum(sums[:, 1:], 1))
        return as_intervals(["f1"], ends)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Logits and targets, N×K."""
        return {"logits": self.logits.numpy(), "targets": self.targets.numpy()}

    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        """True labels, predicted labels, and the probability of each label."""
        for given, said, shares in zip(self.targets, self.predicted, self.probabilities, strict=True):
            yield {
                "class": "|".join(self.classes[k] for k in given.nonzero()[:, 0].tolist()),
                "predicted": "|".join(self.classes[k] for k in said.nonzero()[:, 0].tolist()),
                **{f"p({name})": f"{p:.6f}" for name, p in zip(self.classes, shares.tolist(), strict=True)},
            }

    def tune_thresholds(self) -> dict[str, float]:
        """The threshold with the best F1 for each label, halfway to the next lower probability."""
        best = {}
        for k, name in enumerate(self.classes):
            order = self.probabilities[:, k].argsort(descending=True, stable=True)
            values, right = self.probabilities[order, k], self.targets[order, k].cumsum(0)
            f1 = 2 * right / (torch.arange(1, len(order) + 1) + self.targets[:, k].sum())
            last = torch.cat([values[1:] < values[:-1], torch.tensor([True])])  # the last of equal values
            place = int(torch.where(last, f1, -1.0).argmax())
            below = values[place + 1] if place + 1 < len(values) else values[place]
            best[name] = float(values[place] + below) / 2 if right[-1] > 0 else HALF
        return best

    def with_thresholds(self, thresholds: Mapping[str, float]) -> MultiLabelResult:
        """The same outputs with other thresholds."""
        if not thresholds:
            return self
        return replace(self, thresholds=torch.tensor([thresholds[name] for name in self.classes]))


def average_precision(
    probabilities: Float[Tensor, "N K"], targets: Float[Tensor, "N K"]
) -> Float[Tensor, " K"]:
    """The average precision of each label, Σ (Rᵢ − Rᵢ₋₁) Pᵢ; 0 for labels that never occur."""
    from sklearn.metrics import average_precision_score  # imported here because it takes half a second

    return torch.tensor(
        [
            float(average_precision_score(t.numpy(), p.numpy())) if t.any() else 0.0
            for t, p in zip(targets.T, probabilities.T, strict=True)
        ]
    )


def _f1(said: Tensor, right: Tensor, over: tuple[int, ...]) -> Tensor:
    both = (said & right).sum(over)
    return 2 * both / (said.sum(over) + right.sum(over)).clamp_min(1)


class MultiLabel(Task):
    """Any number of K labels for each sample."""

    name = "multi-label"
    annotation = "labels"
    target = MULTI_HOT
    score = Score("f1", "F1")
    loss = "binary-cross-entropy"
    outputs_kind = LabelOutputs()

    def outputs(self, dataset: Dataset) -> int:
        """One logit per label.

        Raises:
            DataError: The data has no labels.
        """
        if not dataset.info.classes:
            raise DataError(f"{dataset.info.name}: none of its samples has a label")
        return len(dataset.info.classes)

    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The terms of micro-averaged F1."""
        return label_agreement(outputs, targets)

    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
    ) -> MultiLabelResult:
        """Predict every sample, with thresholds of 0.5."""
        mean, logits, targets, found = predict_all(model, dataset, indices, loss, compute)
        halves = torch.full((len(dataset.info.classes),), HALF)
        return MultiLabelResult(mean, logits, targets, found, tuple(dataset.info.classes), halves)


@TASKS.register("multi-label")
def multi_label() -> Task:
    """Any number of labels for each image."""
    return MultiLabel()
