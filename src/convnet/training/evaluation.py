"""Running a model over held-out batches, and the figures that describe its predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.training.losses import Loss
from convnet.types import Batch

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True)
class Evaluation:
    """Predictions for N samples: mean loss, probabilities N×K, targets N, indices N, all on the CPU."""

    loss: float
    probabilities: Float[Tensor, "N K"]
    targets: Int[Tensor, N]
    indices: Int[Tensor, N]

    @cached_property
    def predicted(self) -> Tensor:
        """The most probable class of each sample."""
        return self.probabilities.argmax(1)

    @property
    def accuracy(self) -> float:
        """Share of samples whose most probable class is the right one."""
        return int((self.predicted == self.targets).sum()) / max(1, len(self.targets))

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
        """False and true positive rates at every threshold, and the area under that curve.

        Of two classes, both present; the second is the positive one. None of any other number of classes.
        """
        from sklearn.metrics import auc, roc_curve  # half a second, only where there are two classes

        if self.probabilities.shape[1] != 2 or len(self.targets.unique()) < 2:
            return None
        false, true, _ = roc_curve(self.targets.numpy(), self.probabilities[:, 1].numpy())
        return false, true, float(auc(false, true))

    def confusion(self) -> NDArray[np.int64]:
        """K×K counts: row = true class, column = predicted class."""
        k = self.probabilities.shape[1]
        counts = torch.bincount(self.targets * k + self.predicted, minlength=k * k)
        return counts.view(k, k).numpy()

    def per_class(self) -> list[dict[str, float]]:
        """Precision, recall, F1 and support of every class; a ratio whose denominator is 0 is 0."""
        confusion = self.confusion()
        right = confusion.diagonal()
        predicted, support = confusion.sum(0), confusion.sum(1)
        precision = right / np.maximum(predicted, 1)
        recall = right / np.maximum(support, 1)
        f1 = 2 * right / np.maximum(predicted + support, 1)
        return [
            {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
            for p, r, f, s in zip(precision, recall, f1, support, strict=True)
        ]


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[Batch], loss: Loss, fabric: Fabric) -> Evaluation:
    """Predict every batch in evaluation mode; the model's own mode is restored.

    The loss is the mean over samples, whatever the batch sizes.
    """
    was_training = model.training
    model.eval()
    total = torch.zeros((), dtype=torch.float64)
    probabilities, targets, indices = [], [], []
    for batch in batches:
        with fabric.autocast():
            logits = model(batch.images)
        logits = logits.float()
        total += loss(logits, batch.targets).cpu().double() * len(batch)
        probabilities.append(logits.softmax(1).cpu())
        targets.append(batch.targets.cpu())
        indices.append(batch.indices.cpu())
    model.train(was_training)
    seen = torch.cat(targets)
    return Evaluation(total.item() / max(1, len(seen)), torch.cat(probabilities), seen, torch.cat(indices))
