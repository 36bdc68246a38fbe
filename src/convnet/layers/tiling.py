"""Apply networks with an output per pixel to images of any size: padding and seamless tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.layers.norm import Normalize

WHOLE_SIDE = 1024
"""Images with a longer side are computed in tiles, to bound memory."""
DEFAULT_TILE = 512

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sizes:
    """The image sizes that a network with an output per pixel takes, and the size of its output.

    Attributes:
        multiple: A side n is accepted if n ≡ `remainder` mod `multiple`.
        remainder: See `multiple`.
        shrink: The output has n − `shrink` pixels, of the center; 0 if convolutions are padded.
        context: No output depends on pixels further away; None if unknown, then images are never tiled.
        fixed: The only size (height, width) that the network takes, if there is one.
    """

    multiple: int = 1
    remainder: int = 0
    shrink: int = 0
    context: int | None = None
    fixed: tuple[int, int] | None = None

    def taken(self, side: int) -> int:
        """The smallest accepted side whose output has at least `side` pixels."""
        wanted = max(side + self.shrink, 1)
        return wanted + (self.remainder - wanted) % self.multiple

    def tile(self, side: int) -> int:
        """The largest tile of at most `side` pixels (at least one step of the network) that fits the grid."""
        return max(self.multiple, side // self.multiple * self.multiple)


def sizes_of(model: nn.Module) -> Sizes:
    """The `sizes` attribute of a network or of one of its modules; without one, any size is accepted."""
    said = (getattr(module, "sizes", None) for module in model.modules())
    sizes = next((sizes for sizes in said if isinstance(sizes, Sizes)), Sizes())
    for module in model.modules():
        if isinstance(module, Normalize) and module.mean.shape[2:].numel() > 1:  # a mean for every pixel
            return replace(sizes, fixed=(module.mean.shape[2], module.mean.shape[3]))
    return sizes


@torch.no_grad()
def tiled_outputs(
    run: Run, images: Shaped[Tensor, "N C H W"], sizes: Sizes, tile: int | None = None
) -> Float[Tensor, "N K H W"]:
    """Compute the outputs for images of any size. The border is mirrored where the network needs more pixels.

    Tiles include the `context` of their outputs, so the result equals that of the whole image.

    Args:
        run: The network, as a function.
        images: Pixels N×C×H×W.
        sizes: The sizes that the network takes.
        tile: The side of tiles in pixels. Default: 512 for images with a side over 1,024, else no tiles.

    Returns:
        N×K×H×W.

    Raises:
        ModelError: The network takes only images of another size, or its context is unknown.
    """
    height, width = images.shape[-2:]
    if sizes.fixed not in (None, (height, width)):
        raise ModelError(f"the network takes {_shown(sizes.fixed)} images only, this one is {width}×{height}")
    if tile is not None and sizes.context is None:
        raise ModelError(
            "the receptive field of the network is unknown, so tiles could show seams; leave out --tile"
        )
    if tile is None and sizes.context is not None and max(height, width) > WHOLE_SIDE:
        tile = DEFAULT_TILE
    out: Tensor | None = None
    for top, rows, kept_rows in _pieces(height, sizes, tile):
        for left, columns, kept_columns in _pieces(width, sizes, tile):
            piece = run(images[..., rows[:, None], columns[None, :]])[..., kept_rows, kept_columns]
            piece = piece[..., : height - top, : width - left].float()
            if out is None:
                out = piece.new_empty(*piece.shape[:2], height, width)
            out[..., top : top + piece.shape[-2], left : left + piece.shape[-1]] = piece
    assert out is not None, "an image has at least one pixel"
    return out


def _pieces(side: int, sizes: Sizes, tile: int | None) -> list[tuple[int, Tensor, slice]]:
    """The pieces along one side: the start of each, its input pixels, and the outputs to keep."""
    if sizes.shrink:
        step = side if tile is None else sizes.tile(tile)
        margin, length = sizes.shrink // 2, sizes.taken(step)
        starts = range(0, side, step)
        return [(at, _mirrored(at - margin, at - margin + length, side), slice(0, step)) for at in starts]
    end = sizes.taken(side)
    step = end if tile is None else sizes.tile(tile)
    context = -(-(sizes.context or 0) // sizes.multiple) * sizes.multiple
    pieces = []
    for at in range(0, side, step):
        first, last = max(0, at - context), min(end, at + step + context)
        pieces.append((at, _mirrored(first, last, side), slice(at - first, at - first + step)))
    return pieces


def _shown(size: tuple[int, int] | None) -> str:
    return "" if size is None else f"{size[1]}×{size[0]}"


def _mirrored(first: int, last: int, side: int) -> Tensor:
    """The pixels `first`…`last` of a row of `side`, mirrored at both ends as often as needed."""
    period = max(1, 2 * (side - 1))
    places = torch.arange(first, last) % period
    return torch.minimum(places, period - places).clamp(0, side - 1)
