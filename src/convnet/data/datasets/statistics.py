"""Mean and standard deviation of pixels, for normalization."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from convnet.data.datasets.dataset import Dataset
from convnet.data.images.preprocess import Normalization
from convnet.errors import DataError

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Statistics of ImageNet's pixels 0…255, which public weights expect."""
FIXED: dict[Normalization, tuple[float, float]] = {
    "range": (0.0, 255.0),
    "symmetric": (127.5, 127.5),
    "efficientnet-lite": (127.0, 128.0),
    "none": (0.0, 1.0),
}
"""The number that is subtracted from pixels, and the one by which they are divided."""
SAMPLED = 2048
"""The number of images used for statistics if they have to be decoded."""
CHUNK, CHUNK_OF_FILES = 2048, 64
MIN_STD = 1.0
"""The smallest standard deviation, in pixel values 0…255; avoids division by zero."""
CONSTANT = 1e-7
"""The relative deviation below which a column of a table counts as constant."""


def fixed_statistics(
    normalize: Normalization, channels: int
) -> tuple[Float[Tensor, "1 C 1 1"], Float[Tensor, "1 C 1 1"]]:
    """Mean and standard deviation of a normalization that does not depend on the data, 1×C×1×1."""
    if normalize == "imagenet":
        return torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    shift, scale = FIXED[normalize]
    return torch.full((1, channels, 1, 1), shift), torch.full((1, channels, 1, 1), scale)


def pixel_statistics(
    dataset: Dataset, indices: Tensor, normalize: Normalization
) -> tuple[Float[Tensor, "1 C *"], Float[Tensor, "1 C *"]]:
    """Mean and standard deviation of images, for `layers.Normalize`.

    Sums are computed in float64 over chunks. Of image files only a seeded sample of `SAMPLED` is used.

    Args:
        dataset: The data.
        indices: The images to use.
        normalize: The kind of normalization.

    Returns:
        Mean and standard deviation in pixel values, 1×C×1×1, or 1×C×H×W for "pixel".

    Raises:
        DataError: The normalization does not apply to the images.
    """
    channels = dataset.info.shape.channels
    if normalize == "imagenet" and channels != 3:
        raise DataError(
            f"{dataset.info.name}: preprocess.normalize=imagenet needs color images, not {dataset.info.shape}"
        )
    if normalize == "imagenet" or normalize in FIXED:
        return fixed_statistics(normalize, channels)
    over = (0,) if normalize == "pixel" else (0, 2, 3)
    if normalize == "pixel" and dataset.info.sizes is not None:
        raise DataError(
            f"{dataset.info.name}: images of different sizes have no mean per pixel; use "
            "preprocess.normalize=channel, or resize them (--set preprocess.image_size=128)"
        )
    if not dataset.info.in_memory and len(indices) > SAMPLED:
        order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(0))
        indices = indices[order[:SAMPLED].sort().values]
    count = total = squares = torch.zeros((), dtype=torch.float64)
    at_once = CHUNK if dataset.info.in_memory else CHUNK_OF_FILES
    for chunk in indices.split(at_once if dataset.info.sizes is None else 1):
        images = dataset.read(chunk).images.cpu()
        if images.dtype == torch.uint8 and dataset.info.sizes is None:
            values = images.float()
            count = count + values.numel() // (values[0].numel() if len(over) == 1 else channels)
            total = total + values.sum(over, keepdim=True, dtype=torch.float64)
            squares = squares + values.square_().sum(over, keepdim=True, dtype=torch.float64)
            continue
        pixels = images.double()
        if dataset.info.sizes is not None:
            height, width = dataset.info.sizes[chunk[0]].tolist()
            pixels = pixels[..., :height, :width]
        count = count + (~pixels.isnan()).sum(over, keepdim=True)  # NaN: behind the end of a series
        total = total + pixels.nansum(over, keepdim=True)
        squares = squares + pixels.square().nansum(over, keepdim=True)
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    if dataset.info.modality != "images":  # constant columns become 0
        return mean.float(), std.masked_fill(std <= CONSTANT * mean.abs(), 1 / CONSTANT).float()
    return mean.float(), std.clamp_min(MIN_STD).float()
