"""Whether mirroring an image may change its class, measured on the data before training."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.data import Dataset
from convnet.data.images.resize import STRETCH, resize
from convnet.features import FEATURES

SIDE = 48
MOST = 600
"""The number of training images that are looked at."""
FOLDS = 3
DROP = 0.05
"""The loss of accuracy on mirrored images from which a mirror changes classes."""


def mirror_changes_classes(dataset: Dataset, train: Tensor) -> str | None:
    """Why images should not be mirrored; None if they may be.

    A simple cross-validated classifier is tested on images as they are and mirrored. If it is worse on
    mirrored ones, as with arrows or letters, the direction is part of the class.

    Args:
        dataset: Images with one class each.
        train: The training samples.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:MOST].sort().values
    batch = dataset.read(train[order])
    labels = batch.targets.cpu().numpy()
    counts = np.bincount(labels)
    if (counts > 0).sum() < 2 or counts[counts > 0].min() < FOLDS:
        return "classes have too few images to tell whether a mirror changes them"
    images = np.stack([_small(image) for image in batch.images.cpu()])
    own, mirrored = _accuracies(_features(images), _features(images[:, :, ::-1].copy()), labels)
    doubt = 2 * float(np.sqrt(own * (1 - own) / len(labels)))
    if own - mirrored <= max(DROP, doubt):
        return None
    return (
        f"mirroring changes classes: a simple classifier is right for {own:.0%} of the images, and for "
        f"{mirrored:.0%} of their mirror images"
    )


def _small(image: Tensor) -> NDArray[np.uint8]:
    return resize(image.permute(1, 2, 0).numpy(), (SIDE, SIDE), STRETCH)


def _features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """HoG and coarse colors, N×D."""
    hog = FEATURES.build("hog", images.shape[3], (SIDE, SIDE))
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    coarse = torch.nn.functional.adaptive_avg_pool2d(x, 6).flatten(1)
    return torch.cat([hog(x).flatten(1), coarse], 1).numpy()


def _accuracies(
    features: NDArray[np.float32], mirrored: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[float, float]:
    """The accuracy on held-out images as they are, and mirrored."""
    from sklearn.exceptions import ConvergenceWarning  # imported here because it takes a second
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    right = np.zeros(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # full convergence is not needed
        for fit, held in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(features, labels):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=100))
            model.fit(features[fit], labels[fit])
            right += [(model.predict(part[held]) == labels[held]).sum() for part in (features, mirrored)]
    return float(right[0] / len(labels)), float(right[1] / len(labels))
