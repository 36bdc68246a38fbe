"""Figures of what a model has learned: templates, codebook, HoG glyphs, neighbors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from convnet.data import Dataset, Split
from convnet.features.codebook import Codebook
from convnet.features.hog import HoG
from convnet.features.visual_words import VisualWords
from convnet.layers import FlattenLinear, Network, layers_of
from convnet.models.knn import NearestNeighbors
from convnet.reports import grids
from convnet.reports.style import bare, figure

MOST_PATCHES = 400
SAMPLES = 8


def weight_figures(model: Network, dataset: Dataset, split: Split) -> Iterator[tuple[str, Figure]]:
    """Names and figures of the parts of a model that can be shown as images."""
    if dataset.info.modality == "table":
        return
    shown = (split.test if len(split.test) else split.val if len(split.val) else split.train)[:SAMPLES]
    network = model.network
    first = next((layer for layer in layers_of(network) if any(True for _ in layer.parameters())), None)
    if isinstance(first, FlattenLinear) and not len(model.features):
        classes = dataset.info.classes if first is network.classifier else None
        yield "templates", template_figure(first.templates().detach(), classes)
    for number, part in enumerate(model.modules()):
        if isinstance(part, VisualWords):
            yield f"codebook-{number}", codebook_figure(part.codebook(), part.in_channels, part.patch_size)
        if isinstance(part, HoG):
            yield f"hog-{number}", glyph_figure(part, dataset.read(shown).images.cpu())
    if isinstance(network, NearestNeighbors):
        yield "neighbors", _neighbor_figure(model, dataset, split, shown)


def template_figure(templates: Tensor, classes: Sequence[str] | None) -> Figure:
    """Weights D×C×H×W as images with 0 as mid-gray: one per class, or those of the hidden units."""
    if classes is not None:
        title = "One template per class (smoother with --set regularizers.l2=0.1)"
        if len(classes) > MOST_PATCHES:
            title = f"Templates of the first {MOST_PATCHES} of {len(classes):,} classes"
            templates, classes = templates[:MOST_PATCHES], classes[:MOST_PATCHES]
        return grids.image_grid([_as_signed(t) for t in templates], classes, min(10, len(classes)), title)
    strongest = templates.flatten(1).norm(dim=1).argsort(descending=True)[:MOST_PATCHES]
    title = f"Templates of the hidden units ({len(strongest)} of {len(templates)}, strongest first)"
    return grids.mosaic([_as_signed(templates[i]) for i in strongest.tolist()], title)


def codebook_figure(codebook: Codebook, channels: int, size: int) -> Figure:
    """The words as patches, highest contrast first."""
    patches = codebook.patches().unflatten(1, (channels, size, size)).cpu()
    order = codebook.words.norm(dim=1).argsort(descending=True)[:MOST_PATCHES]
    title = f"Visual words: {len(order)} of {len(patches)} patches of {size}×{size} pixels"
    return grids.mosaic([_as_signed(patches[i]) for i in order.tolist()], title)


def glyph_figure(hog: HoG, images: Tensor) -> Figure:
    """HoG glyphs over images N×C×H×W, 0…255: lines along edges, as opaque as the histogram values."""
    histograms = hog.cells(images.float() / 255).numpy()
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    width = 10 / columns
    with figure(10, rows * width * images.shape[2] / images.shape[3] + 0.4) as picture:
        title = f"Oriented gradients, cells of {hog.cell_size}×{hog.cell_size} pixels"
        picture.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
        for axes in picture.subplots(rows, columns, squeeze=False).flat:
            bare(axes)
            axes.set_axis_off()
        for axes, image, cells in zip(picture.axes, images, histograms, strict=False):
            pale = 127 + 0.5 * image.float().mean(0).numpy()
            axes.imshow(pale, cmap="gray", vmin=0, vmax=255)
            axes.add_collection(_glyphs(cells, hog.cell_size))
    return picture


def _glyphs(cells: NDArray[np.float32], size: int) -> LineCollection:
    """Cells I×J×O as lines along edges, perpendicular to gradients."""
    rows, columns, orientations = cells.shape
    angle = np.pi * (np.arange(orientations) + 0.5) / orientations
    reach = 0.48 * size * np.stack([-np.sin(angle), np.cos(angle)], 1)  # x to the right, y down
    middle = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1) * size + (size - 1) / 2
    ends = [(middle[:, :, None] + sign * reach).reshape(-1, 2) for sign in (-1, 1)]
    strength = (cells / max(float(cells.max()), 1e-9)).reshape(-1)
    return LineCollection(
        np.stack(ends, 1).tolist(), colors=[(0.77, 0.16, 0.2, a) for a in strength**0.5], linewidths=1.1
    )


def _neighbor_figure(model: Network, dataset: Dataset, split: Split, shown: Tensor) -> Figure:
    """Held-out images, each with its nearest training images."""
    memory = model.network
    assert isinstance(memory, NearestNeighbors)
    queries = dataset.read(shown).images.cpu()
    features = model.features(model.normalize(queries))
    distances, places = memory.neighbors(features, min(9, len(memory.memory)))
    found = split.train[memory.kept.cpu()[places.cpu()]]
    images, captions = [], []
    for index, near, far in zip(shown.tolist(), found.tolist(), distances.tolist(), strict=True):
        images += grids.pictures(dataset, [index, *near])
        names = [dataset.info.classes[int(dataset.targets[i])] for i in near]
        captions += [f"class {dataset.info.classes[int(dataset.targets[index])]}"]
        captions += [f"{name}\ndistance {distance:.3g}" for name, distance in zip(names, far, strict=True)]
    return grids.image_grid(
        images, captions, 1 + found.shape[1], "Held-out images (left) and their nearest training images"
    )


def _as_signed(weights: Tensor) -> grids.Image:
    """Weights C×H×W → uint8 H×W×C with 0 as mid-gray; gray unless there are 3 channels."""
    if weights.shape[0] not in (1, 3):
        weights = weights.mean(0, keepdim=True)
    scaled = 127.5 + 127.5 * weights / weights.abs().amax().clamp_min(1e-12)
    return scaled.round().byte().permute(1, 2, 0).cpu().numpy()
