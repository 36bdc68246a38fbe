"""The classes of all windows of a photo, drawn over it (M31)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from convnet.reports.style import bare, figure
from convnet.tasks.overlay import class_colours

LISTED = 8


def dense_figure(
    photo: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    window: tuple[int, int],
    stride: int,
) -> Figure:
    """The photo, the most probable class around the centre of every window, and its probability.

    `probabilities` are K×I×J; a place stands for the `stride` pixels around the centre of its window.
    """
    best, sure = probabilities.argmax(0), probabilities.max(0)
    rows, columns = best.shape
    top, left = (side / 2 - stride / 2 for side in window)
    extent = (left, left + columns * stride, top + rows * stride, top)
    colours = class_colours(len(classes))
    tall = photo.shape[0] / photo.shape[1]
    grey = photo.shape[2] == 1
    shown = photo[:, :, 0] if grey else photo
    with figure(12, 4 * tall + 1.0) as picture:
        axes = picture.subplots(1, 3)
        for place, title in zip(axes, ("photo", "most probable class", "its probability"), strict=True):
            bare(place)
            place.set_title(title)
            place.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=255)
        over = np.concatenate([colours[best] / 255, np.full((*best.shape, 1), 0.55)], 2)
        axes[1].imshow(over, extent=extent, interpolation="nearest")
        image = axes[2].imshow(sure, extent=extent, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        for place in axes:
            place.set_xlim(-0.5, photo.shape[1] - 0.5)
            place.set_ylim(photo.shape[0] - 0.5, -0.5)
        picture.colorbar(image, ax=axes[2], shrink=0.8)
        counts = np.bincount(best.ravel(), minlength=len(classes))
        listed = [k for k in np.argsort(-counts)[:LISTED] if counts[k]]
        patches = [
            Patch(color=colours[k] / 255, label=f"{classes[k]} {counts[k] / best.size:.0%}") for k in listed
        ]
        picture.legend(handles=patches, loc="outside lower center", ncols=len(patches))
    return picture
