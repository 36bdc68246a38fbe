"""What tasks share whose networks return a value for every place: masks and images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor, nn

from convnet.data import Loader, MemorySource
from convnet.data.loader import Pair
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


def samples(source: MemorySource, indices: Tensor, pair: Pair) -> Iterator[Batch]:
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
    """The model's maps of images of any size, float32 N×K×H×W."""

    def run(piece: Tensor) -> Tensor:
        if fabric is None:
            out: Tensor = model(piece)
            return out
        with fabric.autocast():
            out = model(piece)
        return out

    return whole_maps(run, images, sizes_of(model), tile)
