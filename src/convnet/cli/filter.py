"""`convnet filter`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convnet.cli.draw.emit import writable
from convnet.cli.numbers import is_numbers, parse_numbers, parse_row
from convnet.cli.options import Json, print_json

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from convnet.concepts import Filtering
    from convnet.concepts.filtering import Place
    from convnet.features.filters import FixedFilter


def filter_image(
    image: Annotated[
        str, typer.Argument(help="An image file, or numbers: [10, 50, 60] or [[1, 2], [3, 4]].")
    ],
    kernel: Annotated[
        str | None,
        typer.Option(
            help="box, gaussian, identity, sharpen, shift, sobel, sobel-x, sobel-y, or numbers: "
            "'[[0, -1, 0], [-1, 5, -1], [0, -1, 0]]'."
        ),
    ] = None,
    point: Annotated[
        str | None, typer.Option(help="A point operation instead: darken, invert, lower-contrast, …")
    ] = None,
    hog: Annotated[
        bool, typer.Option("--hog", help="Draw the histograms of oriented gradients instead.")
    ] = False,
    at: Annotated[
        str | None, typer.Option(metavar="Y,X", help="Print the arithmetic at a place, counted from 0.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            callback=writable,
            help="Picture to write: before, kernel, convolution and cross-correlation side by side.",
        ),
    ] = None,
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
    as_json: Json = False,
) -> None:
    """Filter an image or numbers with a kernel (true convolution) and write the result.

    Values are rounded and clipped to 0…255. sobel-x and sobel-y are signed: they are divided by 8 and shown
    around mid-gray. So are the results of your own kernel if its weights sum to 0, scaled to their range. The
    border is replicated; numbers are padded with zeros (--set border=zeros, replicate or reflect).
    """
    from convnet.errors import RecipeError
    from convnet.features import FILTERS, POINT_OPERATIONS
    from convnet.recipes.overrides import parse_assignments

    if [kernel is not None, point is not None, hog].count(True) != 1:
        kernels, points = ", ".join(FILTERS), ", ".join(POINT_OPERATIONS)
        raise RecipeError(f"choose one of --kernel ({kernels}), --point ({points}) and --hog")
    if kernel is None and (at or compare):
        raise RecipeError(f"{'--at' if at else '--compare'} applies to --kernel only")
    options = parse_assignments(set_ or [])
    if kernel is not None and (is_numbers(kernel) or is_numbers(image) or at or compare or as_json):
        _filter_numbers(image, kernel, options, at=at, compare=compare, out=out, as_json=as_json)
    elif hog:
        _print(_draw_hog(Path(image), options, out or Path(f"{Path(image).stem}-hog.png")), as_json)
    else:
        _print(_filter_file(Path(image), kernel, point, options, out), as_json)


def _print(path: Path, as_json: bool) -> None:
    if as_json:
        print_json({"picture": str(path)})
    else:
        print(path)


def _filter_file(
    image: Path, kernel: str | None, point: str | None, options: dict[str, Any], out: Path | None
) -> Path:
    """Apply a registered kernel or a point operation to an image file."""
    import torch

    from convnet.data.images.decode import read_picture
    from convnet.errors import RecipeError
    from convnet.features import FILTERS, POINT_OPERATIONS

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
    return target


def _filter_numbers(
    image: str,
    kernel: str,
    options: dict[str, Any],
    *,
    at: str | None,
    compare: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Filter with the numbers of a kernel, and print the arithmetic of a place."""
    from convnet import concepts
    from convnet.errors import RecipeError
    from convnet.reports.drawings.draw import draw

    typed = is_numbers(image)
    border = options.pop("border", "zeros" if typed else "replicate")
    values = parse_numbers(image, "input") if typed else _pixels(Path(image))
    if compare is not None and compare == out:
        raise RecipeError(f"--compare {compare}: the result has the same name; choose another")
    if typed and out is not None:
        writable(out)
    found = concepts.filtering(values, _weights(kernel, options), border=border)
    places = [] if at is None else _places(found, at)
    path = out
    if not typed:
        path = out or Path(f"{Path(image).stem}-{'kernel' if is_numbers(kernel) else kernel}.png")
        _write_filtered(found, path, scaled=is_numbers(kernel))
    elif out is not None:
        draw(found, out)
    if compare is not None:
        draw(found, compare)
    if as_json:
        numbers = found.to_dict() if typed else {"kernel": found.kernel.tolist(), "border": found.border}
        arithmetic = [
            {"values": p.values.tolist(), "weights": p.weights.tolist(), "sum": p.total} for p in places
        ]
        pictures = {"picture": path and str(path), "comparison": compare and str(compare)}
        print_json(numbers | ({"at": arithmetic} if places else {}) | pictures)
        return
    if typed:
        print(found)
    for channel, place in enumerate(places):
        print(f"{'' if len(places) == 1 else f'channel {channel}: '}{place}")
    for written in (path, compare):
        if written is not None:
            print(written)


def _pixels(image: Path) -> NDArray[Any]:
    from convnet.data.images.decode import read_picture

    pixels: NDArray[Any] = read_picture(image).astype(float)
    return pixels


def _weights(kernel: str, options: dict[str, Any]) -> Any:
    """The numbers of a kernel, typed or registered."""
    from convnet.errors import RecipeError
    from convnet.features import FILTERS
    from convnet.features.filters import FixedFilter

    if is_numbers(kernel):
        if options:
            raise RecipeError(f"--set {next(iter(options))}: your own kernel has no options but border")
        return parse_numbers(kernel, "--kernel")
    module = FILTERS.build(kernel, **options)
    if not isinstance(module, FixedFilter):
        raise RecipeError(f"--kernel {kernel}: it is not one kernel; use sobel-x or sobel-y")
    return module.kernel.numpy()


def _places(found: Filtering, at: str) -> list[Place]:
    """The arithmetic at a place, in every channel."""
    from convnet.errors import DataError

    numbers = parse_row(at, "--at")
    if len(numbers) == 1 and found.is_signal:
        numbers = [0.0, *numbers]
    if len(numbers) != 2 or not all(number.is_integer() for number in numbers):
        raise DataError(f"--at {at}: expected row and column, such as 10,20")
    row, column = (int(number) for number in numbers)
    return [found.at(row, column, channel) for channel in range(len(found.values))]


def _write_filtered(found: Filtering, path: Path, *, scaled: bool) -> None:
    """Write the convolution; if the weights sum to 0, around mid-gray, scaled or divided by 8."""
    import torch

    values = torch.from_numpy(found.convolution)[None]
    if abs(float(found.kernel.sum())) < 1e-6:
        values = 128 + values * (127 / max(float(values.abs().max()), 1e-9) if scaled else 1 / 8)
    _write(values, path)


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


def _draw_hog(image: Path, options: dict[str, Any], out: Path) -> Path:
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
    return out
