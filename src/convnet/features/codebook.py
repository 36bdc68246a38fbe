"""Codebooks of visual words: contrast normalization, ZCA whitening, k-means."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

CONTRAST_FLOOR = 10 / 255**2
"""Added to the variance of a patch of values 0…1, so that noise in flat patches is not amplified."""
WHITENING_FLOOR = 0.1
"""Added to the variance along each principal direction, which is about 1."""
ITERATIONS = 30


@dataclass(frozen=True)
class Codebook:
    """A codebook.

    Attributes:
        words: K×D, in whitened space.
        whitening: D×D.
        center: D, subtracted before whitening.
    """

    words: Tensor
    whitening: Tensor
    center: Tensor

    def patches(self) -> Float[Tensor, "K D"]:
        """The words as normalized patches of pixels, without whitening."""
        colored: Tensor = self.words @ torch.linalg.inv(self.whitening)
        return colored + self.center


def normalize_patches(patches: Float[Tensor, "*P D"]) -> Float[Tensor, "*P D"]:
    """Normalize brightness and contrast: each patch minus its mean, divided by its standard deviation."""
    centered = patches - patches.mean(-1, keepdim=True)
    return centered * (centered.square().mean(-1, keepdim=True) + CONTRAST_FLOOR).rsqrt()


def learn_codebook(patches: Float[Tensor, "P D"], words: int, seed: int) -> Codebook:
    """Normalize, whiten and cluster patches.

    Args:
        patches: P×D, values 0…1.
        words: The number of words.
        seed: The seed of k-means.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    normal = normalize_patches(patches)
    center = normal.mean(0)
    covariance = torch.cov(normal.t().cpu().double())
    variances, directions = torch.linalg.eigh(covariance)
    scales = (variances.clamp_min(0) + WHITENING_FLOOR).rsqrt()
    whitening = (directions * scales @ directions.t()).to(patches)
    white = ((normal - center) @ whitening).cpu().numpy()
    means = KMeans(words, init="random", n_init=1, max_iter=ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        # Drawings may have fewer distinct patches than words; words then repeat.
        warnings.simplefilter("ignore", ConvergenceWarning)
        means.fit(white)
    found = torch.from_numpy(means.cluster_centers_).to(patches)
    return Codebook(found, whitening, center)
