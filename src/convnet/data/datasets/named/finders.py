"""`NamedSet`, and functions that find and read the files of a named data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from convnet.data.datasets.mask_folder import IMAGE_FOLDERS, MASK_FOLDERS, MaskCodes, open_masks
from convnet.data.datasets.named.cifar import CifarLayout, find_cifar
from convnet.data.datasets.named.idx import read_idx_images
from convnet.data.datasets.pairing import has_folders, list_pairs
from convnet.data.datasets.tensor_dataset import TensorDataset, from_tensors
from convnet.data.datasets.time_series import open_series
from convnet.data.files.remote_file import RemoteFile
from convnet.data.files.storage import open_storage, visible_folders
from convnet.data.images.preprocess import Preprocess
from convnet.errors import DataError
from convnet.types import Annotation, SplitName

MEMBRANE_SLICES = 30

Read = Callable[[], TensorDataset]
Finder = Callable[["NamedSet", Path], Read | None]


@dataclass(frozen=True)
class NamedSet:
    """A public data set.

    Attributes:
        name: Its name.
        title: One line about it.
        classes: Class names.
        find: Returns a function that reads the set from a folder, or None if its files are not there.
        files: Files that can be downloaded.
        photos: Whether a flipped image keeps its class: true of photos, not of digits.
        table: Whether the samples are rows of numbers.
        annotation: The annotation of the samples.
        series: Whether the samples are series.
        large: Whether the images are so large that training uses crops.
        where: Where to get files that cannot be downloaded.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    find: Finder
    files: tuple[RemoteFile, ...] = ()
    photos: bool = field(default=False, kw_only=True)
    table: bool = field(default=False, kw_only=True)
    annotation: Annotation = field(default="class", kw_only=True)
    series: bool = field(default=False, kw_only=True)
    large: bool = field(default=False, kw_only=True)
    where: str = field(default="", kw_only=True)


def bundled(read: Callable[[str, tuple[str, ...]], TensorDataset]) -> Finder:
    """A finder for a data set that needs no files."""
    return lambda named, _folder: lambda: read(named.name, named.classes)


def idx(named: NamedSet, folder: Path) -> Read | None:
    """A finder for four IDX files, gzipped or not."""
    stems: dict[SplitName, str] = {"train": "train", "test": "t10k"}
    found: dict[SplitName, list[Path]] = {}
    for split, stem in stems.items():
        names = [f"{stem}-{kind}" for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        found[split] = [p for n in names for p in (folder / n, folder / f"{n}.gz") if p.is_file()]
        if {p.name.removesuffix(".gz") for p in found[split]} != set(names):
            return None

    def read() -> TensorDataset:
        parts = []
        for split, paths in found.items():
            images, labels = (next(p for p in paths if kind in p.name) for kind in ("-images-", "-labels-"))
            parts.append((split, images.name, read_idx_images(images, labels)))
        return _in_memory(named, parts)

    return read


def cifar(layout: CifarLayout) -> Finder:
    """A finder for the published batches of CIFAR-10 or CIFAR-100."""

    def find(named: NamedSet, folder: Path) -> Read | None:
        read_batches = find_cifar(folder, layout)
        if read_batches is None:
            return None
        return lambda: _in_memory(named, read_batches())

    return find


def membrane(named: NamedSet, folder: Path) -> Read | None:
    """A finder for the thirty membrane slices and their masks; the last five are the test split."""
    if not folder.is_dir() or not {f.name.lower() for f in visible_folders(folder)} & set(IMAGE_FOLDERS):
        return None
    contents = open_storage(folder).contents()
    if not (
        has_folders(contents, IMAGE_FOLDERS, MASK_FOLDERS)
        and len(list_pairs(folder, contents, IMAGE_FOLDERS, MASK_FOLDERS)) == MEMBRANE_SLICES
    ):
        return None

    def read() -> TensorDataset:
        table = dict(zip(named.classes, (0, 255), strict=True))
        dataset = open_masks(folder, contents, Preprocess(), MaskCodes(table))
        given_split: list[SplitName] = ["train" if i < 25 else "test" for i in range(MEMBRANE_SLICES)]
        info = replace(dataset.info, name=named.name, given_split=given_split)
        return replace(dataset, info=info)

    return read


def ucr(folder_name: str) -> Finder:
    """A finder for NAME_TRAIN and NAME_TEST files of the UCR archive in a folder of that name."""

    def find(named: NamedSet, folder: Path) -> Read | None:
        places = [
            place for place in (folder / folder_name, folder / "ecg" / folder_name, folder) if place.is_dir()
        ]
        for place in places:
            if any(path.stem.lower() == f"{folder_name}_train".lower() for path in place.iterdir()):
                return lambda: _named(open_series(place), named.name)
        return None

    return find


def _named(dataset: TensorDataset, name: str) -> TensorDataset:
    return replace(dataset, info=replace(dataset.info, name=name))


def _in_memory(
    named: NamedSet, parts: list[tuple[SplitName, str, tuple[np.ndarray, np.ndarray]]]
) -> TensorDataset:
    """Concatenate the parts of a data set, with the split, file and position of each sample."""
    sizes = sorted({images.shape[1:] for _, _, (images, _) in parts})
    if len(sizes) > 1:
        raise DataError(f"{named.name}: the parts of the set hold images of different sizes: {sizes}")
    images = np.concatenate([images for _, _, (images, _) in parts])
    targets = np.concatenate([targets for _, _, (_, targets) in parts]).astype(np.int64)
    if len(targets) and targets.max() >= len(named.classes):
        raise DataError(f"{named.name}: label {targets.max()} in a set of {len(named.classes)} classes")
    places = [f"{name}[{i}]" for _, name, (_, targets) in parts for i in range(len(targets))]
    given_split = [split for split, _, (_, targets) in parts for _ in range(len(targets))]
    return from_tensors(
        named.name, torch.from_numpy(images), torch.from_numpy(targets), named.classes, places, given_split
    )
