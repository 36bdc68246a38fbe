"""The structural similarity (SSIM) of images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

WINDOW_SIDE, WINDOW_DEVIATION = 11, 1.5
K1, K2 = 0.01, 0.03

Images = Float[Tensor, "N C H W"]


def structural_similarity(a: Images, b: Images) -> Float[Tensor, " N"]:
    """SSIM of each pair of images (Wang et al. 2004): the mean over channels and windows, at most 1.

    Windows are Gaussian, 11×11 with standard deviation 1.5, or as large as fits into smaller images.

    Args:
        a: N×C×H×W, values 0…1.
        b: N×C×H×W, values 0…1.
    """
    channels = a.shape[1]
    rows, columns = (_window(side, a) for side in a.shape[-2:])

    def blurred(x: Tensor) -> Tensor:
        x = F.conv2d(x, rows.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(x, columns.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    b = b.to(a.dtype)
    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + K1**2) / (mean_a**2 + mean_b**2 + K1**2)
    structure = (2 * covariance + K2**2) / (var_a + var_b + K2**2)
    return (light * structure).mean((1, 2, 3))


def _window(side: int, like: Tensor) -> Tensor:
    size = min(WINDOW_SIDE, side - (side + 1) % 2)
    places = torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2
    weights = (-(places**2) / (2 * WINDOW_DEVIATION**2)).exp()
    return weights / weights.sum()
