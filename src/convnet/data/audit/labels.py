"""Find suspicious labels with a simple cross-validated classifier."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from convnet.data.audit.confident_learning import label_issues
from convnet.features import FEATURES
from convnet.layers import Fitted

SIDE = 64
"""The size of the images that features are computed from."""
FOLDS = 5
BATCH = 256
ITERATIONS = 200
FEWEST = 10
"""The smallest class whose labels are checked."""
SHARE = 0.05
"""The largest fraction of labels that are reported."""
REPEATS = 2
"""The number of cross-validations whose probabilities are averaged."""
SMALL = 10_000_000
"""The number of features of all images below which one thread is faster."""
PATCHES = 30_000
"""The number of patches that visual words are fitted to."""
GRID = 3
"""Cells per side of the local color histograms."""


@dataclass(frozen=True)
class Suspect:
    """A suspicious label.

    Attributes:
        index: The index of the sample.
        other: The more probable class.
        probability: The probability of `other`.
        own: The probability of the given label.
    """

    index: int
    other: str
    probability: float
    own: float


def suspects(
    features: NDArray[np.float32], labels: NDArray[np.int64], classes: tuple[str, ...]
) -> list[Suspect]:
    """Labels that a cross-validated classifier contradicts with confidence, most suspicious first.

    The classifier is logistic regression on embeddings, or on the features of `image_features`; see
    `label_issues`.

    Args:
        features: N×D.
        labels: Class indices N.
        classes: The class names.
    """
    counts = np.bincount(labels, minlength=len(classes))
    judged = (counts[labels] >= FEWEST).nonzero()[0]
    if len(np.unique(labels[judged])) < 2:
        return []
    own_labels = labels[judged]
    probabilities = _probabilities(features[judged], own_labels)
    numbers = np.unique(own_labels)
    chosen = label_issues(probabilities, np.searchsorted(numbers, own_labels))[: int(SHARE * len(judged))]
    return [
        Suspect(int(judged[issue.index]), classes[numbers[issue.other]], issue.probability, issue.own)
        for issue in chosen
    ]


def image_features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """HoG, color histograms and visual words of images N×H×W×C as N×D.

    Square roots, standardized; all kinds of features have the same weight.
    """
    parts: list[list[torch.Tensor]] = [[] for _ in range(3 + GRID**2)]
    size = images.shape[1:3]
    channels = images.shape[3]
    hog = FEATURES.build("hog", channels, size)
    color = FEATURES.build("color", channels, size, space="hsv" if channels == 3 else "rgb")
    cell = (size[0] // GRID, size[1] // GRID)
    local = FEATURES.build("color", channels, cell, bins=4, space="hsv" if channels == 3 else "rgb")
    words = FEATURES.build("visual-words", channels, size, stride=2, grid=1, patches=PATCHES, seed=0)
    assert isinstance(words, Fitted)
    words.fit(lambda: ((x, x) for x in _batches(images)), None)
    for x in _batches(images):
        parts[0].append(hog(x).flatten(1))
        parts[1].append(color(x).flatten(1))
        parts[2].append(words(x).flatten(1))
        for k in range(GRID**2):
            top, left = k // GRID * cell[0], k % GRID * cell[1]
            part = x[:, :, top : top + cell[0], left : left + cell[1]].contiguous()
            parts[3 + k].append(local(part).flatten(1))
    kinds = [*(torch.cat(part) for part in parts[:3]), torch.cat([torch.cat(p) for p in parts[3:]], 1)]
    roots = [kind.clamp_min(0).sqrt().numpy() for kind in kinds]
    center_crop = [kind - kind.mean(0) for kind in roots]
    scaled = [kind / (kind.std(0) + 1e-6) / kind.shape[1] ** 0.5 for kind in center_crop]
    return np.concatenate(scaled, 1).astype(np.float32)


def _batches(images: NDArray[np.uint8]) -> Iterator[torch.Tensor]:
    for start in range(0, len(images), BATCH):
        yield torch.from_numpy(images[start : start + BATCH]).permute(0, 3, 1, 2).float() / 255


def _probabilities(features: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Out-of-fold probabilities N×K."""
    from sklearn.exceptions import ConvergenceWarning  # imported here because it takes a second
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    total = np.zeros((len(labels), len(np.unique(labels))))
    if len(features) < features.shape[1]:  # the solution lies in the space of the samples
        centered = (features - features.mean(0)).astype(np.float64)
        features = (centered @ np.linalg.qr(centered.T)[0]).astype(np.float32)
    # Threads wait for each other longer than a small problem takes.
    with warnings.catch_warnings(), threadpool_limits(1 if features.size < SMALL else None):
        warnings.simplefilter("ignore", ConvergenceWarning)  # full convergence is not needed
        for seed in range(REPEATS):
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
            model = LogisticRegression(max_iter=ITERATIONS)
            total += cross_val_predict(model, features, labels, cv=folds, method="predict_proba")
    return total / REPEATS
