"""Dense prediction: a classifier applied to every window of a photo in one convolutional pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.data.images.decode import read_picture
from convnet.data.images.resize import stretch
from convnet.errors import DataError, RecipeError, RunError
from convnet.layers import Network
from convnet.models import fully_convolutional
from convnet.outputs import Labels
from convnet.prediction.inputs import InputSpec
from convnet.tasks import Task, as_picture
from convnet.types import ImageShape

MIN_SCALE, MAX_SCALE = 0.01, 16.0
COMPARED = 64
"""The number of windows that are also classified one by one, to measure the agreement with the map."""
MOST_PIXELS = 4 << 20


@dataclass(frozen=True)
class DenseMap:
    """The class probabilities of every window of a photo.

    Attributes:
        path: The photo.
        photo: Its pixels, uint8 H×W×C.
        classes: The class names.
        probabilities: K×I×J.
        window: Height and width of a window in pixels.
        stride: Pixels between neighboring windows.
        padded: Whether the network pads its input with zeros.
        difference: The largest difference between the map and the probabilities of single windows.
        seconds: The time of the map.
        patch_seconds: The estimated time of all windows one by one.
    """

    path: str
    photo: NDArray[np.uint8]
    classes: tuple[str, ...]
    probabilities: Tensor
    window: tuple[int, int]
    stride: int
    padded: bool
    difference: float
    seconds: float
    patch_seconds: float

    @property
    def shares(self) -> dict[str, float]:
        """The fraction of windows in which each class is the most probable."""
        counts = torch.bincount(self.probabilities.argmax(0).flatten(), minlength=len(self.classes))
        return dict(zip(self.classes, (counts / counts.sum()).tolist(), strict=True))


@torch.no_grad()
def dense_map(
    name: str,
    model: Network,
    task: Task,
    inputs: InputSpec,
    labels: Labels,
    path: Path,
    scale: float = 1.0,
) -> DenseMap:
    """Apply a classifier, its dense layers converted to convolutions, to a photo; see `Predictor.dense`."""
    if not task.target.exclusive or inputs.modality != "images":
        raise RunError(f"{name}: --dense applies to classifiers of images; this is a {task.name} run")
    normalize, network = model.normalize, model[1:]
    if normalize.mean.shape[2:] != (1, 1):
        raise RunError(
            f"{name}: the mean per pixel fixes the image size; train with preprocess.normalize=channel"
        )
    if not MIN_SCALE <= scale <= MAX_SCALE:  # also of NaN
        raise RecipeError(f"--scale {scale}: must lie between {MIN_SCALE} and {MAX_SCALE}")
    photo = _read(inputs.shape, path, scale)
    dense = fully_convolutional(network, inputs.shape)
    begun = time.perf_counter()
    logits = dense.network(normalize(photo))
    seconds = time.perf_counter() - begun
    # Where pools round up, the last windows extend beyond the photo.
    rows, columns = ((n - w) // dense.stride + 1 for n, w in zip(photo.shape[2:], dense.window, strict=True))
    probabilities = logits[0, :, :rows, :columns].float().softmax(0)
    difference, each = _compared(model, photo, probabilities, dense.window, dense.stride)
    return DenseMap(
        str(path),
        as_picture(photo[0]),
        labels.classes,
        probabilities,
        dense.window,
        dense.stride,
        dense.padded,
        difference,
        seconds,
        each * probabilities[0].numel(),
    )


def _read(shape: ImageShape, path: Path, scale: float) -> Tensor:
    pixels = read_picture(path, shape.channels)
    if scale != 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[2] * scale)))
        pixels = stretch(pixels.transpose(1, 2, 0), size).transpose(2, 0, 1)
    _, height, width = pixels.shape
    if height < shape.height or width < shape.width:
        raise DataError(
            f"{path}: {width}×{height} pixels; the network takes {shape.width}×{shape.height} or more"
        )
    if height * width > MOST_PIXELS:
        fitting = (MOST_PIXELS / (height * width)) ** 0.5
        raise DataError(
            f"{path}: {width}×{height} pixels are too many for one pass; use --scale {fitting * scale:.2f}"
        )
    return torch.tensor(pixels)[None]


def _compared(
    model: nn.Module, photo: Tensor, probabilities: Tensor, window: tuple[int, int], stride: int
) -> tuple[float, float]:
    """The largest difference from single windows, and the seconds per window."""
    rows, columns = probabilities.shape[1:]
    chosen = np.linspace(0, rows * columns - 1, min(COMPARED, rows * columns)).round().astype(int)
    places = [(int(i) // columns, int(i) % columns) for i in chosen]
    height, width = window
    patches = torch.cat(
        [photo[:, :, i * stride : i * stride + height, j * stride : j * stride + width] for i, j in places]
    )
    model(patches)
    begun = time.perf_counter()
    own = model(patches).float().softmax(1)
    each = (time.perf_counter() - begun) / len(places)
    of_map = torch.stack([probabilities[:, i, j] for i, j in places])
    return (own - of_map).abs().max().item(), each
