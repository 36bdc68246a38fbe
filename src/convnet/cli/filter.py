"""`convnet filter`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from convnet.features.filters import FixedFilter


def filter_image(
    image: Annotated[Path, typer.Argument(help="An image file.")],
    kernel: Annotated[
        str | None,
        typer.Option(help="box, gaussian, identity, sharpen, shift, sobel, sobel-x or sobel-y."),
    ] = None,
    point: Annotated[
        str | None, typer.Option(help="A point operation instead: darken, invert, lower-contrast, …")
    ] = None,
    hog: Annotated[
        bool, typer.Option("--hog", help="Draw the histograms of oriented gradients instead.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="An option of the kernel, e.g. size=5 or sigma=2, or of HoG: cell_size=16.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; default: IMAGE-KERNEL.png here.")
    ] = None,
) -> None:
    """Filter an image with a fixed kernel (true convolution) and write the result.

    Values are rounded and clipped to 0…255. sobel-x and sobel-y are signed: they are divided by 8 and shown
    around mid-gray. The border is replicated (--set border=zeros pads with zeros).
    """
    import torch

    from convnet.data.images.decode import read_picture
    from convnet.errors import RecipeError
    from convnet.features import FILTERS, POINT_OPERATIONS
    from convnet.recipes.overrides import parse_assignments

    if [kernel is not None, point is not None, hog].count(True) != 1:
        kernels, points = ", ".join(FILTERS), ", ".join(POINT_OPERATIONS)
        raise RecipeError(f"choose one of --kernel ({kernels}), --point ({points}) and --hog")
    options = parse_assignments(set_ or [])
    if hog:
        _draw_hog(image, options, out or Path(f"{image.stem}-hog.png"))
        return
    if kernel is not None:
        module: FixedFilter = FILTERS.build(kernel, **({"border": "replicate"} | options))
        change: Any = module
    else:
        if options:
            raise RecipeError(f"--set {next(iter(options))}: point operations have no options")
        change = POINT_OPERATIONS[str(point)]
    pixels = torch.from_numpy(read_picture(image).copy()).float()[None]
    changed = change(pixels)
    if getattr(change, "is_signed", False):
        changed = 128 + changed / 8
    target = out or Path(f"{image.stem}-{kernel or point}.png")
    _write(changed, target)
    print(target)


def _write(image: Tensor, path: Path) -> None:
    """Write values 1×C×H×W as an image in the format given by the suffix."""
    import torch
    from PIL import Image

    from convnet.atomic import write_atomically
    from convnet.errors import RunError, in_one_line

    pixels = image[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    Image.init()
    if (format_ := Image.EXTENSION.get(path.suffix.lower())) not in Image.SAVE:
        raise RunError(f"{path}: cannot write pictures as '{path.suffix}'; use .png")
    content = io.BytesIO()
    try:
        picture.save(content, format=format_)
    except (OSError, ValueError) as error:  # a format of few colors, or one that Pillow has no writer for
        raise RunError(f"{path}: {in_one_line(error)}; use .png") from error
    write_atomically(path, content.getvalue())


def _draw_hog(image: Path, options: dict[str, Any], out: Path) -> None:
    """Draw the glyphs of the oriented gradients over the image."""
    import torch

    from convnet.atomic import require_picture, write_atomically
    from convnet.data.images.decode import read_picture
    from convnet.features import FEATURES
    from convnet.reports.style import to_png
    from convnet.reports.weight_figures import glyph_figure

    require_picture(out)
    pixels = torch.from_numpy(read_picture(image).copy())[None]
    _, channels, height, width = pixels.shape
    feature = FEATURES.build("hog", channels, (height, width), **options)
    write_atomically(out, to_png(glyph_figure(feature, pixels)))
    print(out)
