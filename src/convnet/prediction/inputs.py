"""The inputs of a trained network, read from files: images, rows of tables, series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convnet.data.files.csv import (
    decode_text,
    numbers,
    parse_cells,
    places,
    read_cells,
    with_earlier_names,
)
from convnet.data.files.recordings import Audio
from convnet.data.images.decode import decode_named
from convnet.data.images.pixels import Pixels
from convnet.data.images.preprocess import Preprocess
from convnet.data.images.read import read_named_image
from convnet.errors import DataError
from convnet.prediction.files import InputFile, Kind
from convnet.types import ImageShape, Modality


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
    images: NDArray[Any]


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
        from convnet.prediction.series_inputs import read_series  # it imports torch

        yield from read_series(spec, file, dense)
    elif spec.modality == "table" and file.values is not None:
        rows = np.atleast_2d(file.values)
        if rows.ndim > 2 or rows.shape[1] != len(spec.columns):
            raise DataError(
                f"{file.location}: has the shape {file.values.shape}; '{spec.model}' takes rows of "
                f"{len(spec.columns)} numbers: {', '.join(spec.columns[:5])}…"
            )
        yield Inputs([f"{file.location}, row {i}" for i in range(len(rows))], rows[:, :, None, None])
    elif spec.modality == "table":
        text = decode_text(file.path, file.read()) if file.in_memory else None
        cells = read_cells(file.path) if text is None else parse_cells(file.path, text)
        cells = with_earlier_names(cells, spec.columns)
        rows = numbers(cells, spec.columns).astype(np.float32)
        yield Inputs(places(cells), rows[:, :, None, None])
    else:
        yield Inputs([file.location], _image(spec, file, dense)[None])


def _image(spec: InputSpec, file: InputFile, dense: bool) -> Pixels:
    """An image C×H×W as the network takes it; for dense networks at its own size unless they resize."""
    preprocess, (channels, height, width) = spec.preprocess, spec.shape
    if dense:
        height = width = preprocess.image_size or 0
    if file.pixels is not None and preprocess.white is None and preprocess.crop_pct == 1:
        found = file.pixels.shape
        if found[2] == channels and (not height or found[:2] == (height, width)):
            return file.pixels.transpose(2, 0, 1)
    if height:
        return read_named_image(file.location, file.read(), ImageShape(channels, height, width), preprocess)
    picture = decode_named(
        file.location,
        file.read(),
        channels=channels,
        background=preprocess.background,
        allow_truncated=preprocess.allow_truncated,
        white=preprocess.white,
    )
    return picture.pixels.transpose(2, 0, 1)
