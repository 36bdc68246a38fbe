"""What a trained network says of files: classes, masks, other images."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageColor
from torch import Tensor

from convnet.data import Dataset, all_images, open_series, read_image_file, read_picture
from convnet.data.datasets.csv_table import numbers, places, read_cells
from convnet.errors import DataError
from convnet.tasks import as_picture, dense_outputs, evaluation_batch
from convnet.tasks.image_to_image import ImageToImage
from convnet.tasks.multi_label import HALF
from convnet.tasks.segmentation import blended, class_colours
from convnet.tasks.task import Picture
from convnet.types import ImageShape

if TYPE_CHECKING:
    from convnet.workflows.run import Run


CLASS_AT_THE_END = (".csv",)


@dataclass(frozen=True)
class Prediction:
    """The probabilities of a sample's classes, most probable first, and what is said of it.

    That is the most probable class; where there may be several labels, those above their thresholds.
    """

    path: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    said: tuple[str, ...]


@dataclass(frozen=True)
class StepPrediction:
    """The class of every step of a series."""

    place: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Mask:
    """The class index of every pixel, H×W, and the picture with the classes' colours over it."""

    path: str
    indices: NDArray[np.int64]
    classes: tuple[str, ...]
    colours: NDArray[np.uint8]
    picture: Picture

    @property
    def shares(self) -> dict[str, float]:
        """The share of the pixels that each class has."""
        counts = np.bincount(self.indices.ravel(), minlength=len(self.classes))
        return dict(zip(self.classes, (counts / counts.sum()).tolist(), strict=True))

    def png(self) -> bytes:
        """Class indices with a palette of the classes' colours; of more than 256 classes 16-bit grey."""
        if len(self.classes) > 256:
            return _png(Image.fromarray(self.indices.astype(np.uint16)))
        image = Image.fromarray(self.indices.astype(np.uint8), "P")
        image.putpalette(self.colours.tobytes())
        return _png(image)

    def overlay_png(self) -> bytes:
        """The picture under the colours."""
        return _png(Image.fromarray(blended(self.picture, self.colours[self.indices])))


@dataclass(frozen=True)
class ImagePrediction:
    """The image that a network made of another, H×W×C."""

    path: str
    image: Picture

    def png(self) -> bytes:
        """As a file."""
        grey = self.image.shape[2] == 1
        return _png(Image.fromarray(self.image[:, :, 0] if grey else self.image))


@torch.no_grad()
def predict_classes(run: Run, paths: Sequence[str | Path]) -> list[Prediction]:
    """Classes and probabilities for image files, in the order given; for rows of tables, and for series."""
    if run.modality == "series":
        return [prediction for path in paths for prediction in _series(run, Path(path))]
    if run.columns:
        return [prediction for path in paths for prediction in _rows(run, Path(path))]
    predictions = []
    for path in map(Path, paths):
        pixels = read_image_file(path, run.shape, run.recipe.preprocess)
        logits = run.model.cpu()(torch.tensor(pixels)[None])
        predictions.append(_prediction(run, str(path), logits[0]))
    return predictions


@torch.no_grad()
def predict_masks(run: Run, paths: Sequence[str | Path], tile: int | None = None) -> Iterator[Mask]:
    """A class for every pixel of each image, at its own size."""
    colours = _colours(run)
    for path in paths:
        pixels = _whole(run, Path(path))
        logits = dense_outputs(run.model.cpu(), pixels, tile=tile)
        picture = as_picture(pixels[0])
        yield Mask(str(path), logits.argmax(1)[0].numpy(), run.classes, colours, picture)


@torch.no_grad()
def predict_images(
    run: Run, paths: Sequence[str | Path], tile: int | None = None
) -> Iterator[ImagePrediction]:
    """What the network makes of each image, at its own size."""
    task = run.task
    assert isinstance(task, ImageToImage), "asked for only of such runs"
    for path in paths:
        given = task.prepare(_whole(run, Path(path)).float())
        made = dense_outputs(run.model.cpu(), given, tile=tile)
        yield ImagePrediction(str(path), as_picture(255 * made[0].clamp(0, 1)))


@torch.no_grad()
def predict_steps(run: Run, paths: Sequence[str | Path]) -> Iterator[StepPrediction]:
    """A class for every step of each series of the files."""
    for dataset in (_open_series(run, Path(path)) for path in paths):
        for i in range(len(dataset)):
            values = dataset.sample(i).images
            there = int((~values[0, 0, 0].isnan()).sum())
            best = run.model.cpu()(values[..., :there]).argmax(1)[0, 0]
            yield StepPrediction(dataset.location(i), tuple(run.classes[k] for k in best.tolist()))


def _series(run: Run, path: Path) -> list[Prediction]:
    dataset = _open_series(run, path)
    parts = all_images(dataset).split(evaluation_batch(dataset.shape))
    logits = torch.cat([run.model.cpu()(part) for part in parts])
    return [_prediction(run, dataset.location(i), row) for i, row in enumerate(logits)]


def _open_series(run: Run, path: Path) -> Dataset:
    """The series of a file; where names do not tell, the number of steps says whether there are classes."""
    label, length = run.recipe.data.label, run.data.get("steps")
    dataset = open_series(path, label, labelled=False)
    if length and dataset.shape.width == length + 1 and path.suffix.lower() in CLASS_AT_THE_END:
        dataset = open_series(path, label)
    require_fitting_series(run, dataset)
    return dataset


def _rows(run: Run, path: Path) -> list[Prediction]:
    cells = read_cells(path)
    rows = torch.from_numpy(numbers(cells, run.columns)).float()
    logits = run.model.cpu()(rows[:, :, None, None])
    return [_prediction(run, *pair) for pair in zip(places(cells), logits, strict=True)]


def _prediction(run: Run, path: str, logits: Tensor) -> Prediction:
    multi_label = run.task.target == "labels"
    shares = logits.float().sigmoid() if multi_label else logits.float().softmax(0)
    best = shares.sort(descending=True)
    names = tuple(run.classes[i] for i in best.indices.tolist())
    values = tuple(best.values.tolist())
    if not multi_label:
        return Prediction(path, names, values, names[:1])
    thresholds = run.result.get("thresholds", {})
    said = [name for name, value in zip(names, values, strict=True) if value >= thresholds.get(name, HALF)]
    return Prediction(path, names, values, tuple(said))


def _whole(run: Run, path: Path) -> Tensor:
    """A picture at its own size, 1×C×H×W uint8 in the run's channels; resized where the run's data was."""
    side, channels = run.recipe.preprocess.image_size, run.shape.channels
    if side is None:
        background = run.recipe.preprocess.background
        return torch.tensor(read_picture(path, channels, background=background))[None]
    return torch.tensor(read_image_file(path, ImageShape(channels, side, side), run.recipe.preprocess))[None]


def _colours(run: Run) -> NDArray[np.uint8]:
    """K×3: those that the masks of the data have, else colours that differ."""
    given = run.recipe.data.colors or {}
    colours = class_colours(len(run.classes))
    for i, name in enumerate(run.classes):
        if isinstance(value := given.get(name), str):
            colours[i] = ImageColor.getrgb(value)[:3]
    return colours


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def require_fitting_series(run: Run, dataset: Dataset) -> None:
    """Refuse series that the run's network cannot take.

    Raises:
        DataError: they have other channels, or, for a network of one length, another length.
    """
    if dataset.shape.channels != run.shape.channels:
        raise DataError(
            f"{dataset.name}: has {dataset.shape.channels} channels, the run takes {run.shape.channels}"
        )
    fixed = run.recipe.model.name != "temporal" and ":" not in run.recipe.model.name
    if fixed and (dataset.shape.width != run.shape.width or all_images(dataset).isnan().any()):
        raise DataError(
            f"{dataset.name}: '{run.recipe.model.name}' takes series of {run.shape.width} steps each; "
            f"these are of {dataset.shape.width}, or differ"
        )
