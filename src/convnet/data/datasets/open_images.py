"""Open image files as a dataset: list them, scan them, and leave out what cannot be read."""

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

from convnet.data.audit.duplicates import Copies, duplicates
from convnet.data.audit.findings import document, findings
from convnet.data.audit.records import Memory
from convnet.data.audit.scan import Keep, Scan, scan
from convnet.data.datasets.dataset import DatasetInfo
from convnet.data.datasets.image_dataset import ImageDataset
from convnet.data.datasets.npz import depth_remarks
from convnet.data.datasets.tensor_dataset import TensorDataset, list_arrays
from convnet.data.datasets.warnings import data_warnings
from convnet.data.files.annotations import list_tables, tables_within
from convnet.data.files.coco import is_coco, list_coco
from convnet.data.files.image_csv import list_table
from convnet.data.files.image_folder import list_folder
from convnet.data.files.image_reader import ImageReader
from convnet.data.files.manifest import Manifest, numbered
from convnet.data.files.shards import ShardStorage
from convnet.data.files.storage import Contents, is_archive, open_storage
from convnet.data.images.decode import file_bytes
from convnet.data.images.pixels import common_white, converts
from convnet.data.images.preprocess import Preprocess
from convnet.errors import DataError
from convnet.targets import CLASS_INDEX, MULTI_HOT
from convnet.types import ImageShape

DEFAULT_IMAGE_SIZE = 128
SCANNED = 20_000
"""The largest number of files that are all scanned before training, unless an audit has scanned them."""
SAMPLED = 512
FEW = 16
"""The number of files that the shape of all is expected from."""

logger = logging.getLogger(__name__)


def list_images(
    path: Path, contents: Contents | None, label: str | None = None, *, multi_label: bool = False
) -> Manifest:
    """List the images of a folder, a zip archive, a table of paths or COCO annotations.

    Args:
        path: The folder or file.
        contents: The listing of a folder.
        label: The label column of a table.
        multi_label: Whether an image may have several labels.

    Returns:
        The images, their labels, splits and groups.

    Raises:
        DataError: Something is missing or damaged; the message names it.
    """
    with without_collections():
        if is_coco(path):
            return list_coco(path, multi_label=multi_label)
        if contents is None and not is_archive(path):
            place = open_storage(path.parent)
            return list_table(place, file_bytes(path), str(path), label=label, multi_label=multi_label)
        store = open_storage(path)
        contents = contents or store.contents()
        if tables := tables_within(store, contents):
            return list_tables(store, contents, tables, label=label, multi_label=multi_label)
        if label is not None:
            raise DataError(f"{path}: data.label applies to tables; here the folders are the classes")
        if multi_label:
            raise DataError(
                f"{path}: folders give each image one class; for several labels use a table of paths and "
                "labels (.csv, .tsv, .parquet) or COCO annotations (.json)"
            )
        return list_folder(store, contents)


@contextmanager
def without_collections() -> Iterator[None]:
    """Pause garbage collection: it doubles the time of listing hundreds of thousands of files."""
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
    """Open the images that can be read; the others are listed in `info.unreadable`.

    Args:
        listed: The images and their labels.
        data: The user's name for the data, for messages.
        preprocess: Size and channels.
        shape: The input shape of a trained network; a single class is then enough.

    Returns:
        The dataset.

    Raises:
        DataError: No image of some class can be read.
    """
    memory = Memory(listed)
    files = ImageReader(listed, preprocess, shape or _expected_shape(listed, memory, preprocess))
    found, places = _scanned(listed, memory, files.keep)
    lost = _damaged(found, places, allow_truncated=preprocess.allow_truncated)
    if len(lost) == len(places):
        place, (_, reason) = next(iter(lost.items()))
        raise DataError(
            f"{listed.store.root}: no image can be read: {listed.samples[place].entry.name}: {reason}"
        )
    alone = shape is not None
    shape = shape or _shape(found, preprocess)
    white = preprocess.white or _white(found)
    if white != preprocess.white:
        preprocess = preprocess.model_copy(update={"white": white})
    lost |= _other_channels(found, places, shape.channels)
    kept = listed.without(lost)
    _require_classes(listed, kept, lost, alone=alone)
    complete = len(places) == len(listed)
    copies = duplicates(listed, found) if complete else None
    if (shape, preprocess) != (files.shape, files.preprocess):
        files.remove()
        files = ImageReader(listed, preprocess, shape)
    remaining = torch.tensor([i for i in range(len(listed)) if i not in lost])
    blank = {place for place, record in zip(places, found.records, strict=True) if record["blank"]}
    excluded = {new: "blank" for new, old in enumerate(remaining.tolist()) if old in blank}
    kinds = Counter(kind for kind, _ in lost.values())
    warnings = data_warnings(kept, data, kinds, len(excluded), copies, scanned=len(places))
    warnings = (*warnings, *depth_remarks(white))
    info = DatasetInfo(
        listed.name,
        shape,
        listed.classes,
        [sample.entry.name for sample in kept.samples],
        target=MULTI_HOT if listed.multi_label else CLASS_INDEX,
        given_split=kept.given_split,
        groups=kept.group_numbers(),
        duplicates=_copy_numbers(copies, len(listed), remaining, near=False),
        near_copies=_copy_numbers(copies, len(listed), remaining, near=True),
        white=white,
        shards=_shards(kept),
        checksums=_numbers(found, "checksum")[remaining] if complete else None,
        contents=_numbers(found, "content")[remaining] if complete else None,
        excluded=excluded,
        unreadable=tuple(
            f"{listed.samples[place].entry.name}: {why}" for place, (_, why) in sorted(lost.items())
        ),
        warnings=(*warnings, files.note) if files.note else warnings,
        in_memory=False,
    )
    audit = None if copies is None else document(listed, found, findings(listed, found, copies.pairs))
    return ImageDataset(info, files, remaining, kept.targets(), audit)


def scan_arrays(dataset: TensorDataset, data: str) -> TensorDataset:
    """Scan images in memory for copies and blank images."""
    listed = list_arrays(dataset)
    found, places = _scanned(listed, Memory(listed))
    complete = len(places) == len(listed)
    copies = duplicates(listed, found) if complete else None
    excluded = {places[i]: "blank" for i in found.records["blank"].nonzero()[0].tolist()}
    warnings = data_warnings(listed, data, {}, len(excluded), copies, scanned=len(places))
    everything = torch.arange(len(listed))
    info = replace(
        dataset.info,
        duplicates=_copy_numbers(copies, len(listed), everything, near=False),
        near_copies=_copy_numbers(copies, len(listed), everything, near=True),
        contents=_numbers(found, "content") if complete else None,
        excluded=excluded,
        warnings=(*dataset.info.warnings, *warnings),
    )
    return replace(dataset, info=info)


def _scanned(listed: Manifest, memory: Memory, keep: Keep | None = None) -> tuple[Scan, Sequence[int]]:
    """The scan of all files, or of a sample if there are many, and the positions of the scanned files."""
    if len(listed) <= SCANNED or memory.has_all(listed):
        if len(listed) > SAMPLED:
            logger.info("scanning %s files", f"{len(listed):,}")
        return scan(listed, memory=memory, keep=keep), range(len(listed))
    order = torch.randperm(len(listed), generator=torch.Generator().manual_seed(0))
    places = order[:SAMPLED].sort().values.tolist()
    return scan(listed, only=places, memory=memory, keep=keep), places


def _copy_numbers(
    copies: Copies | None, count: int, kept: torch.Tensor, *, near: bool
) -> torch.Tensor | None:
    """A number per kept sample, equal for copies; None if copies were not searched for."""
    return None if copies is None else torch.from_numpy(copies.numbers(count, near=near))[kept]


def _white(found: Scan) -> int | None:
    """The value that is white in images that all use less than the depth of their files.

    Among files of 8 and of 16 bits it is that of the deeper ones; the others keep their own.
    """
    records = found.records[found.decoded]
    for full in sorted({*records["full"].tolist()}, reverse=True):
        white = common_white(records["white"][records["full"] == full], full)
        if white is not None:
            return white
    return None


Lost = dict[int, tuple[str, str]]
"""The kind of problem and the reason, by position of the file."""


def _damaged(found: Scan, places: Sequence[int], *, allow_truncated: bool) -> Lost:
    lost: Lost = {}
    for i, reason in found.reasons.items():
        trouble = found.trouble(i)
        if trouble is not None and not (allow_truncated and trouble == "truncated" and found.decoded[i]):
            lost[places[i]] = trouble, reason
    return lost


def _other_channels(found: Scan, places: Sequence[int], channels: int) -> Lost:
    """Images whose channels cannot be converted to those of the network."""
    numbers = found.records["channels"]
    odd = [i for i in found.decoded.nonzero()[0].tolist() if not converts(int(numbers[i]), channels)]
    why = "has {} channels, which cannot be converted to {}"
    return {places[i]: ("with other channels", why.format(numbers[i], channels)) for i in odd}


def _require_classes(listed: Manifest, kept: Manifest, lost: Lost, *, alone: bool) -> None:
    """Check that every class has a readable image, and that there are two classes unless one is enough."""
    there = {label for sample in kept.samples for label in sample.labels}
    for name in listed.classes:
        if name not in there:
            place = next(i for i in lost if name in listed.samples[i].labels)
            raise DataError(
                f"{listed.store.root}: no image of class '{name}' can be read: "
                f"{listed.samples[place].entry.name}: {lost[place][1]}"
            )
    if len(listed.classes) < 2 and not alone and not listed.multi_label:
        raise DataError(
            f"{listed.store.root}: only one class, '{listed.classes[0]}'; a classifier needs two or more"
        )


def _expected_shape(listed: Manifest, memory: Memory, preprocess: Preprocess) -> ImageShape:
    """The shape of a few images, so that the scan of all of them can fill the cache."""
    few = range(0, len(listed), -(-len(listed) // FEW))
    return _shape(scan(listed, only=few, memory=memory), preprocess)


def _shape(found: Scan, preprocess: Preprocess) -> ImageShape:
    """The size in `preprocess`, else the common size of small images, else the default; with channels."""
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
    """The most frequent number of channels; 3 if there are color images among gray ones, or no images."""
    if not len(numbers):
        return 3
    values, counts = np.unique(numbers, return_counts=True)
    common = int(values[counts.argmax()])
    return 3 if common == 1 and 3 in values else common


def _numbers(found: Scan, name: str) -> torch.Tensor:
    """The checksums of all samples."""
    return torch.from_numpy(found.records[name].astype(np.int64))


def _shards(kept: Manifest) -> torch.Tensor | None:
    if not isinstance(kept.store, ShardStorage):
        return None
    return numbered([kept.store.shard_of(sample.entry.name) for sample in kept.samples])
