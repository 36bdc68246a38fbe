"""Adapters for data in Python: torch datasets, arrays, Hugging Face datasets, tables of paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.data.datasets.dataset import Dataset
from convnet.data.datasets.npz import depth_remarks, images_from_array, white_of
from convnet.data.datasets.open_images import open_images
from convnet.data.datasets.tensor_dataset import (
    TensorDataset,
    from_tensors,
    preprocess_images,
    with_checksums,
)
from convnet.data.files.csv import Cells
from convnet.data.files.image_csv import manifest_of_cells
from convnet.data.files.storage import open_storage
from convnet.data.images.pixels import DecodeError, to_channels
from convnet.data.images.preprocess import Preprocess, require_room
from convnet.data.images.resize import resize
from convnet.errors import DataError
from convnet.types import ImageShape

DEFAULT_SIDE = 128
"""The size of images that differ in size, unless `preprocess.image_size` is set."""


def as_dataset(data: Any, preprocess: Preprocess) -> Dataset:
    """Adapt data that is already open in Python.

    Args:
        data: A dataset of this package, a `torch.utils.data.Dataset` of (image, class index) pairs, a pair
            of arrays (images N×H×W[×C] or N×C×H×W, labels N), a Hugging Face dataset with an Image and a
            ClassLabel column, or a table (pandas, pyarrow, polars or another that exports Arrow) with a
            column of paths and one of labels.
        preprocess: The size and channels of the images.

    Returns:
        The dataset.

    Raises:
        DataError: The data is of another type, or its samples have another form.
    """
    if hasattr(data, "info") and hasattr(data, "read") and hasattr(data, "targets"):
        adapted: Dataset = data
        return adapted
    if isinstance(data, Mapping):
        keys = ", ".join(map(str, data))
        raise DataError(f"data is a dictionary with the keys {keys}; pass one dataset or one table")
    if isinstance(data, tuple) and len(data) == 2:
        return with_checksums(preprocess_images(_from_arrays(*data), preprocess, None, None))
    if hasattr(data, "features") and hasattr(data, "column_names"):
        return _from_pairs(*_hugging_face(data), preprocess)
    if hasattr(data, "columns") and (hasattr(data, "notna") or hasattr(data, "__arrow_c_stream__")):
        return _from_table(data, preprocess)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        classes = getattr(data, "classes", None)
        pairs = (_pair(data[i], i) for i in range(len(data)))
        return _from_pairs(type(data).__name__, pairs, classes, preprocess)
    raise DataError(
        f"data of type {type(data).__name__} cannot be trained on; pass a path, a torch Dataset, a pair of "
        "arrays, a Hugging Face dataset, or a table of paths and labels"
    )


def _from_arrays(images: Any, labels: Any) -> TensorDataset:
    pixels = np.asarray(images.cpu() if isinstance(images, Tensor) else images)
    words = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    if words.ndim != 1 or len(words) != len(pixels):
        raise DataError(
            f"arrays: {len(pixels)} images and labels of shape {words.shape}; expected one label per image"
        )
    names, targets = np.unique(_classes(words), return_inverse=True)
    white = white_of(pixels)
    return from_tensors(
        "arrays",
        torch.from_numpy(images_from_array("arrays", pixels, white)),
        torch.from_numpy(targets.astype(np.int64)),
        tuple(str(name) for name in names),
        [f"arrays[{i}]" for i in range(len(pixels))],
        white=white,
        warnings=depth_remarks(white),
    )


def _classes(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels that can be compared, after a check that each names a class."""
    for index, label in enumerate(labels.tolist()):
        if _is_missing(label):
            raise DataError(f"arrays: the label of image {index} is missing")
        if isinstance(label, float) and not label.is_integer():
            raise DataError(
                f"arrays: the label {label:g} of image {index} is not a class; use integers or names"
            )
    return labels.astype(str) if labels.dtype.kind == "O" else labels


def _is_missing(value: Any) -> bool:
    """Whether a value is None or NaN."""
    return value is None or value != value


def _pair(sample: Any, index: int) -> tuple[Any, int]:
    if not isinstance(sample, tuple | list) or len(sample) != 2:
        raise DataError(f"sample {index}: expected a pair (image, class index), got {type(sample).__name__}")
    image, label = sample
    try:
        index_of_class = int(label)
        whole = bool(index_of_class == label)
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise DataError(f"sample {index}: the label {label!r} is not a class index")
    return image, index_of_class


def _hugging_face(data: Any) -> tuple[str, Iterable[tuple[Any, int]], Sequence[str] | None]:
    """The rows and class names of a Hugging Face dataset, by the types of its columns."""
    kinds = {name: type(feature).__name__ for name, feature in data.features.items()}
    image = next((name for name, kind in kinds.items() if kind == "Image"), None)
    label = next((name for name, kind in kinds.items() if kind == "ClassLabel"), None)
    if image is None or label is None:
        raise DataError(f"dataset: expected an Image and a ClassLabel column, found {kinds}")
    rows = ((row[image], row[label]) for row in data)
    return "dataset", rows, data.features[label].names


def _from_pairs(
    name: str, pairs: Iterable[tuple[Any, int]], classes: Sequence[str] | None, preprocess: Preprocess
) -> TensorDataset:
    """Read all samples into memory."""
    pictures: list[NDArray[np.uint8]] = []
    targets: list[int] = []
    for index, (image, label) in enumerate(pairs):
        pictures.append(_pixels(image, index))
        targets.append(label)
    if not pictures:
        raise DataError(f"{name}: holds no samples")
    sizes = {picture.shape[:2] for picture in pictures}
    side = preprocess.image_size or (DEFAULT_SIDE if len(sizes) > 1 else None)
    height, width = (side, side) if side else next(iter(sizes))
    channels = preprocess.channels or max(picture.shape[2] for picture in pictures)
    require_room(name, len(pictures), ImageShape(channels, height, width))
    stacked = np.empty((len(pictures), channels, height, width), np.uint8)
    for index, picture in enumerate(pictures):
        resized = resize(picture, (height, width), preprocess.resizing)
        try:
            stacked[index] = to_channels(resized, channels).transpose(2, 0, 1)
        except DecodeError as error:
            raise DataError(f"{name}[{index}]: {error.reason}") from error
    names = [str(c) for c in classes] if classes is not None else [str(i) for i in range(max(targets) + 1)]
    if min(targets) < 0 or max(targets) >= len(names):
        raise DataError(
            f"{name}: class indices range from {min(targets)} to {max(targets)}, but the classes are {names}"
        )
    locations = [f"{name}[{i}]" for i in range(len(pictures))]
    dataset = from_tensors(name, torch.from_numpy(stacked), torch.tensor(targets), names, locations)
    return with_checksums(dataset)


def _pixels(image: Any, index: int) -> NDArray[np.uint8]:
    """A PIL image, an array H×W[×C] or a tensor C×H×W as uint8 H×W×C."""
    pixels = image.permute(1, 2, 0).cpu().numpy() if isinstance(image, Tensor) and image.dim() == 3 else image
    array = np.array(pixels)  # a copy: views of PIL images are read-only
    array = array[:, :, None] if array.ndim == 2 else array
    if array.ndim != 3:
        raise DataError(f"sample {index}: an image of shape {array.shape}; expected H×W or H×W×C")
    if array.dtype.kind == "f" and array.size and array.min() >= 0 and array.max() <= 1:
        return (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise DataError(
            f"sample {index}: pixels of {array.dtype} from {array.min():g} to {array.max():g}; expected "
            "uint8, or floats from 0 to 1 (normalization is done by preprocess.normalize)"
        )
    return array.astype(np.uint8, copy=False)


def _from_table(table: Any, preprocess: Preprocess) -> Dataset:
    """Paths (absolute, or relative to the current folder) and labels, read like a CSV file."""
    if hasattr(
        table, "notna"
    ):  # pandas: its columns may hold objects, which Arrow cannot take, such as paths
        columns = table.astype(object).where(table.notna(), None).to_dict("list")
    else:
        import pyarrow as pa  # imported here because it takes a tenth of a second

        columns = pa.table(table).to_pydict()
    names = tuple(str(name) for name in columns)
    rows = [["" if _is_missing(v) else str(v) for v in row] for row in zip(*columns.values(), strict=True)]
    cells = Cells(Path("table"), names, rows, list(range(1, len(rows) + 1)))
    manifest = manifest_of_cells(open_storage(Path.cwd()), cells)
    return open_images(replace(manifest, name="table"), "table", preprocess)
