"""A folder, a zip archive, a table or annotations of images, opened: listed, scanned, and made a source."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convnet.data.audit.duplicates import duplicates, together
from convnet.data.audit.findings import conflicting, document, findings
from convnet.data.audit.records import Memory
from convnet.data.audit.scan import Scan, scan
from convnet.data.datasets.dataset import data_warnings
from convnet.data.datasets.image_dataset import ImageDataset
from convnet.data.datasets.tensor_dataset import TensorDataset, list_arrays
from convnet.data.files.annotations import is_image_table, list_tables, tables_within
from convnet.data.files.coco import is_coco, list_coco
from convnet.data.files.image_csv import list_table
from convnet.data.files.image_folder import list_folder
from convnet.data.files.image_reader import ImageReader
from convnet.data.files.manifest import Manifest, numbered
from convnet.data.files.shards import ShardStorage, is_shards, list_shards
from convnet.data.files.storage import FolderStorage, is_archive, open_storage
from convnet.data.images.decode import file_bytes
from convnet.data.images.pixels import converts
from convnet.data.images.preprocess import Preprocess
from convnet.errors import DataError
from convnet.types import ImageShape

DEFAULT_IMAGE_SIZE = 128
SCANNED = 20_000
"""Files that are all scanned before training; of more, only a sample, unless an audit has seen them all."""
SAMPLED = 512

Say = Callable[[str], object]


def holds_files(name: str) -> bool:
    """Whether it may be images in files: a folder, an archive, shards, a table of paths, COCO annotations."""
    if is_shards(name):
        return True
    path = Path(name).expanduser()
    return path.is_dir() or is_archive(path) or is_coco(path) or is_image_table(path)


def list_files(name: str, *, label: str | None = None, multi_label: bool = False) -> Manifest:
    """The images of a folder, a zip archive, a table of paths or COCO annotations, with their labels.

    `label` is the column of the labels of a table; `multi_label`: an image may have any number of labels.

    Raises:
        DataError: naming what is missing, damaged, or not as it should be.
    """
    with _without_collections():
        if is_shards(name):
            return list_shards(name, multi_label=multi_label)
        return _listed(Path(name).expanduser(), label, multi_label)


def _listed(path: Path, label: str | None, multi_label: bool) -> Manifest:
    if is_coco(path):
        return list_coco(path, multi_label=multi_label)
    if not path.is_dir() and not is_archive(path):
        place = FolderStorage(path.parent)
        return list_table(place, file_bytes(path), str(path), label=label, multi_label=multi_label)
    store = open_storage(path)
    contents = store.contents()
    if tables := tables_within(store, contents):
        return list_tables(store, contents, tables, label=label, multi_label=multi_label)
    if label is not None:
        raise DataError(f"{path}: data.label is a column of a table; here folders say the classes")
    if multi_label:
        raise DataError(
            f"{path}: folders give each image one class; for several labels each, use a table of paths and "
            "labels (.csv, .tsv, .parquet), or COCO annotations (.json)"
        )
    return list_folder(store, contents)


@contextmanager
def _without_collections() -> Iterator[None]:
    """A listing is hundreds of thousands of tuples without cycles; looking for some takes as long again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def open_files(
    name: str,
    preprocess: Preprocess,
    *,
    shape: ImageShape | None = None,
    label: str | None = None,
    multi_label: bool = False,
    say: Say = lambda line: None,
) -> ImageDataset:
    """A source of the images that can be read; what cannot is listed in its `unreadable`.

    `shape`, if given, is what a trained network takes: then a single class is enough.

    Raises:
        DataError: as `list_files`; no image of a class can be read.
    """
    listed = list_files(name, label=label, multi_label=multi_label)
    found, places = _scanned(listed, say)
    lost = _damaged(found, places, allow_truncated=preprocess.allow_truncated)
    if len(lost) == len(places):
        place, (_, reason) = next(iter(lost.items()))
        raise DataError(
            f"{listed.store.root}: no image can be read: {listed.samples[place].entry.name}: {reason}"
        )
    shape_given = shape is not None
    shape = shape or _shape(found, preprocess)
    lost |= _unfit_channels(found, places, shape.channels)
    kept = listed.without(lost)
    _require_classes(listed, kept, lost, alone=shape_given)
    whole = len(places) == len(listed)
    pairs = duplicates(listed, found) if whole else None
    files = ImageReader(kept, preprocess, shape)
    remaining = torch.tensor([i for i in range(len(listed)) if i not in lost])
    blank = {place for place, record in zip(places, found.records, strict=True) if record["blank"]}
    excluded = {new: "blank" for new, old in enumerate(remaining.tolist()) if old in blank}
    copies = None if pairs is None else torch.from_numpy(together(len(listed), pairs))[remaining]
    kinds = Counter(kind for kind, _ in lost.values())
    warnings = data_warnings(
        kept,
        name,
        kinds=kinds,
        blank=len(excluded),
        pairs=pairs,
        conflicts=conflicting(listed, pairs or []),
        looked_at=len(places),
    )
    return ImageDataset(
        name=listed.name,
        files=files,
        rows=torch.arange(len(kept)),
        targets=kept.targets(),
        classes=listed.classes,
        places=[sample.entry.name for sample in kept.samples],
        given_split=kept.given_split,
        groups=kept.group_numbers(),
        duplicates=copies,
        shards=_shards(kept),
        excluded=excluded,
        left_out=tuple(
            f"{listed.samples[place].entry.name}: {why}" for place, (_, why) in sorted(lost.items())
        ),
        audit=None if pairs is None else document(listed, found, findings(listed, found, pairs)),
        warnings=(*warnings, files.note) if files.note else warnings,
    )


def scan_arrays(dataset: TensorDataset, name: str, say: Say) -> TensorDataset:
    """Images in memory with what a look at them shows: copies of each other, and blank ones."""
    listed = list_arrays(dataset)
    found, places = _scanned(listed, say)
    pairs = duplicates(listed, found) if len(places) == len(listed) else None
    excluded = {places[i]: "blank" for i in found.records["blank"].nonzero()[0].tolist()}
    warnings = data_warnings(
        listed,
        name,
        kinds={},
        blank=len(excluded),
        pairs=pairs,
        conflicts=conflicting(listed, pairs or []),
        looked_at=len(places),
    )
    copies = None if pairs is None else torch.from_numpy(together(len(listed), pairs))
    return replace(dataset, duplicates=copies, excluded=excluded, warnings=warnings)


def _scanned(listed: Manifest, say: Say) -> tuple[Scan, Sequence[int]]:
    """The scan of all files, or of a sample of many, and the places it is of."""
    memory = Memory(listed)
    if len(listed) <= SCANNED or memory.has_all(listed):
        if len(listed) > SAMPLED:
            say(f"looking through {len(listed):,} files")
        return scan(listed, memory=memory), range(len(listed))
    order = torch.randperm(len(listed), generator=torch.Generator().manual_seed(0))
    places = order[:SAMPLED].sort().values.tolist()
    return scan(listed, only=places, memory=memory), places


Lost = dict[int, tuple[str, str]]
"""Of files that are not to be had, by their places, the kind of trouble and the reason."""


def _damaged(found: Scan, places: Sequence[int], *, allow_truncated: bool) -> Lost:
    lost: Lost = {}
    for i, reason in found.reasons.items():
        trouble = found.trouble(i)
        if trouble is not None and not (allow_truncated and trouble == "truncated" and found.decoded[i]):
            lost[places[i]] = trouble, reason
    return lost


def _unfit_channels(found: Scan, places: Sequence[int], channels: int) -> Lost:
    """Pictures whose channels cannot become those that the network takes."""
    numbers = found.records["channels"]
    odd = [i for i in found.decoded.nonzero()[0].tolist() if not converts(int(numbers[i]), channels)]
    why = "has {} channels, which do not become {}"
    return {places[i]: ("other channels", why.format(numbers[i], channels)) for i in odd}


def _require_classes(listed: Manifest, kept: Manifest, lost: Lost, *, alone: bool) -> None:
    """Something of every class must be left, and two classes, unless one may be `alone`."""
    there = {label for sample in kept.samples for label in sample.labels}
    for name in listed.classes:
        if name not in there:
            place = next(i for i in lost if name in listed.samples[i].labels)
            raise DataError(
                f"{listed.store.root}: no picture of class '{name}' can be read: "
                f"{listed.samples[place].entry.name}: {lost[place][1]}"
            )
    if len(listed.classes) < 2 and not alone and not listed.multi_label:
        raise DataError(
            f"{listed.store.root}: only one class, '{listed.classes[0]}'; a classifier needs two or more "
            "class folders"
        )


def _shape(found: Scan, preprocess: Preprocess) -> ImageShape:
    """The size that is asked for, else the one that all pictures share where it is small; their channels."""
    records = found.records[found.decoded]
    sizes = set(zip(records["height"].tolist(), records["width"].tolist(), strict=True))
    side = preprocess.image_size
    if side is not None:
        height, width = side, side
    elif len(sizes) == 1 and max(next(iter(sizes))) <= DEFAULT_IMAGE_SIZE:
        height, width = next(iter(sizes))
    else:
        height = width = DEFAULT_IMAGE_SIZE
    return ImageShape(preprocess.channels or _channels(records["channels"]), height, width)


def _channels(numbers: NDArray[np.uint8]) -> int:
    """Those that most pictures have; colours where there are any among grey ones."""
    values, counts = np.unique(numbers, return_counts=True)
    common = int(values[counts.argmax()])
    return 3 if common == 1 and 3 in values else common


def _shards(kept: Manifest) -> torch.Tensor | None:
    if not isinstance(kept.store, ShardStorage):
        return None
    return numbered([kept.store.shard_of(sample.entry.name) for sample in kept.samples])
