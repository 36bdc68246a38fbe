"""Images and labels in an .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convnet.data.datasets.tensor_dataset import TensorDataset, from_tensors
from convnet.data.files.manifest import SPLIT_FOLDERS, numbered
from convnet.data.images.arrays import channels_first
from convnet.data.images.pixels import own_white, scaled
from convnet.errors import DataError, in_one_line
from convnet.targets import CLASS_INDEX, MULTI_HOT
from convnet.types import SplitName

IMAGES, LABELS = ("images", "x", "data"), ("labels", "y", "targets", "label")
NAMES = ("{0}_{1}", "{1}_{0}")
"""The names of the arrays of a split: x_train as in Keras, train_images as in MedMNIST."""
PARTS: tuple[SplitName, ...] = ("train", "val", "test")

Array = NDArray[np.generic]


def holds_images(path: Path) -> bool:
    """Whether an .npz file holds images: arrays called images, of four axes, or of three of uint8."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                stem = member.removesuffix(".npy").lower()
                if not {stem, *stem.split("_")} & {*IMAGES}:
                    continue
                with archive.open(member) as file:
                    version = np.lib.format.read_magic(file)
                    read = np.lib.format.read_array_header_1_0
                    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(
                        file
                    )
                called = "images" in stem.split("_")
                return called or len(shape) == 4 or (len(shape) == 3 and dtype == np.uint8)
    except Exception:  # zip, zlib and NumPy raise nearly anything; opening the file reports it
        return True
    return False


def open_arrays(path: Path, *, multi_label: bool) -> TensorDataset:
    """Open the arrays `images` (or x) and `labels` (or y), or x_train, y_train, …, or train_images, ….

    Images are N×H×W, N×H×W×C or N×C×H×W of uint8, uint16 or floats 0…1. Labels are N names or numbers, or
    N×K zeros and ones if `multi_label`. The arrays `classes`, `split` and `group` are optional.

    Args:
        path: The file.
        multi_label: Whether an image may have several labels.

    Raises:
        DataError: The file is damaged, an array is missing, or shapes do not match.
    """
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: cannot be read: not an .npz file, or damaged")
    try:
        with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
            arrays = {name.lower(): file[name] for name in file.files}
    except Exception as error:  # zip, zlib and NumPy raise nearly anything
        raise DataError(f"{path}: cannot be read: {in_one_line(error)}") from error
    images, labels, given_split = _parts(path, arrays)
    if len(images) != len(labels) or not len(images):
        raise DataError(f"{path}: {len(images)} images and {len(labels)} labels")
    names = [str(name) for name in arrays["classes"]] if "classes" in arrays else None
    targets, classes = _several(path, labels, names) if multi_label else _single(path, labels, names)
    groups = arrays.get("group")
    if groups is not None and len(groups) != len(images):
        raise DataError(f"{path}: {len(images)} images and {len(groups)} groups")
    white = white_of(images)
    return from_tensors(
        name=path.stem,
        images=torch.from_numpy(images_from_array(path, images, white)),
        targets=torch.from_numpy(targets),
        classes=classes,
        locations=[f"{path.name}[{i}]" for i in range(len(images))],
        given_split=given_split,
        target=MULTI_HOT if multi_label else CLASS_INDEX,
        groups=None if groups is None else numbered([str(group) for group in groups]),
        white=white,
        warnings=depth_remarks(white),
    )


def _parts(path: Path, arrays: dict[str, Array]) -> tuple[Array, Array, list[SplitName] | None]:
    found = {
        part: (arrays[order.format(x, part)], arrays[order.format(y, part)])
        for part in PARTS
        for x in IMAGES
        for y in LABELS
        for order in NAMES
        if order.format(x, part) in arrays and order.format(y, part) in arrays
    }
    try:
        if found:
            images = np.concatenate([x for x, _ in found.values()])
            labels = np.concatenate([_flat(y) for _, y in found.values()])
            return images, labels, [part for part, (x, _) in found.items() for _ in range(len(x))]
        images, labels = (next(arrays[n] for n in names if n in arrays) for names in (IMAGES, LABELS))
    except (StopIteration, RuntimeError):
        raise DataError(
            f"{path}: expected arrays images and labels, or x_train, y_train, …; found {', '.join(arrays)}"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: the arrays do not fit together: {error}") from error
    splits = arrays.get("split")
    if splits is None:
        return images, _flat(labels), None
    unknown = sorted({str(s) for s in splits if str(s).lower() not in SPLIT_FOLDERS})
    if unknown or len(splits) != len(images):
        raise DataError(
            f"{path}: split has {len(splits)} values for {len(images)} images; unknown: {unknown}"
        )
    return images, _flat(labels), [SPLIT_FOLDERS[str(s).lower()] for s in splits]


def _flat(labels: Array) -> Array:
    """Labels N×1, as in Keras, as N."""
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _single(path: Path, labels: Array, names: list[str] | None) -> tuple[Array, tuple[str, ...]]:
    if labels.ndim != 1:
        raise DataError(
            f"{path}: labels have the shape {labels.shape}; expected one per image, or use --task multi-label"
        )
    if labels.dtype.kind == "f" and not np.all(labels % 1 == 0):
        raise DataError(f"{path}: labels hold fractions or NaN; store the number or the name of each class")
    found, numbers = np.unique(labels, return_inverse=True)
    if names is None:
        return numbers.astype(np.int64), tuple(str(value) for value in found)
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(names):
        raise DataError(f"{path}: labels must be integers below {len(names)}, the number of classes")
    return labels.astype(np.int64), tuple(names)


def _several(path: Path, labels: Array, names: list[str] | None) -> tuple[Array, tuple[str, ...]]:
    if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
        raise DataError(f"{path}: labels are {labels.shape} {labels.dtype}; expected zeros and ones, N×K")
    classes = names or [str(i) for i in range(labels.shape[1])]
    if len(classes) != labels.shape[1]:
        raise DataError(f"{path}: classes has {len(classes)} names for {labels.shape[1]} columns of labels")
    return labels.astype(np.uint8), tuple(classes)


def images_from_array(name: Path | str, images: Array, white: int | None = None) -> NDArray[np.uint8]:
    """Convert images to uint8 N×C×H×W.

    Args:
        name: The name of the data, for messages.
        images: N×H×W, N×H×W×C or N×C×H×W of uint8, uint16 or floats 0…1.
        white: The value that is white. Default: the largest of the type.

    Raises:
        DataError: The images have another shape or type, or values out of range.
    """
    return np.ascontiguousarray(channels_first(name, _bytes(name, images, white)))


def depth_remarks(white: int | None) -> tuple[str, ...]:
    """The line about images that use less than the depth of their type."""
    return () if white is None else (f"pixels use values up to {white:,}, which is white",)


def white_of(images: Array) -> int | None:
    """The value that is white in integers that use less than the depth of their type; None for others."""
    if images.dtype.kind not in "iu":
        return None
    full = 255 if images.dtype.itemsize == 1 else 65535
    own = own_white(images, full)
    return None if own in (None, full) else own


def _bytes(path: Path | str, images: Array, white: int | None) -> NDArray[np.uint8]:
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(f"{path}: images have the shape {images.shape}; expected N×H×W, N×H×W×C or N×C×H×W")
    if (
        images.dtype.kind in "iu"
        and images.dtype.itemsize > 1
        and images.min() >= 0
        and images.max() <= 65535
    ):
        return scaled(images, white or 65535)
    if images.dtype == np.uint8:
        return images.astype(np.uint8, copy=False) if white is None else scaled(images, white)
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * np.uint8(255)
    if images.dtype.kind == "f" and np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1:
        return (images.astype(np.float32) * 255).round().astype(np.uint8)
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise DataError(f"{path}: images hold values that are not finite (NaN); expected floats from 0 to 1")
    if images.dtype.kind in "if":
        low, high = images.min(), images.max()
        raise DataError(
            f"{path}: images are {images.dtype} with values from {low:g} to {high:g}; expected uint8, uint16 "
            f"or floats from 0 to 1. Scale them, for example {_scaling(low, high)}"
        )
    raise DataError(f"{path}: images are {images.dtype}; expected uint8, uint16 or floats from 0 to 1")


def _scaling(low: float, high: float) -> str:
    """A formula that maps usual ranges to 0…1."""
    if low >= 0 and high <= 255:
        return "x / 255"
    return "(x + 1) / 2" if low >= -1 and high <= 1 else f"(x - {low:g}) / {high - low:g}"
