"""Classification: one class per image, row or series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset, Loader
from convnet.device import Compute
from convnet.explain.calibration import brier_score, calibrate, reliability
from convnet.explain.unknown import SCRAMBLED, scrambled
from convnet.outputs import UNCALIBRATED, Calibration, ClassOutputs
from convnet.targets import CLASS_INDEX, Loss
from convnet.tasks.intervals import (
    Interval,
    as_intervals,
    balanced_accuracies,
    bootstrap_confusion,
    f1_scores,
    wilson,
)
from convnet.tasks.metrics import correct_classes
from convnet.tasks.task import (
    TASKS,
    Evaluation,
    Score,
    Task,
    evaluating,
    predict_all,
)
from convnet.types import evaluation_batch


@dataclass(frozen=True, repr=False)
class ClassificationResult(Evaluation):
    """The evaluation of a classifier on N samples.

    Attributes:
        loss: The mean loss.
        logits: N×K, on the CPU like all tensors here.
        targets: Class indices N.
        indices: The indices of the samples, N.
        extra: Metrics of the user's own.
        calibration: The calibration of the probabilities.
    """

    loss: float | None
    logits: Float[Tensor, "N K"]
    targets: Int[Tensor, N]
    indices: Int[Tensor, N]
    extra: Mapping[str, float] = field(default_factory=dict)
    calibration: Calibration = UNCALIBRATED

    @cached_property
    def calibrated(self) -> Float[Tensor, "N K"]:
        """The logits divided by the temperature."""
        return self.logits / self.calibration.temperature

    @cached_property
    def probabilities(self) -> Float[Tensor, "N K"]:
        """The softmax of the calibrated logits."""
        return self.calibrated.softmax(1)

    @cached_property
    def predicted(self) -> Tensor:
        """The most probable class of each sample."""
        return self.probabilities.argmax(1)

    @property
    def accuracy(self) -> float:
        """The fraction of samples whose most probable class is correct."""
        return int((self.predicted == self.targets).sum()) / max(1, len(self.targets))

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall over the classes that have samples."""
        confusion = self.confusion()
        there = confusion.sum(1) > 0
        recall = confusion.diagonal()[there] / confusion.sum(1)[there]
        return float(recall.mean()) if there.any() else 0.0

    @cached_property
    def top5(self) -> float:
        """The fraction of samples whose class is among the five most probable ones."""
        best = self.logits.topk(min(5, self.logits.shape[1]), 1).indices
        return int((best == self.targets[:, None]).sum()) / max(1, len(self.targets))

    @property
    def score(self) -> float:
        """The accuracy."""
        return self.accuracy

    def fit_calibration(self, scrambled: Tensor | None) -> Calibration:
        """Temperature and threshold of these samples."""
        return calibrate(self.logits, self.targets, scrambled)

    def with_calibration(self, calibration: Calibration) -> ClassificationResult:
        """The same logits with another calibration."""
        return replace(self, calibration=calibration)

    def scores(self) -> dict[str, Any]:
        """Accuracy, balanced accuracy and the user's own metrics."""
        return {"accuracy": self.accuracy, "balanced_accuracy": self.balanced_accuracy, **self.extra}

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Top-5 accuracy, calibration, figures by class, the area under two classes' ROC curve."""
        curve = self.roc()
        by_class = dict(zip(classes, self.per_class(), strict=True))
        rule = self.calibration.unknown
        before = self.logits.softmax(1)
        return {
            "top5": self.top5,
            "ece": reliability(self.probabilities, self.targets).error,
            "ece_uncalibrated": reliability(before, self.targets).error,
            "brier": brier_score(self.probabilities, self.targets),
            "brier_uncalibrated": brier_score(before, self.targets),
            "temperature": self.calibration.temperature,
            "unknown_score": rule and rule.score,
            "unknown_threshold": rule and rule.threshold,
            "accepted": rule and float((~rule.unknown(self.calibrated.numpy())).mean()),
            "classes": by_class,
            **({"roc_auc": curve[2]} if curve else {}),
        }

    def intervals(self) -> dict[str, Interval]:
        """Intervals of the accuracy and the top-5 accuracy (Wilson), and of the balanced one (bootstrap)."""
        count = len(self.targets)
        shares = {"accuracy": self.accuracy, "top5": self.top5}
        found = {name: wilson(round(share * count), count) for name, share in shares.items()}
        balanced = bootstrap_confusion(self.confusion(), balanced_accuracies)
        return {
            **{name: ends for name, ends in found.items() if ends is not None},
            **as_intervals(["balanced_accuracy"], balanced),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Logits N×K and targets N."""
        return {"logits": self.logits.numpy(), "targets": self.targets.numpy()}

    def rows(self, dataset: Dataset) -> Iterator[Mapping[str, object]]:
        """Class, predicted class, and the probabilities of both."""
        confidence = self.probabilities.amax(1)
        own = self.probabilities.gather(1, self.targets[:, None])[:, 0]
        columns = (self.targets, self.predicted, confidence, own)
        for target, predicted, sure, probability in zip(*(c.tolist() for c in columns), strict=True):
            yield {
                "class": dataset.info.classes[target],
                "predicted": dataset.info.classes[predicted],
                "confidence": f"{sure:.6f}",
                "class_probability": f"{probability:.6f}",
            }

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
        """False and true positive rates at every threshold, and the area under the ROC curve.

        The second class is the positive one. None unless there are exactly two classes, both with samples.
        """
        from sklearn.metrics import auc, roc_curve  # imported here because it takes half a second

        if self.probabilities.shape[1] != 2 or len(self.targets.unique()) < 2:
            return None
        false, true, _ = roc_curve(self.targets.numpy(), self.probabilities[:, 1].numpy())
        return false, true, float(auc(false, true))

    def confusion(self) -> NDArray[np.int64]:
        """The confusion matrix K×K: rows are true classes, columns predicted classes."""
        k = self.probabilities.shape[1]
        counts = torch.bincount(self.targets * k + self.predicted, minlength=k * k)
        return counts.view(k, k).numpy()

    def per_class(self) -> list[dict[str, Any]]:
        """Precision, recall, F1, their 95% intervals, and the support of every class.

        None where there is nothing to divide by. The intervals are Wilson's, that of F1 is bootstrapped.
        """
        confusion = self.confusion()
        right = confusion.diagonal()
        predicted, support = confusion.sum(0), confusion.sum(1)
        f1 = bootstrap_confusion(confusion, f1_scores).T.tolist()
        return [
            {
                "precision": r / p if p else None,
                "precision_interval": wilson(r, p),
                "recall": r / s if s else None,
                "recall_interval": wilson(r, s),
                "f1": 2 * r / (p + s) if s else None,
                "f1_interval": tuple(ends) if s else None,
                "support": s,
            }
            for r, p, s, ends in zip(right.tolist(), predicted.tolist(), support.tolist(), f1, strict=True)
        ]


class Classification(Task):
    """One of K classes for each sample."""

    name = "classification"
    annotation = "class"
    target = CLASS_INDEX
    score = Score("accuracy", "accuracy")
    loss = "cross-entropy"
    outputs_kind = ClassOutputs()

    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The number of correct samples and of samples."""
        return correct_classes(outputs, targets)

    @torch.no_grad()
    def scrambled_outputs(self, model: nn.Module, dataset: Dataset, indices: Tensor) -> Tensor | None:
        """Logits of at most 200 samples, scrambled; None for series of different lengths."""
        chosen = indices[torch.linspace(0, len(indices) - 1, min(SCRAMBLED, len(indices))).long()]
        found = []
        with evaluating(model):
            for batch in Loader(dataset, chosen, evaluation_batch(dataset.info.shape)).epoch():
                if batch.images.is_floating_point() and bool(batch.images.isnan().any()):
                    return None
                found.append(model(scrambled(batch.images)).float().cpu())
        return torch.cat(found) if found else None

    def evaluate(
        self, model: nn.Module, dataset: Dataset, indices: Tensor, loss: Loss, compute: Compute
    ) -> ClassificationResult:
        """Predict every sample."""
        mean, logits, targets, found = predict_all(model, dataset, indices, loss, compute)
        return ClassificationResult(mean, logits, targets, found)


@TASKS.register("classification")
def classification() -> Task:
    """One class for each image, row or series."""
    return Classification()
