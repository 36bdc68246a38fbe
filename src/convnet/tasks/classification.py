"""Classification: one class per image, row or series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data import Dataset
from convnet.device import Compute
from convnet.targets import CLASS_INDEX, Loss
from convnet.tasks.metrics import correct_classes
from convnet.tasks.task import TASKS, Evaluation, Labels, Prediction, Score, Task, predict_all


@dataclass(frozen=True, repr=False)
class ClassificationResult(Evaluation):
    """The evaluation of a classifier on N samples.

    Attributes:
        loss: The mean loss.
        logits: N×K, on the CPU like all tensors here.
        targets: Class indices N.
        indices: The indices of the samples, N.
        extra: Metrics of the user's own.
    """

    loss: float | None
    logits: Float[Tensor, "N K"]
    targets: Int[Tensor, N]
    indices: Int[Tensor, N]
    extra: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def probabilities(self) -> Float[Tensor, "N K"]:
        """The softmax of the logits."""
        return self.logits.softmax(1)

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

    @property
    def score(self) -> float:
        """The accuracy."""
        return self.accuracy

    def scores(self) -> dict[str, Any]:
        """Accuracy, balanced accuracy and the user's own metrics."""
        return {"accuracy": self.accuracy, "balanced_accuracy": self.balanced_accuracy, **self.extra}

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Precision, recall, F1 and support by class, and the area under the ROC curve of two classes."""
        curve = self.roc()
        by_class = dict(zip(classes, self.per_class(), strict=True))
        return {"classes": by_class, **({"roc_auc": curve[2]} if curve else {})}

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

    def per_class(self) -> list[dict[str, float | None]]:
        """Precision, recall, F1 and support of every class; None where there is nothing to divide by."""
        confusion = self.confusion()
        right = confusion.diagonal()
        predicted, support = confusion.sum(0), confusion.sum(1)
        return [
            {
                "precision": r / p if p else None,
                "recall": r / s if s else None,
                "f1": 2 * r / (p + s) if s else None,
                "support": s,
            }
            for r, p, s in zip(right.tolist(), predicted.tolist(), support.tolist(), strict=True)
        ]


@dataclass(frozen=True, repr=False)
class ClassPrediction(Prediction):
    """The classes of a sample and their probabilities, most probable first."""

    location: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """The class and all probabilities."""
        return {
            "image": self.location,
            "class": self.classes[0],
            "probabilities": dict(zip(self.classes, self.probabilities, strict=True)),
        }

    def as_text(self, top: int) -> str:
        """The most probable classes."""
        return f"{self.location}  {most_probable(self.classes, self.probabilities, top)}"


def most_probable(classes: Sequence[str], probabilities: Sequence[float], top: int) -> str:
    """The first classes and their probabilities as text."""
    best = list(zip(classes, probabilities, strict=True))[:top]
    return "  ".join(f"{name} {share:.1%}" for name, share in best)


def by_probability(
    probabilities: Tensor, classes: Sequence[str]
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Classes and probabilities (K), most probable first."""
    best = probabilities.sort(descending=True)
    return tuple(classes[i] for i in best.indices.tolist()), tuple(best.values.tolist())


class Classification(Task):
    """One of K classes for each sample."""

    name = "classification"
    annotation = "class"
    target = CLASS_INDEX
    score = Score("accuracy", "accuracy")
    loss = "cross-entropy"

    def metric(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The number of correct samples and of samples."""
        return correct_classes(outputs, targets)

    def prediction(self, location: str, outputs: Tensor, images: Tensor, labels: Labels) -> ClassPrediction:
        """All classes with their probabilities."""
        return ClassPrediction(location, *by_probability(outputs[0].float().softmax(0), labels.classes))

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
