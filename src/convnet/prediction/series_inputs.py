"""Series of numbers and recordings as the inputs of a network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convnet.data import Dataset, all_images, read_sample
from convnet.data.datasets.time_series import open_series, series_dataset
from convnet.data.files.recordings import decode_recording, prepared
from convnet.data.files.series import UNKNOWN, Series
from convnet.errors import DataError
from convnet.prediction.files import InputFile
from convnet.prediction.inputs import Inputs, InputSpec
from convnet.types import evaluation_batch

CLASS_AT_THE_END = (".csv",)


def read_series(spec: InputSpec, file: InputFile, dense: bool) -> Iterator[Inputs]:
    """The series of a file, one by one if the network predicts a value per step, else in batches."""
    dataset = _open_series(spec, file)
    locations = list(dataset.info.locations)
    if dense:
        for i, location in enumerate(locations):
            values = read_sample(dataset, i).images
            there = int((~values[0, 0, 0].isnan()).sum())
            yield Inputs([location], values[..., :there].numpy())
        return
    size = evaluation_batch(dataset.info.shape)
    for first, part in enumerate(all_images(dataset).split(size)):
        yield Inputs(locations[first * size : (first + 1) * size], part.numpy())


def _open_series(spec: InputSpec, file: InputFile) -> Dataset:
    """The series of a file; without column names, one more value than steps means a class column."""
    if file.values is not None:
        dataset = series_dataset(file.path, list(_series_in_memory(spec, file.location, file.values)))
    elif spec.sample_rate is not None:
        recording = decode_recording(file.read(), file.location)
        dataset = series_dataset(file.path, [prepared(recording, spec.audio, spec.sample_rate)])
    elif file.in_memory:
        raise DataError(f"{file.location}: series are read from files or arrays, not from bytes")
    else:
        dataset = open_series(file.path, spec.label, labeled=False)
    length = spec.steps
    if length and dataset.info.shape.width == length + 1 and file.path.suffix.lower() in CLASS_AT_THE_END:
        dataset = open_series(file.path, spec.label)
    require_fitting_series(spec, dataset)
    return dataset


def _series_in_memory(spec: InputSpec, location: str, values: NDArray[np.float32]) -> Iterator[Series]:
    """Series L, C×L or N×C×L; of one channel also N×L."""
    one = spec.sample_rate is not None or spec.shape.channels == 1
    several = values[:, None] if values.ndim == 2 and one else values.reshape(-1, *values.shape[-2:])
    for i, series in enumerate(several if values.ndim > 1 else values[None, None]):
        found = Series(series, UNKNOWN, f"{location}, series {i}", spec.sample_rate)
        yield found if spec.sample_rate is None else prepared(found, spec.audio, spec.sample_rate)


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
