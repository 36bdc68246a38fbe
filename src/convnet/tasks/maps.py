"""What tasks share whose networks return a value for every place: masks and images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from torch import Tensor, nn

from convnet.data import Loader, Source
from convnet.data.batches.loader import Pair
from convnet.errors import ModelError, in_one_line
from convnet.layers import sizes_of, whole_maps
from convnet.types import Batch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SMALL_PIXELS = 128 * 128
BATCH_PIXELS = 1 << 19


def centred(targets: Tensor, outputs: Tensor) -> Tensor:
    """The centre of the targets, of the size of the outputs: valid convolutions lose the border."""
    (height, width), (rows, columns) = targets.shape[-2:], outputs.shape[-2:]
    top, left = (height - rows) // 2, (width - columns) // 2
    return targets[..., top : top + rows, left : left + columns]


def samples(source: Source, indices: Tensor, pair: Pair) -> Iterator[Batch]:
    """Batches of small samples of one size; large ones, and those of different sizes, one by one."""
    pixels = source.shape.height * source.shape.width
    if source.sizes is None and pixels <= SMALL_PIXELS:
        yield from Loader(source, indices, max(1, BATCH_PIXELS // pixels), pair=pair).epoch()
        return
    for index in indices.tolist():
        yield pair(source.one(index), None)


def outputs_of(
    model: nn.Module, images: Tensor, fabric: Fabric | None = None, tile: int | None = None
) -> Tensor:
    """The model's maps of images of any size, float32 N×K×H×W.

    Raises:
        ModelError: the network does not take the size of the images.
    """
    sizes = sizes_of(model)

    def run(piece: Tensor) -> Tensor:
        height, width = piece.shape[2:]
        try:
            with nullcontext() if fabric is None else fabric.autocast():
                out: Tensor = model(piece)
        except RuntimeError as error:
            message = f"the network fails on {width}×{height} images: {in_one_line(error)}"
            raise ModelError(f"{message}; train and predict with one --set preprocess.image_size") from error
        return out

    return whole_maps(run, images, sizes, tile)
