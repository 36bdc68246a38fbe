"""Figures of many images: grids, rows of samples, mosaics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from convnet.data import Dataset, ImageDataset
from convnet.data.images.decode import decode
from convnet.data.images.pixels import DecodeError
from convnet.data.images.resize import ResizePolicy, Resizing, resize
from convnet.errors import DataError
from convnet.reports.style import bare, figure
from convnet.tasks import as_picture

Image = NDArray[np.uint8]
"""uint8 H×W×C."""
Legend = Mapping[str, tuple[float, float, float]]
"""Colors of classes, 0…1."""

LEGEND = 24
WIDTH = 10.0
"""The width of a grid in inches."""
FEWEST_COLUMNS = 6
"""The smallest number of columns by which the width is divided."""
FEWEST_SAMPLES = 3
"""The smallest number of columns of samples, which leaves room for the title."""
FILLED = 0.94
"""The side of an image relative to its cell."""


def image_grid(images: Sequence[Image], captions: Sequence[str], columns: int, title: str) -> Figure:
    """Images in rows, each with a caption of one or two short lines."""
    rows = -(-len(images) // columns)
    lines = max((caption.count("\n") + 1 for caption in captions if caption), default=0)
    cell, band = WIDTH / max(columns, FEWEST_COLUMNS), 0.17 * lines
    height = 0.4 + rows * (cell + band)
    with figure(WIDTH, height) as picture:
        picture.set_layout_engine("none")
        picture.text(0.01, 1 - 0.08 / height, title, va="top", fontweight="bold", fontsize=11)
        axes = picture.add_axes((0, 0, 1, 1))  # one axes in inches, because one per image is slow
        bare(axes)
        for number, (pixels, caption) in enumerate(zip(images, captions, strict=True)):
            row, column = divmod(number, columns)
            scale = FILLED * cell / max(pixels.shape[:2])
            tall, wide = pixels.shape[0] * scale, pixels.shape[1] * scale
            left = column * cell + (cell - wide) / 2
            top = 0.4 + band + row * (cell + band) + (FILLED * cell - tall) / 2
            gray = pixels.shape[2] == 1
            shown = pixels[:, :, 0] if gray else pixels
            extent = (left, left + wide, top + tall, top)
            axes.imshow(shown, cmap="gray" if gray else None, vmin=0, vmax=255, extent=extent, aspect="auto")
            axes.text(left + wide / 2, top - 0.04, caption, ha="center", va="bottom", fontsize=8.5)
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    return picture


def strips(
    rows: Sequence[tuple[str, Sequence[tuple[str, Image]]]], title: str, legend: Legend | None = None
) -> Figure:
    """One row of captioned images per sample, with a title per row."""
    widest = max(len(panels) for _, panels in rows)
    heights = [panels[0][1].shape[0] / panels[0][1].shape[1] for _, panels in rows]
    width = min(WIDTH, 3.2 * widest)
    with figure(width, 0.4 + sum((width - 0.4) / widest * h + 0.42 for h in heights)) as picture:
        picture.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        grid = picture.subplots(len(rows), widest, squeeze=False, height_ratios=heights)
        for line, (name, panels) in zip(grid, rows, strict=True):
            for number, (axes, (caption, pixels)) in enumerate(zip(line, panels, strict=True)):
                bare(axes)
                gray = pixels.shape[2] == 1
                axes.imshow(
                    pixels[:, :, 0] if gray else pixels, cmap="gray" if gray else None, vmin=0, vmax=255
                )
                text = caption if number else f"{name}\n{caption}"
                axes.set_title(text, fontsize=8.5, fontweight="normal", loc="left", pad=3)
        _explain(picture, legend)
    return picture


def _explain(picture: Figure, legend: Legend | None) -> None:
    """Add a legend of the colors of a mask below the figure."""
    if legend:
        patches = [Patch(color=color, label=name) for name, color in legend.items()][:LEGEND]
        picture.legend(handles=patches, loc="outside lower center", ncols=min(8, len(patches)))


def upright_strips(
    samples: Sequence[Sequence[tuple[str, Image]]],
    names: Sequence[str],
    title: str,
    legend: Legend | None = None,
) -> Figure:
    """One column of images per sample, with named rows; for small samples."""
    tall = samples[0][0][1].shape[0] / samples[0][0][1].shape[1]
    columns = max(FEWEST_SAMPLES, len(samples))
    width = min(WIDTH, 0.7 + 1.6 * columns)
    with figure(width, 0.5 + len(names) * (width - 0.7) / columns * tall) as picture:
        picture.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        grid = picture.subplots(len(names), columns, squeeze=False)
        for axes in grid[:, len(samples) :].flat:
            axes.set_axis_off()
        for row, name in enumerate(names):
            for axes, panels in zip(grid[row], samples, strict=False):
                bare(axes)
                pixels = panels[row][1]
                gray = pixels.shape[2] == 1
                axes.imshow(
                    pixels[:, :, 0] if gray else pixels, cmap="gray" if gray else None, vmin=0, vmax=255
                )
            grid[row, 0].set_ylabel(name, fontsize=9)
        _explain(picture, legend)
    return picture


def mosaic(images: Sequence[Image], title: str) -> Figure:
    """Many small images of one size without captions."""
    columns = int(np.ceil(np.sqrt(2 * len(images))))
    rows = -(-len(images) // columns)
    height, width, channels = images[0].shape
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        sheet[top : top + height, left : left + width] = image
    with figure(10, 10 * sheet.shape[0] / sheet.shape[1] + 0.4) as picture:
        axes = picture.subplots()
        bare(axes)
        axes.set_title(title)
        gray = channels == 1
        axes.imshow(sheet[:, :, 0] if gray else sheet, cmap="gray" if gray else None, vmin=0, vmax=255)
    return picture


def pictures(dataset: Dataset, indices: Sequence[int]) -> list[Image]:
    """The images of some samples as H×W×C; blank where a file can no longer be read."""
    batch = dataset.read(torch.tensor(indices))
    found = dict(zip(batch.indices.tolist(), batch.images.cpu(), strict=True))
    blank = torch.full(dataset.info.shape, 255, dtype=torch.uint8)
    return [as_picture(found.get(index, blank)) for index in indices]


def resized(dataset: ImageDataset, indices: Sequence[int]) -> list[tuple[ResizePolicy, list[Image]]]:
    """Files resized by each policy to the network's size; empty if one of them cannot be read."""
    columns: list[tuple[ResizePolicy, list[Image]]] = [(policy, []) for policy in get_args(ResizePolicy)]
    size = (dataset.info.shape.height, dataset.info.shape.width)
    manifest, preprocess = dataset.files.manifest, dataset.files.preprocess
    for index in indices:
        name = manifest.samples[int(dataset.rows[index])].entry.name
        try:
            content = manifest.store.read(name)
            picture = decode(
                content,
                channels=dataset.info.shape.channels,
                background=preprocess.background,
                allow_truncated=True,
                at_least=preprocess.resizing.needed(size),
            )
        except (DecodeError, DataError):
            return []
        for policy, pictures in columns:
            how = preprocess.resizing if policy == preprocess.resize else Resizing(policy)
            pixels = torch.from_numpy(resize(picture.pixels, size, how))
            pictures.append(as_picture(pixels.permute(2, 0, 1)))
    return columns


def differing(
    columns: Sequence[tuple[ResizePolicy, list[Image]]], used: ResizePolicy
) -> list[tuple[ResizePolicy, list[Image]]]:
    """The policy that a run uses, first, and those whose images differ from all before them."""
    found: list[tuple[ResizePolicy, list[Image]]] = []
    for policy, images in sorted(columns, key=lambda column: column[0] != used):
        if not any(all(map(np.array_equal, images, others)) for _, others in found):
            found.append((policy, images))
    return found
