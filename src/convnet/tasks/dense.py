"""Functions shared by tasks with an output per pixel: segmentation and image-to-image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from torch import Tensor, nn

from convnet.data import Dataset, Loader, read_sample
from convnet.data.batches.loader import BatchTransform
from convnet.device import Compute
from convnet.errors import ModelError, in_one_line
from convnet.layers import sizes_of, tiled_outputs
from convnet.types import Batch

SMALL_PIXELS = 128 * 128
BATCH_PIXELS = 1 << 19


def center_crop(targets: Tensor, outputs: Tensor) -> Tensor:
    """The center of the targets in the size of the outputs; valid convolutions lose the border."""
    (height, width), (rows, columns) = targets.shape[-2:], outputs.shape[-2:]
    top, left = (height - rows) // 2, (width - columns) // 2
    return targets[..., top : top + rows, left : left + columns]


def samples(dataset: Dataset, indices: Tensor, transform: BatchTransform) -> Iterator[Batch]:
    """Batches of samples; large samples, and samples of different sizes, come one at a time."""
    pixels = dataset.info.shape.height * dataset.info.shape.width
    if dataset.info.sizes is None and pixels <= SMALL_PIXELS:
        yield from Loader(dataset, indices, max(1, BATCH_PIXELS // pixels), transform=transform).epoch()
        return
    for index in indices.tolist():
        yield transform(read_sample(dataset, index), None)


def dense_outputs(
    model: nn.Module, images: Tensor, compute: Compute | None = None, tile: int | None = None
) -> Tensor:
    """The outputs of a network for images of any size, float32 N×K×H×W.

    Args:
        model: The network.
        images: N×C×H×W.
        compute: The precision. Default: the network's own.
        tile: Compute in tiles of tile×tile pixels. Default: chosen from the memory needed.

    Returns:
        The outputs, the same for every tile size.

    Raises:
        ModelError: The network does not take images of this size.
    """
    sizes = sizes_of(model)

    def run(piece: Tensor) -> Tensor:
        height, width = piece.shape[2:]
        try:
            with nullcontext() if compute is None else compute.autocast():
                out: Tensor = model(piece)
        except RuntimeError as error:
            message = f"the network fails on {width}×{height} images: {in_one_line(error)}"
            raise ModelError(f"{message}; train and predict with one --set preprocess.image_size") from error
        return out

    return tiled_outputs(run, images, sizes, tile)
