"""A name or a path, opened as a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from convnet.data.catalog import DATASETS, named_set
from convnet.data.folder import open_folder
from convnet.data.masks import IMAGE_FOLDERS, MASK_FOLDERS, Colors, open_masks
from convnet.data.preprocess import Preprocess, ResizePolicy, fit_image, require_room
from convnet.data.series import is_series, open_series
from convnet.data.source import MemorySource
from convnet.data.table import TABLE_SUFFIXES, open_table
from convnet.data.whole import INPUT_FOLDERS, TARGET_FOLDERS, has_folders, open_pairs, open_photos
from convnet.errors import DataError, UnknownNameError
from convnet.schema import nearest
from convnet.types import ImageShape

Reads = Literal["class", "mask", "photos", "pairs"]
"""What is taken from data: samples and their classes; and their masks; pictures alone; pairs of pictures."""


def as_path(word: str) -> Path:
    """A user's word as a path that can be asked whether it exists.

    Raises:
        DataError: it is no possible path (an unknown user's home, too long, …).
    """
    try:
        path = Path(word).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"'{word[:80]}': no possible path: {error}") from None
    return path


def open_data(
    name: str,
    preprocess: Preprocess | None = None,
    *,
    data_dir: Path | None = None,
    skip_unreadable: bool = False,
    shape: ImageShape | None = None,
    label: str | None = None,
    ignore: Sequence[str] = (),
    reads: Reads = "class",
    series: bool = False,
    colors: Colors | None = None,
    ignore_index: int | None = None,
) -> MemorySource:
    """Open a named set ("digits", "mnist", …), a folder of images or a table (CSV).

    `shape` overrides the preprocessing's; of whole pictures only its channels. `label` and `ignore` are
    columns of a table: that of the classes, and those that are no features; with `series` a CSV file holds
    series. `colors` and `ignore_index` say
    what the values of masks mean.

    Raises:
        UnknownNameError: it is none of them.
        DataError: its files are damaged, missing, or not to be had.
    """
    preprocess = preprocess or Preprocess()
    if (colors or ignore_index is not None) and reads != "mask":
        raise DataError(f"{name}: data.colors and data.ignore_index are for masks (--task segmentation)")
    if series or holds_series(name):
        return _series(name, preprocess, data_dir, label, reads, shape)
    if is_table(name):
        source = (
            named_set(name) if name in DATASETS else open_table(as_path(name), label=label, ignore=ignore)
        )
        _require_table_settings(source, preprocess, shape)
        return source
    if label is not None or ignore:
        raise DataError(f"{name}: data.label and data.ignore are for tables (CSV); this is none")
    if name in DATASETS:
        source = named_set(name, data_dir)
        _require_targets(source, reads)
        wanted = _wanted_shape(source, preprocess)
        if shape is not None:
            wanted = shape if reads == "class" else wanted._replace(channels=shape.channels)
        return _adapt(source, wanted, preprocess.resize)
    path = as_path(name)
    channels = shape.channels if shape else None
    if path.is_dir() and reads == "mask":
        return open_masks(path, preprocess, colors=colors, ignore_index=ignore_index, channels=channels)
    if path.is_dir() and reads == "pairs":
        return open_pairs(path, preprocess, channels)
    if path.is_dir() and reads == "photos":
        return open_photos(path, preprocess, skip_unreadable=skip_unreadable, channels=channels)
    if path.is_dir():
        return open_folder(path, preprocess, skip_unreadable=skip_unreadable, shape=shape)
    if path.exists():
        raise DataError(
            f"{path}: a file; data is a folder with one subfolder of images per class, or a table (.csv)"
        )
    if "/" in name or path.suffix:
        raise DataError(f"{path}: no such folder; --set data.source=FOLDER names another")
    raise UnknownNameError(
        f"'{name}' is neither a data set nor a folder{nearest(name, DATASETS)}; "
        "--set data.source=FOLDER names another"
    )


def natural_reading(name: str, *, series: bool = False, label: str | None = None) -> Reads:
    """What data is for when nobody says: masks and pairs where it has them, else classes.

    Of series, which with `series` a table holds, a class per step is a mask; `label` is their column.
    """
    if name in DATASETS:
        return DATASETS[name].reads
    path = as_path(name)
    if series or holds_series(name):
        return "mask" if open_series(path, label).target == "mask" else "class"
    if not path.is_dir():
        return "class"
    if has_folders(path, IMAGE_FOLDERS, MASK_FOLDERS):
        return "mask"
    return "pairs" if has_folders(path, INPUT_FOLDERS, TARGET_FOLDERS) else "class"


def _require_targets(source: MemorySource, reads: Reads) -> None:
    """A named set has what it has; its images alone can always be taken."""
    fits = {
        "class": source.target == "class",
        "mask": source.target == "mask",
        "photos": source.form == "images",
    }
    if not fits.get(reads):
        what = "series" if source.form == "series" else "images"
        has = f"{what} with {'classes per place' if source.target == 'mask' else 'a class each'}"
        wanted = {
            "class": "a class each",
            "mask": "a class per place",
            "pairs": "pairs of images",
            "photos": "images",
        }[reads]
        raise DataError(f"{source.name}: holds {has}, the task needs {wanted}; choose another --task")


def holds_series(name: str) -> bool:
    """Whether data of that name or path is series of numbers, and nothing else."""
    return DATASETS[name].series if name in DATASETS else is_series(as_path(name))


def _series(
    name: str,
    preprocess: Preprocess,
    data_dir: Path | None,
    label: str | None,
    reads: Reads,
    shape: ImageShape | None,
) -> MemorySource:
    """Series, where the task can use them and the preprocessing does not ask for images."""
    source = named_set(name, data_dir) if name in DATASETS else open_series(as_path(name), label)
    _require_targets(source, reads)
    if (
        preprocess.image_size
        or preprocess.channels
        or preprocess.normalize in ("range", "symmetric", "pixel", "imagenet")
    ):
        raise DataError(
            f"{name}: series of numbers; of preprocess only normalize=channel or none applies to them"
        )
    if shape is not None and shape.channels != source.shape.channels:
        raise DataError(f"{name}: has {source.shape.channels} channels, the run takes {shape.channels}")
    return source


def is_table(name: str) -> bool:
    """Whether data of that name or path is rows of numbers."""
    if name in DATASETS:
        return DATASETS[name].table
    path = as_path(name)
    return path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir()


def _require_table_settings(source: MemorySource, preprocess: Preprocess, shape: ImageShape | None) -> None:
    """Numbers have no size, no channels to convert, and no 255."""
    if preprocess.image_size or preprocess.channels:
        raise DataError(f"{source.name}: a table of numbers; preprocess.image_size and channels do not apply")
    if preprocess.normalize == "range":
        raise DataError(f"{source.name}: a table of numbers; preprocess.normalize=range is for pixels")
    if shape is not None and shape != source.shape:
        raise DataError(f"{source.name}: has {source.shape.channels} columns, the run takes {shape.channels}")


def _wanted_shape(source: MemorySource, preprocess: Preprocess) -> ImageShape:
    channels, height, width = source.shape
    side = preprocess.image_size
    return ImageShape(preprocess.channels or channels, side or height, side or width)


def _adapt(source: MemorySource, shape: ImageShape, resize: ResizePolicy) -> MemorySource:
    """Resize and convert a named set where another size or other channels are asked for."""
    if shape == source.shape:
        return source
    if source.target == "mask":
        raise DataError(f"{source.name}: its images and masks are used as they are, {source.shape}")
    if source.sizes is not None and shape[1:] == source.shape[1:]:
        raise DataError(f"{source.name}: preprocess.channels does not apply without preprocess.image_size")
    require_room(source.name, len(source), shape)
    images = np.empty((len(source), *shape), np.uint8)
    for i in range(len(source)):
        whole = source.images[i] if source.sizes is None else source.one(i).images[0]
        pixels = whole.numpy()
        picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
        picture = picture.convert("L" if shape.channels == 1 else "RGB")
        fitted = np.asarray(fit_image(picture, (shape.height, shape.width), resize))
        images[i] = fitted.reshape(shape.height, shape.width, shape.channels).transpose(2, 0, 1)
    return replace(source, images=torch.from_numpy(images), sizes=None)
