"""Draw a network as a row of boxes whose sizes are to scale, as in the lectures."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from convnet.analysis.render import by, fragment, window
from convnet.analysis.table import Layer, LayerTable
from convnet.atomic import write_atomically
from convnet.errors import ModelError
from convnet.reports.html import render
from convnet.reports.style import figure

PICTURE_SUFFIXES = (".svg", ".pdf", ".png")
MOST_BOXES = 18

TALLEST, THICKEST, LONGEST = 130.0, 44.0, 130.0
"""The height of the largest map, the thickness of the most channels, the longest vector, in points."""
SLANT = 0.35
"""The drawn width of a map relative to its real width."""
ROOM = 74.0
"""The space for the labels of a box in points."""

FACE, TOP, SIDE, EDGE = "#a9c3ea", "#d3e0f5", "#7fa1d6", "#3566b8"
VECTOR = "#d9722e"


@dataclass(frozen=True)
class Volume:
    """A box: its shape, and the layers that produce it."""

    shape: tuple[int, ...]
    labels: tuple[str, ...]


def draw_architecture(table: LayerTable, path: Path) -> None:
    """Write the picture of a network.

    Args:
        table: The layer table.
        path: A .svg, .pdf or .png file.

    Raises:
        ModelError: The suffix is another, or the input is not an image.
        RunError: The file cannot be written.
    """
    _require_suffix(path)
    write_picture(architecture(table), path)


def write_picture(picture: Figure, path: Path) -> None:
    """Write the figure of a network.

    Raises:
        ModelError: The suffix of the path is no format of pictures.
        RunError: The file cannot be written.
    """
    _require_suffix(path)
    write_atomically(path, rendered(picture, path.suffix.lower().removeprefix(".")))


def _require_suffix(path: Path) -> None:
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ModelError(f"{path}: cannot write this format; use one of {', '.join(PICTURE_SUFFIXES)}")


def rendered(picture: Figure, format_: str) -> bytes:
    """The figure as the bytes of a file."""
    out = io.BytesIO()
    metadata: dict[str, Any] = {
        "svg": {"Date": None},
        "pdf": {"CreationDate": None},
        "png": {"Software": None},
    }
    with mpl.rc_context({"svg.hashsalt": "convnet"}):
        picture.savefig(out, format=format_, dpi=144, metadata=metadata[format_])
    return out.getvalue()


def volumes(table: LayerTable) -> list[Volume]:
    """The input and the outputs of layers, at most 18 boxes; equal neighbors are merged."""
    first = Volume(table.input, ("input",))
    found = [first]
    for depth in range(1, 12):
        deeper = [first]
        for layer in _chain(table.root.inside or (table.root,), depth):
            if not layer.output:
                continue
            label = _label(layer)
            if layer.output == deeper[-1].shape or _flat(layer.output) == _flat(deeper[-1].shape):
                labels = (*deeper[-1].labels, label) if label else deeper[-1].labels
                deeper[-1] = Volume(deeper[-1].shape, labels)
            else:
                deeper.append(Volume(layer.output, (label or layer.type,)))
        if len(deeper) > MOST_BOXES and len(found) > 1:
            break
        found = deeper
    return found


def _chain(layers: Sequence[Layer], depth: int) -> Iterator[Layer]:
    """The layers in the order in which they run, down to a depth; blocks with branches count as one."""
    for layer in layers:
        if depth > 1 and layer.inside and layer.is_chain:
            yield from _chain(layer.inside, depth - 1)
        else:
            yield layer


def _label(layer: Layer) -> str:
    """The label of a layer; empty for layers that keep the shape and have no weights."""
    if layer.window is not None:
        kind = "conv" if layer.parameters else "pool" if "ool" in layer.type else layer.type
        return f"{kind} {window(layer)}"
    if layer.inside:
        return layer.type
    if not layer.parameters or "Norm" in layer.type:
        return ""
    return "dense" if len(layer.output or ()) == 1 else layer.type


def _flat(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape with 1024×1×1 and 1024 treated alike."""
    return tuple(shape[:1]) if tuple(shape[1:]) == (1, 1) else tuple(shape)


def architecture(table: LayerTable) -> Figure:
    """The figure: height and slant are to scale with the map, thickness with its channels.

    Raises:
        ModelError: The input is not an image.
    """
    if len(table.input) != 3:
        raise ModelError(f"an input of {by(table.input)} cannot be drawn; expected channels × height × width")
    boxes = volumes(table)
    maps = [v.shape for v in boxes if len(v.shape) == 3]
    vectors = [v.shape[-1] for v in boxes if len(v.shape) != 3]
    pixel = TALLEST / max(max(shape[1:]) for shape in maps)
    channel = min(THICKEST / max(shape[0] for shape in maps), LONGEST / max([*vectors, 1]))
    x, places = 0.0, []
    for volume in boxes:
        width, reach = _extent(volume, pixel, channel)
        places.append((volume, x, width))
        x += max(width + reach + 16, ROOM)
    foot = max(TALLEST, *(length * channel for length in vectors)) / 2 if vectors else TALLEST / 2
    with figure((x + 24) / 72, 3.3) as picture:
        axes = picture.subplots()
        axes.set_aspect("equal")
        axes.axis("off")
        highest = 0.0
        for volume, left, width in places:
            highest = max(highest, _draw(axes, volume, left, width, pixel, channel))
            _write(axes, volume, left + width / 2, -foot - 8)
        axes.set_xlim(-22, x)
        axes.set_ylim(-foot - 54, highest + 14)
        axes.text(-20, highest + 12, table.model, fontsize=11, fontweight="bold", va="top")
    return picture


def _extent(volume: Volume, pixel: float, channel: float) -> tuple[float, float]:
    """The thickness, and the extent of the slant to the right."""
    if len(volume.shape) != 3:
        return 5.0, 0.0
    channels, _, columns = volume.shape
    return max(channels * channel, 1.2), columns * pixel * SLANT


def _draw(axes: Axes, volume: Volume, left: float, width: float, pixel: float, channel: float) -> float:
    """Draw one box around the center line and return its height above the line."""
    if len(volume.shape) != 3:
        half = max(volume.shape[-1] * channel / 2, 1.0)
        axes.add_patch(Polygon(
            [(left, -half), (left + width, -half), (left + width, half), (left, half)],
            facecolor=VECTOR, edgecolor=EDGE, linewidth=0.6,
        ))  # fmt: skip
        return half
    _, rows, columns = volume.shape
    half, slant = max(rows * pixel / 2, 0.6), columns * pixel * SLANT
    right, lift = left + width, slant
    corners = {
        FACE: [(left, -half), (right, -half), (right, half), (left, half)],
        TOP: [(left, half), (right, half), (right + slant, half + lift), (left + slant, half + lift)],
        SIDE: [(right, -half), (right + slant, -half + lift), (right + slant, half + lift), (right, half)],
    }
    for color, points in corners.items():
        axes.add_patch(Polygon(points, facecolor=color, edgecolor=EDGE, linewidth=0.6, joinstyle="round"))
    return half + lift


def _write(axes: Axes, volume: Volume, x: float, y: float) -> None:
    """Write the shape and the layers below a box."""
    shape, lines = by(volume.shape), "\n".join(_counted(volume.labels))
    axes.text(x, y, shape, ha="center", va="top", fontsize=7.5, fontweight="bold", color="#23272e")
    axes.text(x, y - 11, lines, ha="center", va="top", fontsize=6.5, color="#5b616a", linespacing=1.25)


def _counted(labels: Sequence[str]) -> list[str]:
    """The labels with equal neighbors counted: 2 × conv 3×3 +1."""
    lines: list[tuple[str, int]] = []
    for label in labels:
        if lines and lines[-1][0] == label:
            lines[-1] = (label, lines[-1][1] + 1)
        else:
            lines.append((label, 1))
    shown = [label if count == 1 else f"{count} × {label}" for label, count in lines]
    return shown if len(shown) <= 4 else [*shown[:3], f"… {len(shown) - 3} more"]


def write_summary_page(table: LayerTable, path: Path) -> None:
    """Write a self-contained HTML page: totals, the picture of the network, the table.

    Raises:
        RunError: The file cannot be written.
    """
    picture = rendered(architecture(table), "png") if len(table.input) == 3 else None
    # The fragment is already escaped.
    content = Markup(fragment(table))
    write_atomically(path, render("summary.html", table=table, picture=picture, content=content))
