"""Recognition of inputs of unknown classes by a score of the logits and a threshold."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from convnet.explain.ranks import separation
from convnet.outputs.calibration import SCORES, ScoreName, UnknownRule

COVERAGE = 0.95
"""The fraction of validation samples that are accepted."""
FEWEST = 20
"""The smallest number of validation samples for a threshold."""
SCRAMBLED = 200
"""The largest number of validation samples that are scrambled to choose the score."""
TILES = 4
"""Tiles per side of an image, and parts of a series, whose order is scrambled."""


def scrambled(images: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
    """Samples of no class, made of the values of known ones: the tiles of each in a random order.

    The columns of table rows (N×C×1×1) are exchanged between the rows instead.
    """
    generator = torch.Generator().manual_seed(0)
    n, channels, height, width = images.shape
    if height == width == 1:
        order = torch.rand(n, channels, generator=generator).argsort(0).to(images.device)
        return images.gather(0, order[:, :, None, None])
    rows, columns = min(TILES, height), min(TILES, width)
    tall, wide = height // rows, width // columns
    out = images.clone()
    for number in range(n):
        order = torch.randperm(rows * columns, generator=generator)
        for place, source in enumerate(order.tolist()):
            (i, j), (k, m) = divmod(place, columns), divmod(source, columns)
            tile = images[number, :, k * tall : (k + 1) * tall, m * wide : (m + 1) * wide]
            out[number, :, i * tall : (i + 1) * tall, j * wide : (j + 1) * wide] = tile
    return out


def fit_unknown(
    logits: Float[Tensor, "N K"], others: Float[Tensor, "M K"] | None, coverage: float = COVERAGE
) -> UnknownRule | None:
    """Choose score and threshold on validation samples.

    The score is the one that separates them better from samples of no class. The threshold accepts the
    fraction `coverage` of the validation samples.

    Args:
        logits: Calibrated logits of N validation samples.
        others: Calibrated logits of `scrambled` samples. Without them the score is the largest probability.
        coverage: The fraction of known samples to accept.

    Returns:
        The rule; None for fewer than 20 samples.
    """
    if len(logits) < FEWEST:
        return None
    scores = {name: torch.from_numpy(score(logits.numpy())) for name, score in SCORES.items()}
    chosen: ScoreName = "max-probability"
    areas: dict[str, float] | None = None
    if others is not None and len(others):
        areas = {
            str(name): separation(scores[name], torch.from_numpy(score(others.numpy())))
            for name, score in SCORES.items()
        }
        chosen = (
            "negative-energy" if areas["negative-energy"] > areas["max-probability"] else "max-probability"
        )
    threshold = float(scores[chosen].quantile(1 - coverage, interpolation="lower"))
    return UnknownRule(chosen, threshold, float((scores[chosen] >= threshold).double().mean()), areas)


def coverage_accuracy(
    logits: Float[Tensor, "N K"], targets: Int[Tensor, N], rule: UnknownRule
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The accuracy of the samples that are accepted, for every coverage.

    Returns:
        Coverage 1/N…1, and the accuracy of that fraction of samples with the highest scores.
    """
    order = torch.from_numpy(rule.scores(logits.numpy())).argsort(descending=True, stable=True)
    right = (logits.argmax(1) == targets)[order].double()
    counts = torch.arange(1, len(right) + 1, dtype=torch.float64)
    return (counts / len(right)).numpy(), (right.cumsum(0) / counts).numpy()
