"""Images in files, opened: listed, scanned, and made a data set."""

from __future__ import annotations

import gc
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
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
from convnet.data.datasets.dataset import DatasetInfo
from convnet.data.datasets.image_dataset import ImageDataset
from convnet.data.datasets.tensor_dataset import TensorDataset, list_arrays
from convnet.data.datasets.warnings import data_warnings
from convnet.data.files.annotations import list_tables, tables_within
from convnet.data.files.coco import is_coco, list_coco
from convnet.data.files.image_csv import list_table
from convnet.data.files.image_folder import list_folder
from convnet.data.files.image_reader import ImageReader
from convnet.data.files.manifest import Manifest, numbered
from convnet.data.files.shards import ShardStorage
from convnet.data.files.storage import Contents, FolderStorage, is_archive, open_storage
from convnet.data.images.decode import file_bytes
from convnet.data.images.pixels import converts
from convnet.data.images.preprocess import Preprocess
from convnet.errors import DataError
from convnet.targets import CLASS_INDEX, MULTI_HOT
from convnet.types import ImageShape

DEFAULT_IMAGE_SIZE = 128
SCANNED = 20_000
"""Files that are all scanned before training; of more, only a sample, unless an audit has seen them all."""
SAMPLED = 512

logger = logging.getLogger(__name__)


def list_images(
    path: Path, contents: Contents | None, label: str | None = None, *, multi_label: bool = False
) -> Manifest:
    """The images of a folder, a zip archive, a table of paths or COCO annotations, with their labels.

    `contents` is what a folder holds; `label` is the column of the labels of a table.

    Raises:
        DataError: naming what is missing, damaged, or not as it should be.
    """
    with without_collections():
        if is_coco(path):
            return list_coco(path, multi_label=multi_label)
        if contents is None and not is_archive(path):
            place = FolderStorage(path.parent)
            return list_table(place, file_bytes(path), str(path), label=label, multi_label=multi_label)
        store = open_storage(path)
        contents = contents or store.contents()
        if tables := tables_within(store, contents):
            return list_tables(store, contents, tables, label=label, multi_label=multi_label)
        if label is not None:
            raise DataError(f"{path}: data.label is a column of a table; here folders say the classes")
        if multi_label:
            raise DataError(
                f"{path}: folders give each image one class; for several labels each, use a table of paths "
                "and labels (.csv, .tsv, .parquet), or COCO annotations (.json)"
            )
        return list_folder(store, contents)


@contextmanager
def without_collections() -> Iterator[None]:
    """A listing is hundreds of thousands of tuples without cycles; looking for some takes as long again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def open_images(
    listed: Manifest, data: str, preprocess: Preprocess, shape: ImageShape | None = None
) -> ImageDataset:
    """A data set of the images that can be read; the others are in its `unreadable`.

    Args:
        listed: The images and their labels.
        data: What the user calls them, for advice.
        preprocess: The size and the channels to decode to.
        shape: What a trained network takes, if it is for one: then a single class is enough.

    Raises:
        DataError: no image of a class can be read.
    """
    found, places = _scanned(listed)
    lost = _damaged(found, places, allow_truncated=preprocess.allow_truncated)
    if len(lost) == len(places):
        place, (_, reason) = next(iter(lost.items()))
        raise DataError(
            f"{listed.store.root}: no image can be read: {listed.samples[place].entry.name}: {reason}"
        )
    alone = shape is not None
    shape = shape or _shape(found, preprocess)
    lost |= _other_channels(found, places, shape.channels)
    kept = listed.without(lost)
    _require_classes(listed, kept, lost, alone=alone)
    pairs = duplicates(listed, found) if len(places) == len(listed) else None
    files = ImageReader(kept, preprocess, shape)
    remaining = torch.tensor([i for i in range(len(listed)) if i not in lost])
    blank = {place for place, record in zip(places, found.records, strict=True) if record["blank"]}
    excluded = {new: "blank" for new, old in enumerate(remaining.tolist()) if old in blank}
    kinds = Counter(kind for kind, _ in lost.values())
    warnings = data_warnings(
        kept,
        data,
        kinds=kinds,
        blank=len(excluded),
        pairs=pairs,
        conflicts=conflicting(listed, pairs or []),
        scanned=len(places),
    )
    info = DatasetInfo(
        listed.name,
        shape,
        listed.classes,
        [sample.entry.name for sample in kept.samples],
        target=MULTI_HOT if listed.multi_label else CLASS_INDEX,
        given_split=kept.given_split,
        groups=kept.group_numbers(),
        duplicates=None if pairs is None else torch.from_numpy(together(len(listed), pairs))[remaining],
        shards=_shards(kept),
        excluded=excluded,
        unreadable=tuple(
            f"{listed.samples[place].entry.name}: {why}" for place, (_, why) in sorted(lost.items())
        ),
        warnings=(*warnings, files.note) if files.note else warnings,
        in_memory=False,
    )
    audit = None if pairs is None else document(listed, found, findings(listed, found, pairs))
    return ImageDataset(info, files, torch.arange(len(kept)), kept.targets(), audit)


def scan_arrays(dataset: TensorDataset, data: str) -> TensorDataset:
    """Images in memory with what a scan of them shows: copies of each other, and blank ones."""
    listed = list_arrays(dataset)
    found, places = _scanned(listed)
    pairs = duplicates(listed, found) if len(places) == len(listed) else None
    excluded = {places[i]: "blank" for i in found.records["blank"].nonzero()[0].tolist()}
    warnings = data_warnings(
        listed,
        data,
        kinds={},
        blank=len(excluded),
        pairs=pairs,
        conflicts=conflicting(listed, pairs or []),
        scanned=len(places),
    )
    copies = None if pairs is None else torch.from_numpy(together(len(listed), pairs))
    info = replace(dataset.info, duplicates=copies, excluded=excluded, warnings=warnings)
    return replace(dataset, info=info)


def _scanned(listed: Manifest) -> tuple[Scan, Sequence[int]]:
    """The scan of all files, or of a sample of many, and the places it is of."""
    memory = Memory(listed)
    if len(listed) <= SCANNED or memory.has_all(listed):
        if len(listed) > SAMPLED:
            logger.info("scanning %s files", f"{len(listed):,}")
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


def _other_channels(found: Scan, places: Sequence[int], channels: int) -> Lost:
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
