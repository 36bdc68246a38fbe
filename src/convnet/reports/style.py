"""The style of all figures, and their conversion to PNG and SVG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.style
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from rich.cells import cell_len, set_cell_size

TRAIN, VAL, TEST, MUTED = "#3566b8", "#d9722e", "#2f8f5b", "#8a8f98"
CYCLE = ("#3566b8", "#d9722e", "#2f8f5b", "#a0489c", "#c43d4b", "#5d6a7a", "#8a7414", "#1d8a99")

LONGEST_NAME = 24
"""In terminal columns; wide characters take two."""

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa0a8",
    "axes.labelcolor": "#3c4149",
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "xtick.color": "#5b616a",
    "ytick.color": "#5b616a",
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=CYCLE),
    "figure.facecolor": "white",
    "text.parse_math": False,  # class names may contain dollar signs
    "svg.fonttype": "none",
    "svg.hashsalt": "convnet",  # reproducible
}
MOST_DECADES = 300
"""The largest ratio of the ends of a logarithmic axis with three numbers in each decade."""
CHART = (3.9, 2.9)
"""The size of a chart in inches: its text has 11 pixels on a page 400 pixels wide."""


def plain_style() -> AbstractContextManager[None]:
    """A block in which figures have the common style, without the user's settings."""
    return mpl.style.context(("default", STYLE))


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure in the common style; sizes are in inches."""
    with plain_style():
        yield Figure(figsize=(width, height), layout="constrained")


def to_svg(picture: Figure) -> bytes:
    """The figure as the bytes of an SVG file, reproducible."""
    return _saved(picture, format="svg", metadata={"Date": None})


def to_png(picture: Figure, dpi: int = 144) -> bytes:
    """The figure as the bytes of a PNG file, reproducible."""
    return _saved(picture, format="png", dpi=dpi, metadata={"Software": None})


def _saved(picture: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    for text in picture.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(
            text.get_text().encode("utf-8", "backslashreplace").decode()
        )  # names that are not UTF-8
    with plain_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box
        picture.savefig(buffer, **options)
    return buffer.getvalue()


def shortened(name: str) -> str:
    """A class name, truncated if it is too long."""
    return name if cell_len(name) <= LONGEST_NAME else f"{set_cell_size(name, LONGEST_NAME - 1).rstrip()}…"


def log_scale(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers at 1, 2 and 5 of each decade, or fewer if there are many."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    subs = (1.0, 2.0, 5.0) if high < MOST_DECADES * low else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def bare(axes: Axes) -> None:
    """Remove ticks, grid and spines from axes that hold an image."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
