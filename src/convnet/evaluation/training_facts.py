"""What a diagnosis of a training run is made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from convnet.explain.health import LayerHealth

Row = Mapping[str, float | None]


@dataclass(frozen=True)
class TrainingFacts:
    """What is known about a training run of a classifier.

    Attributes:
        epochs: The rows of metrics.csv.
        steps: The training losses of all steps, as far as they were logged.
        classes: The class names.
        chance: The cross-entropy of guessing by the frequencies of the classes.
        per_class: Training samples by class.
        recall: Validation recall by class; None for classes without samples.
        balanced: Whether the loss or the sampling is balanced.
        cross_entropy: Whether the loss is a cross-entropy, which can be compared with guessing.
        train: Training accuracy of the last epoch.
        val: Validation accuracy.
        val_samples: The number of validation samples.
        sure_mistakes: The fraction of validation samples for which the network is sure of another class, and
            whose label is among the least probable ones.
        layers: The state of the layers.
        input_scale: The mean and the standard deviation of normalized inputs.
        brightness: Mean of training images, mean of validation images, deviation of training images.
        sizes: Median side of training and of validation files in pixels.
        copies: The fraction of validation samples that are copies of samples of the given training split.
    """

    epochs: Sequence[Row] = ()
    steps: Sequence[float] = ()
    classes: Sequence[str] = ()
    chance: float = 0.0
    per_class: Sequence[int] = ()
    recall: Sequence[float | None] = ()
    balanced: bool = False
    cross_entropy: bool = True
    train: float | None = None
    val: float | None = None
    val_samples: int = 0
    sure_mistakes: float = 0.0
    layers: Sequence[LayerHealth] = field(default=(), repr=False)
    input_scale: tuple[float, float] | None = None
    brightness: tuple[float, float, float] | None = None
    sizes: tuple[float, float] | None = None
    copies: float = 0.0


def chance_loss(per_class: Sequence[int]) -> float:
    """The cross-entropy of predicting the frequencies of the classes."""
    total = sum(per_class)
    return -sum(count / total * math.log(count / total) for count in per_class if count) if total else 0.0
