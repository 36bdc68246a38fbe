"""A folder, a zip archive, a table or annotations of images, opened: listed, scanned, and made a source."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from convnet.data.audit.duplicates import Pair, duplicates, together
from convnet.data.audit.findings import document, findings
from convnet.data.audit.records import TROUBLES, Memory
from convnet.data.audit.scan import Scan, scan
from convnet.data.files.coco import is_coco, list_coco
from convnet.data.files.folder import list_folder
from convnet.data.files.image_table import is_image_table, list_table, table_within
from convnet.data.files.images import FileImages
from convnet.data.files.listing import Listing, numbered
from convnet.data.files.shards import ShardStore, is_shards, list_shards
from convnet.data.files.source import FileSource
from convnet.data.files.store import FolderStore, is_archive, open_store
from convnet.data.images.decode import file_bytes
from convnet.data.preprocess import Preprocess
from convnet.errors import DataError
from convnet.types import ImageShape

DEFAULT_IMAGE_SIZE = 128
SCANNED = 20_000
"""Files that are all scanned before training; of more, only a sample, unless an audit has seen them all."""
SAMPLED = 512
IMBALANCE = 10

Say = Callable[[str], object]


def holds_files(name: str) -> bool:
    """Whether it may be images in files: a folder, an archive, shards, a table of paths, COCO annotations."""
    if is_shards(name):
        return True
    path = Path(name).expanduser()
    return path.is_dir() or is_archive(path) or is_coco(path) or is_image_table(path)


def list_files(name: str, *, label: str | None = None, several: bool = False) -> Listing:
    """The images of a folder, a zip archive, a table of paths or COCO annotations, with their labels.

    `label` is the column of the labels of a table; `several`: an image may have any number of labels.

    Raises:
        DataError: naming what is missing, damaged, or not as it should be.
    """
    with _without_collections():
        if is_shards(name):
            return list_shards(name, several=several)
        return _listed(Path(name).expanduser(), label, several)


def _listed(path: Path, label: str | None, several: bool) -> Listing:
    if is_coco(path):
        return list_coco(path, several=several)
    if not path.is_dir() and not is_archive(path):
        place = FolderStore(path.parent)
        return list_table(place, file_bytes(path), str(path), label=label, several=several)
    store = open_store(path)
    contents = store.contents()
    table = table_within(store, contents)
    if table is not None:
        content = store.read(table)
        return list_table(store, content, table, label=label, several=several, contents=contents)
    if label is not None:
        raise DataError(f"{path}: data.label is a column of a table; here folders say the classes")
    if several:
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
    several: bool = False,
    say: Say = lambda line: None,
) -> FileSource:
    """A source of the images that can be read; what cannot is listed in its `skipped`.

    `shape`, if given, is what a trained network takes: then a single class is enough.

    Raises:
        DataError: as `list_files`; no image of a class can be read.
    """
    listed = list_files(name, label=label, several=several)
    found, places = _scanned(listed, say)
    lost = _lost(found, places, allow_truncated=preprocess.allow_truncated)
    kept = listed.without(lost)
    _require_classes(listed, kept, lost, shape)
    whole = len(places) == len(listed)
    pairs = duplicates(listed, found) if whole else []
    shape = shape or _shape(found, preprocess)
    files = FileImages(kept, preprocess, shape)
    remaining = torch.tensor([i for i in range(len(listed)) if i not in lost])
    blank = {place for place, record in zip(places, found.records, strict=True) if record["blank"]}
    unfit = {new: "blank" for new, old in enumerate(remaining.tolist()) if old in blank}
    copies = torch.from_numpy(together(len(listed), pairs))[remaining] if whole else None
    notes = _notes(kept, found, lost, pairs if whole else None, unfit, name)
    return FileSource(
        name=listed.name,
        files=files,
        rows=torch.arange(len(kept)),
        targets=kept.targets(),
        classes=listed.classes,
        places=[sample.entry.name for sample in kept.samples],
        partition=kept.partition,
        groups=kept.group_numbers(),
        duplicates=copies,
        shards=_shards(kept),
        unfit=unfit,
        skipped=tuple(f"{listed.samples[place].entry.name}: {why}" for place, why in sorted(lost.items())),
        audit=document(listed, found, findings(listed, found, pairs)) if whole else None,
        notes=(*notes, files.note) if files.note else notes,
    )


def _scanned(listed: Listing, say: Say) -> tuple[Scan, Sequence[int]]:
    """The scan of all files, or of a sample of many, and the places it is of."""
    memory = Memory(listed)
    if len(listed) <= SCANNED or memory.has_all(listed):
        if len(listed) > SAMPLED:
            say(f"looking through {len(listed):,} files")
        return scan(listed, memory=memory), range(len(listed))
    order = torch.randperm(len(listed), generator=torch.Generator().manual_seed(0))
    places = order[:SAMPLED].sort().values.tolist()
    return scan(listed, only=places, memory=memory), places


def _lost(found: Scan, places: Sequence[int], *, allow_truncated: bool) -> dict[int, str]:
    """The files that are not to be had, and why."""
    lost = {}
    for i, reason in found.reasons.items():
        if not (allow_truncated and found.trouble(i) == "truncated" and found.decoded[i]):
            lost[places[i]] = reason
    return lost


def _require_classes(listed: Listing, kept: Listing, lost: dict[int, str], shape: ImageShape | None) -> None:
    if not len(kept):
        place, reason = next(iter(lost.items()))
        raise DataError(
            f"{listed.store.root}: no image can be read: {listed.samples[place].entry.name}: {reason}"
        )
    there = {label for sample in kept.samples for label in sample.labels}
    for name in listed.classes:
        if name not in there:
            place = next(i for i in lost if name in listed.samples[i].labels)
            raise DataError(
                f"{listed.store.root}: no picture of class '{name}' can be read: "
                f"{listed.samples[place].entry.name}: {lost[place]}"
            )
    if len(listed.classes) < 2 and shape is None and not listed.several:
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
    return ImageShape(preprocess.channels or int(records["channels"].max()), height, width)


def _shards(kept: Listing) -> torch.Tensor | None:
    if not isinstance(kept.store, ShardStore):
        return None
    return numbered([sample.entry.name.partition("/")[0] for sample in kept.samples])


def _notes(
    kept: Listing,
    found: Scan,
    lost: dict[int, str],
    pairs: list[Pair] | None,
    unfit: dict[int, str],
    data: str,
) -> tuple[str, ...]:
    """What matters of the data, in at most five lines."""
    counts = [count for count in kept.counts().values() if count]
    low, high = min(counts), max(counts)
    lines = [f"{len(kept):,} images, {len(counts)} classes of {low:,}…{high:,}"]
    if high > IMBALANCE * low:
        lines[0] += f"; unbalanced, {high / low:.0f} : 1 (--balance weights, sampler or focal)"
    if kept.empty:
        lines[0] += f"; no images in {', '.join(kept.empty[:3])}{' …' if len(kept.empty) > 3 else ''}"
    if lost or unfit:
        kinds = Counter(TROUBLES[number - 1] for number in found.records["trouble"] if number)
        words = [f"{count:,} {kind.replace('_', ' ')}" for kind, count in kinds.items()]
        text = f"left out: {', '.join(words)}" if lost else ""
        blank = f"not trained on: {len(unfit):,} blank" if unfit else ""
        lines.append("; ".join(part for part in (text, blank) if part))
    if pairs:
        exact = sum(pair.exact for pair in pairs)
        lines.append(f"copies: {exact:,} exact, {len(pairs) - exact:,} near; never on both sides of a split")
    if pairs is None:
        lines.append(f"of so many files only {len(found.records)} were looked at; nobody looked for copies")
    if kept.ignored:
        lines.append(f"ignored: {len(kept.ignored):,} other files and folders")
    if len(lines) > 1:
        lines.append(f"all of it, with labels that look wrong: convnet data audit {data}")
    return tuple(lines)
