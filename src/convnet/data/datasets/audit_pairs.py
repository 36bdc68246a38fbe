"""Audit folders of images with masks, or with partner images."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from convnet.data.audit.audit import Audit, audit
from convnet.data.audit.findings import Finding
from convnet.data.audit.scan import Scan
from convnet.data.datasets.image_pairs import INPUT_FOLDERS, TARGET_FOLDERS, Read, name_of, reader_of
from convnet.data.datasets.mask_file import read_mask
from convnet.data.datasets.mask_folder import IMAGE_FOLDERS, MASK_FOLDERS, MaskCodes
from convnet.data.datasets.mask_values import class_indices, class_values, color_table
from convnet.data.datasets.pairing import File, Pairing, pair_up
from convnet.data.files.manifest import Manifest, Sample, make_manifest
from convnet.data.files.storage import Contents, open_storage
from convnet.data.images.decode import decode_named
from convnet.errors import DataError
from convnet.types import Progress, unseen

NEAR_EMPTY = 0.001
"""The fraction of a mask's pixels below which classes other than the most frequent one count as missing."""
TILE = re.compile(r"(.+?)[_-][a-z]?(\d+)[_-][a-z]?(\d+)$", re.IGNORECASE)
"""The name of a tile: that of its picture, and its row and column."""

T = TypeVar("T")
Shapes = dict[Path, tuple[int, ...]]
"""Height and width of each partner that can be read."""


def audit_masks(root: Path, contents: Contents, reading: MaskCodes, progress: Progress = unseen) -> Audit:
    """Audit a folder of images and masks.

    Args:
        root: The folder.
        contents: Its listing.
        reading: How the values of masks become classes.
        progress: Shows the progress of decoding.

    Raises:
        DataError: No image has a mask.
    """
    pairing = pair_up(root, contents, IMAGE_FOLDERS, MASK_FOLDERS)
    return _audit(
        root, contents, pairing, lambda partners: _masks(partners, reading, reader_of(root)), progress
    )


def audit_pairs(root: Path, contents: Contents, progress: Progress = unseen) -> Audit:
    """Audit a folder of pairs of images; see `audit_masks`."""
    pairing = pair_up(root, contents, INPUT_FOLDERS, TARGET_FOLDERS)
    return _audit(root, contents, pairing, lambda partners: _targets(partners, reader_of(root)), progress)


def _audit(
    root: Path,
    contents: Contents,
    pairing: Pairing,
    check: Callable[[Sequence[Path]], tuple[Shapes, list[Finding]]],
    progress: Progress,
) -> Audit:
    manifest = _images(root, contents, pairing.files)

    def partners(scan: Scan) -> Iterator[Finding]:
        shapes, found = check([file.partner for file in pairing.files if file.partner])
        lonely = [Finding("unpaired", str(path), reason) for path, reason in pairing.lonely.items()]
        for finding in (*lonely, *found, *_sizes(root, pairing.files, manifest, scan, shapes)):
            inside = Path(finding.path).relative_to(root).as_posix()
            yield Finding(finding.kind, inside, finding.detail.removeprefix(f"{finding.path}: "))
        yield from _leaks(pairing.files)

    return audit(manifest, check_labels=False, partners=partners, progress=progress)


def _images(root: Path, contents: Contents, files: Sequence[File]) -> Manifest:
    """The images without their partners; they have no labels."""
    entries = {entry.name: entry for entry in contents.entries}
    samples = [Sample(entries[file.path.relative_to(root).as_posix()], (), file.split) for file in files]
    if not samples:
        raise DataError(f"{root}: no image has a partner of the same name")
    return make_manifest(name_of(root), open_storage(root), samples, multi_label=True)


def _read_all(read: Callable[[Path], T], paths: Sequence[Path]) -> tuple[list[T], list[Finding]]:
    """Read partners; those that cannot be read are findings."""

    def tried(path: Path) -> T | DataError:
        try:
            return read(path)
        except DataError as error:
            return error

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(tried, paths))
    found = [
        Finding("unreadable_partner", str(path), str(result))
        for path, result in zip(paths, results, strict=True)
        if isinstance(result, DataError)
    ]
    return [result for result in results if not isinstance(result, DataError)], found


def _masks(paths: Sequence[Path], reading: MaskCodes, read: Read) -> tuple[Shapes, list[Finding]]:
    """The sizes of masks, and findings about their values."""
    raws, found = _read_all(
        lambda path: reading.prepared(read_mask(path, read(path), by_color=reading.by_color)), paths
    )
    shapes: Shapes = {raw.path: raw.values.shape for raw in raws}
    if not raws:
        return shapes, found
    try:
        codes = color_table(reading.colors) if reading.colors else class_values(raws, reading.ignore_index)
    except DataError as error:
        return shapes, [*found, Finding("unknown_value", str(paths[0].parent), str(error))]
    counts: dict[Path, NDArray[np.int64]] = {}
    for raw in raws:
        try:
            indices = class_indices(raw, codes, reading.ignore_index, nearest=reading.nearest)
        except DataError as error:
            found.append(Finding("unknown_value", str(raw.path), str(error)))
        else:
            counts[raw.path] = np.bincount(indices[indices >= 0], minlength=len(codes))
    return shapes, [*found, *_near_empty(counts, list(codes))]


def _near_empty(counts: Mapping[Path, NDArray[np.int64]], classes: Sequence[str]) -> Iterator[Finding]:
    """Masks that hold nearly nothing but the class that is most frequent in all of them."""
    if not counts:
        return
    usual = int(np.sum(list(counts.values()), axis=0).argmax())
    for path, count in counts.items():
        total, others = int(count.sum()), int(count.sum() - count[usual])
        if not total or others < NEAR_EMPTY * total:
            detail = f"{others:,} of {total:,} pixels have another class than '{classes[usual]}'"
            yield Finding("near_empty_mask", str(path), detail)


def _targets(paths: Sequence[Path], read: Read) -> tuple[Shapes, list[Finding]]:
    """The sizes of target images, and findings about those that cannot be read."""
    shapes, found = _read_all(
        lambda path: (path, decode_named(str(path), read(path)).pixels.shape[:2]), paths
    )
    return dict(shapes), found


def _sizes(
    root: Path, files: Sequence[File], manifest: Manifest, scan: Scan, shapes: Shapes
) -> Iterator[Finding]:
    """Partners whose size differs from that of their image."""
    sizes = {
        root / sample.entry.name: (int(record["height"]), int(record["width"]))
        for sample, record in zip(manifest.samples, scan.records, strict=True)
    }
    for file in files:
        if file.partner in shapes and (height := sizes[file.path][0]):
            rows, columns = shapes[file.partner]
            if (rows, columns) != sizes[file.path]:
                detail = f"{columns}×{rows} pixels; its image is {sizes[file.path][1]}×{height}"
                yield Finding("size_mismatch", str(file.partner), detail)


def _leaks(files: Sequence[File]) -> Iterator[Finding]:
    """Pictures whose tiles are in several splits, or would be, as no split is given."""
    tiles: dict[str, dict[tuple[int, int], set[str]]] = defaultdict(lambda: defaultdict(set))
    for file in files:
        if match := TILE.match(file.path.stem):
            place = int(match[2]), int(match[3])
            tiles[match[1]][place].add(file.split or "")
    for picture, places in tiles.items():
        rows, columns = ({place[axis] for place in places} for axis in (0, 1))
        if len(places) < 4 or len(places) != len(rows) * len(columns):
            continue  # two numbers that are no grid, such as dates
        splits = sorted(set().union(*places.values()))
        if splits == [""]:
            detail = (
                f"{len(places)} tiles of one picture, and no split is given: a random split divides them. "
                "Put whole pictures into train/, val/ and test/"
            )
            yield Finding("split_leak", picture, detail)
        elif len(splits) > 1:
            yield Finding("split_leak", picture, f"{len(places)} tiles of one picture in {', '.join(splits)}")
