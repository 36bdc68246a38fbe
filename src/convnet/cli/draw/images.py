"""Commands of `convnet draw` that take an image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convnet.cli.draw.emit import Picture, emit
from convnet.cli.options import Json


def colors(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    bins: Annotated[int, typer.Option(help="Bins per channel, 2 to 16.")] = 4,
    space: Annotated[Literal["rgb", "hsv"], typer.Option(help="The color space.")] = "rgb",
    sigma: Annotated[float, typer.Option(min=0, help="The width of the smoothing in bins.")] = 0.5,
    out: Picture = None,
    as_json: Json = False,
) -> None:
    """Draw the color histogram of an image, raw and smoothed."""
    import torch

    from convnet import concepts
    from convnet.data.images.decode import read_picture

    pixels = torch.from_numpy(read_picture(image).copy())
    found = concepts.color_histogram(pixels, bins=bins, space=space, sigma=sigma)
    emit(found, out, as_json=as_json, default="colors.svg")
