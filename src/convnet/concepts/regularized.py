"""The weights of one network trained with several regularizers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from convnet.concepts.concept import table

SMALL = 0.01
"""Weights below this count as zero."""


@dataclass(frozen=True)
class TrainedWeights:
    """The weights after training with one regularizer.

    Attributes:
        name: What was typed: "none", "l2=0.01", "dropout=0.5".
        weights: All weights of layers, without biases and norms, flat.
        images: The weights of the first layer as images D×C×H×W; None if there is no image.
        train: The accuracy on the training samples.
        held_out: The accuracy on held-out samples.
    """

    name: str
    weights: Tensor
    images: Tensor | None
    train: float
    held_out: float

    @property
    def norm(self) -> float:
        """‖W‖."""
        return float(self.weights.norm())

    @property
    def small(self) -> float:
        """The fraction of weights below 0.01."""
        return float((self.weights.abs() < SMALL).float().mean())

    @property
    def largest(self) -> float:
        """The largest absolute weight."""
        return float(self.weights.abs().max())


@dataclass(frozen=True)
class Regularization:
    """One network on one data set, trained with several regularizers.

    Attributes:
        data: The data set.
        model: The network.
        variants: One per regularizer.
    """

    data: str
    model: str
    variants: tuple[TrainedWeights, ...]

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, with a histogram of the weights."""
        reach = max(variant.largest for variant in self.variants) or 1.0
        return {
            "data": self.data,
            "model": self.model,
            "variants": [
                {
                    "regularizer": variant.name,
                    "norm": variant.norm,
                    "largest": variant.largest,
                    "below_0.01": variant.small,
                    "train_accuracy": variant.train,
                    "held_out_accuracy": variant.held_out,
                    "histogram": torch.histc(variant.weights, 60, -reach, reach).int().tolist(),
                }
                for variant in self.variants
            ],
        }

    def __str__(self) -> str:
        rows = [("regularizer", "‖W‖", "largest", "below 0.01", "train", "held out")]
        for v in self.variants:
            figures = (
                f"{v.norm:.2f}",
                f"{v.largest:.2f}",
                f"{v.small:.1%}",
                f"{v.train:.2%}",
                f"{v.held_out:.2%}",
            )
            rows.append((v.name, *figures))
        return f"{self.model} on {self.data}\n{table(rows)}"
