"""Figures of held-out samples with predicted masks or images, and of dense classification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from convnet.atomic import write_atomically
from convnet.data import Dataset, Loader, labels_of, read_sample
from convnet.explain import embed
from convnet.layers import Network
from convnet.outputs.mask_colors import class_colors
from convnet.prediction import DenseMap
from convnet.reports import figures, grids
from convnet.reports.style import bare, figure, to_png, to_svg
from convnet.targets import IMAGE, MASK
from convnet.tasks import Task, dense_outputs
from convnet.types import evaluation_batch

SHOWN = 5
SHOWN_SMALL = 12
SMALL_SIDE = 64
MAPPED = 2000

Row = Mapping[str, str]


@torch.no_grad()
def dense_pictures(
    task: Task, model: Network, dataset: Dataset, predictions: Sequence[Row]
) -> Iterator[tuple[str, bytes]]:
    """Held-out samples from the worst to the best by the task's metric, and the codes of an autoencoder."""
    measured = [row for row in predictions if task.target.dense and row[task.score.key]]
    if not measured:
        return
    small = (
        dataset.info.modality == "images"
        and max(dataset.info.shape.height, dataset.info.shape.width) <= SMALL_SIDE
    )
    ranked = sorted(measured, key=lambda row: float(row[task.score.key]))
    count = min(SHOWN_SMALL if small else SHOWN, len(ranked))
    chosen = [ranked[i * (len(ranked) - 1) // max(1, count - 1)] for i in range(count)]
    which = "all" if count == len(ranked) else f"{count} of {len(ranked):,}"
    title = f"Held-out samples, {which}, from the worst to the best"
    yield "maps", to_png(_strips(task, model.eval(), dataset, chosen, title, small))
    if task.target is IMAGE and model.has_embedding:
        yield "codes", to_svg(_codes(model, dataset, [int(row["index"]) for row in ranked]))


def _strips(
    task: Task, model: Network, dataset: Dataset, rows: Sequence[Row], title: str, small: bool
) -> Figure:
    drawn = []
    for row in rows:
        batch = task.transform(read_sample(dataset, int(row["index"])), None)
        drawn.append(task.panels(dataset, batch, dense_outputs(model, batch.images)))
    legend = None
    if task.target is MASK:
        colors = (class_colors(len(dataset.info.classes)) / 255).tolist()
        legend = {name: (r, g, b) for name, (r, g, b) in zip(dataset.info.classes, colors, strict=True)}
    if small:
        names = [caption.partition(":")[0] for caption, _ in drawn[0]]
        return grids.upright_strips(drawn, names, title, legend)
    names = [f"{row['sample']}  {task.score.show(float(row[task.score.key]))}" for row in rows]
    return grids.strips(list(zip(names, drawn, strict=True)), title, legend)


def _codes(model: Network, dataset: Dataset, indices: Sequence[int]) -> Figure:
    """The codes of held-out samples, projected onto their first two principal components."""
    from sklearn.decomposition import PCA

    step = -(-len(indices) // MAPPED)
    chosen = torch.tensor(sorted(indices)[::step])
    batches = Loader(dataset, chosen, evaluation_batch(dataset.info.shape)).epoch()
    codes = embed(model, (batch.images for batch in batches)).numpy()
    points = codes
    if codes.shape[1] > 2 and len(codes) > 2:
        points = PCA(2, random_state=0).fit_transform(codes)
    points = np.pad(points[:, :2], ((0, 0), (0, max(0, 2 - points.shape[1]))))  # one code: along a line
    title = f"Codes of {len(chosen):,} held-out samples"
    return figures.code_map(points, labels_of(dataset)[chosen].numpy(), dataset.info.classes, title)


LISTED = 8


def write_dense_figure(found: DenseMap, path: Path) -> None:
    """Write a picture of a photo, the classes of its windows, and their probabilities.

    Raises:
        RunError: The disk is full or the folder is not writable.
    """
    picture = dense_figure(
        found.photo, found.probabilities.numpy(), found.classes, found.window, found.stride
    )
    write_atomically(path, to_png(picture))


def dense_figure(
    photo: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    classes: Sequence[str],
    window: tuple[int, int],
    stride: int,
) -> Figure:
    """The photo, the most probable class of every window, and its probability.

    Args:
        photo: uint8 H×W×C.
        probabilities: K×I×J; each position is drawn on the `stride` pixels around the center of its window.
        classes: Class names.
        window: Height and width of a window.
        stride: Pixels between windows.
    """
    best, sure = probabilities.argmax(0), probabilities.max(0)
    rows, columns = best.shape
    top, left = (side / 2 - stride / 2 for side in window)
    extent = (left, left + columns * stride, top + rows * stride, top)
    colors = class_colors(len(classes))
    tall = photo.shape[0] / photo.shape[1]
    gray = photo.shape[2] == 1
    shown = photo[:, :, 0] if gray else photo
    with figure(12, 4 * tall + 1.0) as picture:
        axes = picture.subplots(1, 3)
        for place, title in zip(axes, ("photo", "most probable class", "probability"), strict=True):
            bare(place)
            place.set_title(title)
            place.imshow(shown, cmap="gray" if gray else None, vmin=0, vmax=255)
        over = np.concatenate([colors[best] / 255, np.full((*best.shape, 1), 0.55)], 2)
        axes[1].imshow(over, extent=extent, interpolation="nearest")
        image = axes[2].imshow(sure, extent=extent, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
        for place in axes:
            place.set_xlim(-0.5, photo.shape[1] - 0.5)
            place.set_ylim(photo.shape[0] - 0.5, -0.5)
        picture.colorbar(image, ax=axes[2], shrink=0.8)
        counts = np.bincount(best.ravel(), minlength=len(classes))
        listed = [k for k in np.argsort(-counts)[:LISTED] if counts[k]]
        patches = [
            Patch(color=colors[k] / 255, label=f"{classes[k]} {counts[k] / best.size:.0%}") for k in listed
        ]
        picture.legend(handles=patches, loc="outside lower center", ncols=len(patches))
    return picture
