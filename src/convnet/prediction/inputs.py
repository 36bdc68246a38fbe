"""The inputs of a trained network, read from files: images, rows of tables, series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from convnet.data import Dataset, Modality, Preprocess, all_images, read_sample
from convnet.data.datasets.time_series import open_series, series_dataset
from convnet.data.files.csv import numbers, places, read_cells, with_earlier_names
from convnet.data.files.image_reader import read_named_image
from convnet.data.files.recordings import Audio, decode_recording, prepared
from convnet.data.images.decode import decode_named
from convnet.errors import DataError
from convnet.prediction.files import InputFile, Kind
from convnet.tasks import evaluation_batch
from convnet.types import ImageShape

CLASS_AT_THE_END = (".csv",)


@dataclass(frozen=True)
class InputSpec:
    """The inputs that a network takes, and how they are read from files.

    Attributes:
        modality: "images", "table" or "series".
        shape: C×H×W of the training samples.
        preprocess: How images are decoded and resized.
        columns: The feature columns of a table.
        label: The class column of series.
        steps: The length of the training series, if all had the same.
        any_length: Whether the network takes series of other lengths.
        model: The name of the architecture, for messages.
        audio: The form of recordings.
        sample_rate: The rate to which recordings are resampled.
    """

    modality: Modality
    shape: ImageShape
    preprocess: Preprocess
    columns: tuple[str, ...] = ()
    label: str | None = None
    steps: int | None = None
    any_length: bool = True
    model: str = "the network"
    audio: Audio = "log-mel"
    sample_rate: int | None = None

    @property
    def kind(self) -> Kind:
        """What its files are."""
        if self.modality == "images":
            return "images"
        return "recordings" if self.sample_rate else "other"


@dataclass(frozen=True)
class Inputs:
    """Samples of one file: their locations, and their values N×C×H×W."""

    locations: list[str]
    images: Tensor


def read_inputs(spec: InputSpec, file: InputFile, *, dense: bool) -> Iterator[Inputs]:
    """Read the samples of a file in batches.

    Args:
        spec: The inputs that the network takes.
        file: An image, a table or a file of series.
        dense: Whether the network predicts a value per position; samples then keep their own sizes.

    Yields:
        Batches of samples.

    Raises:
        DataError: The file is missing or unreadable, or does not fit the network.
    """
    if spec.modality == "series":
        yield from _series(spec, file, dense)
    elif spec.modality == "table":
        cells = with_earlier_names(read_cells(file.path), spec.columns)
        rows = torch.from_numpy(numbers(cells, spec.columns)).float()
        yield Inputs(places(cells), rows[:, :, None, None])
    elif dense:
        yield Inputs([file.location], _whole(spec, file))
    else:
        pixels = read_named_image(file.location, file.read(), spec.shape, spec.preprocess)
        yield Inputs([file.location], torch.tensor(pixels)[None])


def _whole(spec: InputSpec, file: InputFile) -> Tensor:
    """An image at its own size, uint8 1×C×H×W, or resized if the training data was."""
    side, channels = spec.preprocess.image_size, spec.shape.channels
    if side is None:
        picture = decode_named(
            file.location,
            file.read(),
            channels=channels,
            background=spec.preprocess.background,
            allow_truncated=spec.preprocess.allow_truncated,
            white=spec.preprocess.white,
        )
        return torch.tensor(picture.pixels.transpose(2, 0, 1))[None]
    shape = ImageShape(channels, side, side)
    return torch.tensor(read_named_image(file.location, file.read(), shape, spec.preprocess))[None]


def _series(spec: InputSpec, file: InputFile, dense: bool) -> Iterator[Inputs]:
    dataset = _open_series(spec, file)
    locations = list(dataset.info.locations)
    if dense:
        for i, location in enumerate(locations):
            values = read_sample(dataset, i).images
            there = int((~values[0, 0, 0].isnan()).sum())
            yield Inputs([location], values[..., :there])
        return
    size = evaluation_batch(dataset.info.shape)
    for first, part in enumerate(all_images(dataset).split(size)):
        yield Inputs(locations[first * size : (first + 1) * size], part)


def _open_series(spec: InputSpec, file: InputFile) -> Dataset:
    """The series of a file; without column names, one more value than steps means a class column."""
    if spec.sample_rate is not None:
        recording = decode_recording(file.read(), file.location)
        dataset = series_dataset(file.path, [prepared(recording, spec.audio, spec.sample_rate)])
    else:
        dataset = open_series(file.path, spec.label, labeled=False)
    length = spec.steps
    if length and dataset.info.shape.width == length + 1 and file.path.suffix.lower() in CLASS_AT_THE_END:
        dataset = open_series(file.path, spec.label)
    require_fitting_series(spec, dataset)
    return dataset


def require_fitting_series(spec: InputSpec, dataset: Dataset) -> None:
    """Check that the network can take the series.

    Raises:
        DataError: They have other channels or, for a network of fixed length, another length.
    """
    name, shape = dataset.info.name, dataset.info.shape
    if shape.channels != spec.shape.channels:
        raise DataError(f"{name}: has {shape.channels} channels, the run takes {spec.shape.channels}")
    if spec.any_length:
        return
    if shape.width != spec.shape.width or all_images(dataset).isnan().any():
        raise DataError(
            f"{name}: '{spec.model}' takes series of {spec.shape.width} steps, "
            f"got {shape.width} steps or different lengths"
        )
