"""Series of numbers and recordings as the inputs of a network."""

from __future__ import annotations

from collections.abc import Iterator

from convnet.data import Dataset, all_images, read_sample
from convnet.data.datasets.time_series import open_series, series_dataset
from convnet.data.files.recordings import decode_recording, prepared
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
