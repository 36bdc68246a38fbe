"""`convnet arithmetic`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from convnet.cli.draw.emit import Picture, emit
from convnet.cli.numbers import parse_sizes
from convnet.cli.options import Json


def animation(path: Path | None) -> Path | None:
    """The path of an animation, once it is known that it can be written."""
    from convnet.atomic import require_picture

    if path is not None:
        require_picture(path, ".svg")
    return path


def arithmetic(
    input_: Annotated[
        str, typer.Option("--input", metavar="N[xM]", help="The size of the input: 7 for 7×7, or 7x9.")
    ],
    kernel: Annotated[str, typer.Option(metavar="K[xL]", help="The size of the kernel.")],
    stride: Annotated[str, typer.Option(metavar="S[xT]", help="The step of the window.")] = "1",
    padding: Annotated[str, typer.Option(help="Zeros on either end, or valid, same, full, causal.")] = "0",
    dilation: Annotated[str, typer.Option(metavar="D[xE]", help="The distance between values read.")] = "1",
    channels: Annotated[int, typer.Option(help="Channels of the input.")] = 1,
    filters: Annotated[int, typer.Option(help="Filters, the channels of the output.")] = 1,
    transposed: Annotated[bool, typer.Option("--transposed", help="A transposed convolution.")] = False,
    local: Annotated[bool, typer.Option("--local", help="A separate kernel at every position.")] = False,
    pool: Annotated[bool, typer.Option("--pool", help="A pool: no weights.")] = False,
    one_dimensional: Annotated[bool, typer.Option("--1d", help="A signal instead of an image.")] = False,
    out: Picture = None,
    animate: Annotated[
        Path | None,
        typer.Option(callback=animation, help="Write an animated .svg of the sliding window."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute the output size, parameters and receptive field of a layer, and draw its window.

    For example: convnet arithmetic --input 7 --kernel 3 --stride 3 --out window.svg
    """
    from convnet import concepts
    from convnet.errors import ModelError

    kinds = {"transposed": transposed, "local": local, "pool": pool}
    chosen: list[Any] = [kind for kind, is_chosen in kinds.items() if is_chosen]
    if len(chosen) > 1:
        raise ModelError("choose one of --transposed, --local and --pool")
    if animate is not None and animate == out:
        raise ModelError(f"--animate {animate}: the picture has the same name; choose another")
    if pool and filters != 1:
        raise ModelError(f"--filters {filters} does not apply to --pool: it keeps the channels")
    side: Any = parse_sizes(input_, "--input")
    if one_dimensional and len(side) > 1:
        raise ModelError(f"--input {input_}: a signal has one size")
    padding = padding.strip()
    numbers = {"stride": stride, "dilation": dilation} | (
        {"padding": padding} if padding[:1].isdigit() else {}
    )
    found = concepts.arithmetic(
        side if one_dimensional or len(side) > 1 else side[0],
        _sides(kernel, "--kernel"),
        **({"padding": padding} | {name: _sides(text, f"--{name}") for name, text in numbers.items()}),
        kind=chosen[0] if chosen else "convolution",
        channels=channels,
        filters=filters,
    )
    if animate is not None:
        from convnet.atomic import write_atomically
        from convnet.reports.drawings.window_animation import window_animation

        write_atomically(animate, window_animation(found))
    emit(found, out, as_json=as_json)
    if animate is not None and not as_json:
        print(f"animation {animate}")


def _sides(text: str, what: str) -> Any:
    """One number for all sides, or one per side."""
    found = parse_sizes(text, what)
    return found if len(found) > 1 else found[0]
