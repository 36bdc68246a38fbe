"""Networks from images to maps, over images of any size: padding to a size they take, tiles without seams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.layers.norm import Normalize

WHOLE_SIDE = 1024
"""Images with a longer side are computed in tiles, so that memory does not grow with them."""
DEFAULT_TILE = 512

Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sizes:
    """Which sides a network from images to maps takes, and what of them its map shows.

    A side n is taken where n ≡ `remainder` mod `multiple`; its map has n − `shrink` pixels, of the centre (0
    where convolutions are padded). No output depends on pixels further away than `context`; None: not known,
    so that images are never cut into tiles. `fixed` is the one size (height, width) of a network that takes
    no other.
    """

    multiple: int = 1
    remainder: int = 0
    shrink: int = 0
    context: int | None = None
    fixed: tuple[int, int] | None = None

    def taken(self, side: int) -> int:
        """The smallest side that is taken and whose map has at least `side` pixels."""
        wanted = max(side + self.shrink, 1)
        return wanted + (self.remainder - wanted) % self.multiple

    def tile(self, side: int) -> int:
        """The largest tile of at most `side` pixels (at least one step of the network) that fits the grid."""
        return max(self.multiple, side // self.multiple * self.multiple)


def sizes_of(model: nn.Module) -> Sizes:
    """What the network says of itself (`sizes`, on whichever module has it); else that any size will do."""
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
    """The maps of images of any size, N×C×H×W pixels → N×K×H×W.

    What is needed beyond the borders is mirrored. With a `tile` (of images with a side over 1,024 pixels:
    512), pieces of so many pixels a side are computed one after the other, each with the `context` that its
    outputs can see: the same numbers as from the whole image, and no seams.

    Raises:
        ModelError: the network takes only images of another size, or no tiles.
    """
    height, width = images.shape[-2:]
    if sizes.fixed not in (None, (height, width)):
        raise ModelError(f"the network takes {_shown(sizes.fixed)} images only, this one is {width}×{height}")
    if tile is not None and sizes.context is None:
        raise ModelError(
            "the network does not say how far it sees, so that tiles of an image would show seams"
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
    """Along one side: where each piece begins, the pixels it is computed from, and which outputs to keep."""
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
    """The pixels `first`…`last` of a row of `side`, mirrored at both ends as often as it takes."""
    period = max(1, 2 * (side - 1))
    places = torch.arange(first, last) % period
    return torch.minimum(places, period - places).clamp(0, side - 1)
