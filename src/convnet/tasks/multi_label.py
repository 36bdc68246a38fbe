"""Any number of labels for each image: a sigmoid for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset
from convnet.device import Compute
from convnet.errors import DataError
from convnet.targets import MULTI_HOT, Loss
from convnet.tasks.classification import by_probability, most_probable
from convnet.tasks.metrics import label_agreement
from convnet.tasks.task import TASKS, Evaluation, Labels, Prediction, Score, Task, predict_all

HALF = 0.5


@dataclass(frozen=True)
class MultiLabelResult(Evaluation):
    """Predictions for N samples: mean loss, logits and targets N×K, indices N, all on the CPU.

    A label is said of a sample where its probability is at least its threshold, K.
    """

    loss: float
    logits: Float[Tensor, "N K"]
    targets: Float[Tensor, "N K"]
    indices: Int[Tensor, " N"]
    classes: tuple[str, ...]
    thresholds: Float[Tensor, " K"]

    @cached_property
    def probabilities(self) -> Float[Tensor, "N K"]:
        """The sigmoid of the logits."""
        return self.logits.sigmoid()

    @cached_property
    def predicted(self) -> Tensor:
        """Which labels are said of each sample, N×K."""
        return self.probabilities >= self.thresholds

    @property
    def score(self) -> float:
        """F1 over all labels of all samples at a probability of ½, the one that training watches."""
        return float(_f1(self.probabilities >= HALF, self.targets > 0, over=(0, 1)))

    def scores(self) -> dict[str, Any]:
        """Means over the labels that occur, and for each label its figures; AP needs no threshold."""
        there = self.targets.sum(0) > 0
        precision = average_precision(self.probabilities, self.targets)
        single = _f1(self.predicted, self.targets > 0, over=(0,))
        tuned = float(_f1(self.predicted, self.targets > 0, over=(0, 1)))
        return {
            "f1": self.score,
            "map": float(precision[there].mean()) if there.any() else 0.0,
            **({"tuned_f1": tuned} if (self.thresholds != HALF).any() else {}),
            "macro_f1": float(single[there].mean()) if there.any() else 0.0,
            "average_precision": dict(zip(self.classes, precision.tolist(), strict=True)),
            "label_f1": dict(zip(self.classes, single.tolist(), strict=True)),
            "threshold": dict(zip(self.classes, self.thresholds.tolist(), strict=True)),
            "share": dict(zip(self.classes, self.targets.mean(0).tolist(), strict=True)),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Logits and targets, N×K."""
        return {"logits": self.logits.numpy(), "targets": self.targets.numpy()}

    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        """The labels, those that were predicted, and the probability of each."""
        for given, said, shares in zip(self.targets, self.predicted, self.probabilities, strict=True):
            yield {
                "class": "|".join(self.classes[k] for k in given.nonzero()[:, 0].tolist()),
                "predicted": "|".join(self.classes[k] for k in said.nonzero()[:, 0].tolist()),
                **{f"p({name})": f"{p:.6f}" for name, p in zip(self.classes, shares.tolist(), strict=True)},
            }

    def tune_thresholds(self) -> dict[str, float]:
        """The threshold of each label at which its F1 on these samples is best, midway to the next below."""
        best = {}
        for k, name in enumerate(self.classes):
            order = self.probabilities[:, k].argsort(descending=True, stable=True)
            values, right = self.probabilities[order, k], self.targets[order, k].cumsum(0)
            f1 = 2 * right / (torch.arange(1, len(order) + 1) + self.targets[:, k].sum())
            last = torch.cat([values[1:] < values[:-1], torch.tensor([True])])  # equal values stand together
            place = int(torch.where(last, f1, -1.0).argmax())
            below = values[place + 1] if place + 1 < len(values) else values[place]
            best[name] = float(values[place] + below) / 2 if right[-1] > 0 else HALF
        return best

    def with_thresholds(self, thresholds: Mapping[str, float]) -> MultiLabelResult:
        """The same predictions, cut at other thresholds."""
        if not thresholds:
            return self
        return replace(self, thresholds=torch.tensor([thresholds[name] for name in self.classes]))


def average_precision(
    probabilities: Float[Tensor, "N K"], targets: Float[Tensor, "N K"]
) -> Float[Tensor, " K"]:
    """The area under each label's precision-recall curve, Σ (Rᵢ − Rᵢ₋₁) Pᵢ; 0 where a label never occurs."""
    from sklearn.metrics import average_precision_score  # half a second, only where there are labels

    return torch.tensor(
        [
            float(average_precision_score(t.numpy(), p.numpy())) if t.any() else 0.0
            for t, p in zip(targets.T, probabilities.T, strict=True)
        ]
    )


def _f1(said: Tensor, right: Tensor, over: tuple[int, ...]) -> Tensor:
    both = (said & right).sum(over)
    return 2 * both / (said.sum(over) + right.sum(over)).clamp_min(1)


@dataclass(frozen=True)
class LabelsPrediction(Prediction):
    """The labels that apply to a sample, and the probabilities of all, most probable first."""

    location: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    labels: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The labels, and the probability of each."""
        return {
            "image": self.location,
            "labels": list(self.labels),
            "probabilities": dict(zip(self.classes, self.probabilities, strict=True)),
        }

    def as_text(self, top: int) -> str:
        """The labels, and the most probable ones."""
        best = most_probable(self.classes, self.probabilities, top)
        return f"{self.location}  [{', '.join(self.labels)}]  {best}"


class MultiLabel(Task):
    """Any number of K labels for each sample."""

    name = "multi-label"
    annotation = "labels"
    target = MULTI_HOT
    score = Score("f1", "F1")
    loss = "binary-cross-entropy"

    def outputs(self, dataset: Dataset) -> int:
        """A logit for each label.

        Raises:
            DataError: there is none.
        """
        if not dataset.info.classes:
            raise DataError(f"{dataset.info.name}: none of its samples has a label")
        return len(dataset.info.classes)

    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Labels that are said and right, twice, of those that are said and those that are right."""
        return label_agreement(outputs, targets)

    def prediction(self, location: str, outputs: Tensor, images: Tensor, labels: Labels) -> LabelsPrediction:
        """The labels above their thresholds, and the probabilities of all."""
        names, values = by_probability(outputs[0].float().sigmoid(), labels.classes)
        apply = (
            name for name, p in zip(names, values, strict=True) if p >= labels.thresholds.get(name, HALF)
        )
        return LabelsPrediction(location, names, values, tuple(apply))

    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
    ) -> MultiLabelResult:
        """Predict every sample, at thresholds of ½."""
        mean, logits, targets, found = predict_all(model, dataset, indices, loss, compute)
        halves = torch.full((len(dataset.info.classes),), HALF)
        return MultiLabelResult(mean, logits, targets, found, tuple(dataset.info.classes), halves)


@TASKS.register("multi-label")
def multi_label() -> Task:
    """Any number of labels for each image."""
    return MultiLabel()
