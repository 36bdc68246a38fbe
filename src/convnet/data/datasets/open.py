"""A name or a path, opened as a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from convnet.data.datasets.csv_table import TABLE_SUFFIXES, open_table
from convnet.data.datasets.dataset import Dataset
from convnet.data.datasets.image_pairs import (
    INPUT_FOLDERS,
    TARGET_FOLDERS,
    has_folders,
    open_pairs,
    open_photos,
)
from convnet.data.datasets.mask_folder import IMAGE_FOLDERS, MASK_FOLDERS, Colors, open_masks
from convnet.data.datasets.named.catalog import DATASETS, named_set
from convnet.data.datasets.npz import holds_images, open_arrays
from convnet.data.datasets.open_images import holds_files, list_files, open_files, scan_arrays
from convnet.data.datasets.tensor_dataset import TensorDataset, fitted, list_arrays
from convnet.data.datasets.time_series import is_series, open_series
from convnet.data.files.annotations import is_image_table
from convnet.data.files.manifest import Manifest
from convnet.data.files.shards import is_address, is_shards
from convnet.data.images.preprocess import Preprocess
from convnet.errors import DataError, UnknownNameError
from convnet.registry import nearest
from convnet.types import ImageShape

Reads = Literal["class", "labels", "mask", "photos", "pairs"]
"""What is taken from data: samples with a class or labels each; with masks; pictures alone; pairs."""


KINDS_OF_FILES = (
    "expected a folder or .zip of images, a table (.csv, .tsv, .parquet), arrays (.npz), or COCO annotations "
    "(.json)"
)


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


def whole_name(name: str) -> str:
    """A named set by its name, an address as it is, everything else by its whole path."""
    return name if name in DATASETS or is_address(name) else str(as_path(name).resolve())


def is_there(name: str) -> bool:
    """Whether data of that name or path may be there; of addresses only opening tells."""
    return name in DATASETS or is_shards(name) or as_path(name).exists()


def open_data(
    name: str,
    preprocess: Preprocess | None = None,
    *,
    data_dir: Path | None = None,
    shape: ImageShape | None = None,
    label: str | None = None,
    ignore: Sequence[str] = (),
    reads: Reads = "class",
    series: bool = False,
    colors: Colors | None = None,
    ignore_index: int | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Dataset:
    """Open a named set ("digits", "mnist", …), images in files or arrays, a table of numbers, or series.

    `shape` overrides the preprocessing's; of whole pictures only its channels. `label` and `ignore` are
    columns of a table: that of the classes, and those that are no features; with `series` a CSV file holds
    series. `colors` and `ignore_index` say what the values of masks mean. `say` hears what takes long.

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
        dataset = (
            named_set(name) if name in DATASETS else open_table(as_path(name), label=label, ignore=ignore)
        )
        _require_table_settings(dataset, preprocess, shape)
        return dataset
    path = as_path(name)
    if ignore or (label is not None and (name in DATASETS or not holds_files(name))):
        raise DataError(f"{name}: data.label and data.ignore are for tables (CSV); this is none")
    if name in DATASETS:
        dataset = named_set(name, data_dir)
        _require_targets(dataset, reads)
        return fitted(dataset, preprocess, shape if reads == "class" else None, shape)
    channels = shape.channels if shape else None
    if path.is_dir() and reads == "mask":
        return open_masks(path, preprocess, colors=colors, ignore_index=ignore_index, channels=channels)
    if path.is_dir() and reads == "pairs":
        return open_pairs(path, preprocess, channels)
    if path.is_dir() and reads == "photos":
        return open_photos(path, preprocess, channels=channels)
    if holds_images(path):
        dataset = scan_arrays(open_arrays(path, multi_label=reads == "labels"), name, say)
        return fitted(dataset, preprocess, shape, shape)
    if holds_files(name):
        if reads not in ("class", "labels"):
            raise DataError(f"{path}: images with labels; the task needs a folder of images")
        multi_label = reads == "labels"
        return open_files(name, preprocess, shape=shape, label=label, multi_label=multi_label, say=say)
    if path.exists():
        raise DataError(f"{path}: no known kind of data; {KINDS_OF_FILES}")
    if "/" in name or path.suffix:
        raise DataError(f"{path}: no such folder; --set data.source=FOLDER names another")
    raise UnknownNameError(
        f"'{name}' is neither a data set nor a folder{nearest(name, DATASETS)}; "
        "--set data.source=FOLDER names another"
    )


def list_data(
    name: str, *, data_dir: Path | None = None, label: str | None = None, multi_label: bool = False
) -> Manifest:
    """The images of a data set with their labels, before any of them is decoded.

    Raises:
        UnknownNameError, DataError: as `open_data`; it holds no images with labels.
    """
    path = as_path(name)
    if name in DATASETS:
        return list_arrays(named_set(name, data_dir))
    if holds_images(path):
        return list_arrays(open_arrays(path, multi_label=multi_label))
    if holds_files(name):
        return list_files(name, label=label, multi_label=multi_label)
    if path.exists():
        raise DataError(f"{path}: holds no images with labels; {KINDS_OF_FILES}")
    raise UnknownNameError(f"'{name}' is neither a data set nor a folder{nearest(name, DATASETS)}")


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


def _require_targets(dataset: TensorDataset, reads: Reads) -> None:
    """A named set has what it has; its images alone can always be taken."""
    fits = {
        "class": dataset.target == "class",
        "labels": dataset.target == "labels",
        "mask": dataset.target == "mask",
        "photos": dataset.modality == "images",
    }
    if not fits.get(reads):
        what = "series" if dataset.modality == "series" else "images"
        has = f"{what} with {'classes per place' if dataset.target == 'mask' else 'a class each'}"
        wanted = {
            "class": "a class each",
            "labels": "any number of labels each",
            "mask": "a class per place",
            "pairs": "pairs of images",
            "photos": "images",
        }[reads]
        raise DataError(f"{dataset.name}: holds {has}, the task needs {wanted}; choose another --task")


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
) -> TensorDataset:
    """Series, where the task can use them and the preprocessing does not ask for images."""
    dataset = named_set(name, data_dir) if name in DATASETS else open_series(as_path(name), label)
    _require_targets(dataset, reads)
    if (
        preprocess.image_size
        or preprocess.channels
        or preprocess.normalize in ("range", "symmetric", "pixel", "imagenet")
    ):
        raise DataError(
            f"{name}: series of numbers; of preprocess only normalize=channel or none applies to them"
        )
    if shape is not None and shape.channels != dataset.shape.channels:
        raise DataError(f"{name}: has {dataset.shape.channels} channels, the run takes {shape.channels}")
    return dataset


def is_table(name: str) -> bool:
    """Whether data of that name or path is rows of numbers."""
    if name in DATASETS:
        return DATASETS[name].table
    path = as_path(name)
    return path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir() and not is_image_table(path)


def _require_table_settings(dataset: TensorDataset, preprocess: Preprocess, shape: ImageShape | None) -> None:
    """Numbers have no size, no channels to convert, and no 255."""
    if preprocess.image_size or preprocess.channels:
        raise DataError(
            f"{dataset.name}: a table of numbers; preprocess.image_size and channels do not apply"
        )
    if preprocess.normalize == "range":
        raise DataError(f"{dataset.name}: a table of numbers; preprocess.normalize=range is for pixels")
    if shape is not None and shape != dataset.shape:
        raise DataError(
            f"{dataset.name}: has {dataset.shape.channels} columns, the run takes {shape.channels}"
        )
