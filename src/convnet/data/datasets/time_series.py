"""Series of numbers with one class each, or one class per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from convnet.data.datasets.npz import holds_images
from convnet.data.datasets.tensor_dataset import TensorDataset, from_tensors
from convnet.data.files.csv import sorted_labels
from convnet.data.files.recordings import holds_recordings
from convnet.data.files.series import READERS, Series
from convnet.data.files.storage import Contents, open_storage
from convnet.data.images.preprocess import MEMORY_LIMIT_BYTES
from convnet.errors import DataError
from convnet.targets import CLASS_INDEX, MASK
from convnet.types import IGNORED, SplitName

SERIES_SUFFIXES = frozenset(READERS)
PREFERRED = (".arff", ".npz", ".txt", ".tsv", ".csv")
PARTS: dict[str, SplitName] = {"train": "train", "val": "val", "test": "test"}


@dataclass(frozen=True)
class Part:
    """A file of series and the split given by its name."""

    path: Path
    split: SplitName | None


def is_series_file(path: Path) -> bool:
    """Whether a file holds series: .arff, .txt, or .npz without images."""
    return path.suffix.lower() in SERIES_SUFFIXES - {".csv", ".tsv"} and not holds_images(path)


def is_series_folder(contents: Contents) -> bool:
    """Whether a folder holds series: NAME_TRAIN files without subfolders, or subfolders of .wav files."""
    parts = not contents.folders and any(_split_of(PurePosixPath(e.name)) for e in contents.entries)
    return parts or holds_recordings(contents)


def open_series(
    path: Path,
    label: str | None = None,
    *,
    contents: Contents | None = None,
    labeled: bool = True,
) -> TensorDataset:
    """Open series of one or many channels and any lengths.

    Args:
        path: ARFF or UCR text (one row per series), CSV (one row per series, or with a column `series` one
            row per step), .npz (arrays x, N×L or N×C×L, and y), or a folder of NAME_TRAIN and NAME_TEST
            files.
        label: The class column.
        contents: The listing of a folder.
        labeled: Whether classes are required.

    Returns:
        The dataset, N×C×1×L; shorter series end in NaN.

    Raises:
        DataError: Something is missing, not a number or of another shape; the message names file and place.
    """
    given_split: list[SplitName] | None = None
    if path.is_dir():
        series, given_split = _folder(path, contents or open_storage(path).contents(), label)
    else:
        series = _read(path, label, labeled)
    if not series:
        raise DataError(f"{path}: holds no series")
    return series_dataset(path, series, given_split)


def _folder(root: Path, contents: Contents, label: str | None) -> tuple[list[Series], list[SplitName] | None]:
    """The series of NAME_TRAIN files; none if there are no such files."""
    series: list[Series] = []
    given_split: list[SplitName] = []
    for part in _parts(root, contents):
        found = _read(part.path, label, labeled=True)
        series += found
        given_split += [part.split or "train"] * len(found)
    return series, given_split if set(given_split) != {"train"} else None


def _split_of(name: PurePosixPath) -> SplitName | None:
    """The split of a file NAME_TRAIN, NAME_VAL or NAME_TEST; None for other files."""
    _, underscore, word = name.stem.rpartition("_")
    readable = underscore and name.suffix.lower() in READERS and len(name.parts) == 1
    return PARTS.get(word.lower()) if readable else None


def _parts(root: Path, contents: Contents) -> list[Part]:
    """The files whose names end in _TRAIN, _VAL or _TEST, training first."""
    found = [
        Part(root / entry.name, split)
        for entry in contents.entries
        if (split := _split_of(PurePosixPath(entry.name)))
    ]
    names = sorted({part.path.stem.rpartition("_")[0] for part in found})
    if len(names) > 1:
        raise DataError(f"{root}: holds several data sets ({', '.join(names[:4])}); use one folder for each")
    formats = [part.path.suffix.lower() for part in found]
    chosen = next((suffix for suffix in PREFERRED if suffix in formats), None)  # of several formats, one
    return sorted(
        (part for part in found if part.path.suffix.lower() == chosen),
        key=lambda part: list(PARTS).index(part.split or "train"),
    )


def _read(path: Path, label: str | None, labeled: bool) -> list[Series]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: series are read from {', '.join(sorted(READERS))} files")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    return reader(path, label, labeled)


def series_dataset(
    path: Path, series: Sequence[Series], given_split: Sequence[SplitName] | None = None
) -> TensorDataset:
    """The dataset of series that were read from `path`; shorter ones end in NaN."""
    channels = {len(s.values) for s in series}
    if len(channels) > 1:
        odd = next(s for s in series if len(s.values) != len(series[0].values))
        raise DataError(
            f"{odd.location}: has {len(odd.values)} channels, "
            f"but the first series has {len(series[0].values)}"
        )
    longest = max(s.values.shape[1] for s in series)
    needed = 4 * len(series) * channels.pop() * longest
    if needed > MEMORY_LIMIT_BYTES:
        raise DataError(
            f"{path}: {needed / 2**30:.1f} GiB of numbers; the limit is {MEMORY_LIMIT_BYTES >> 30} GiB"
        )
    values = np.full((len(series), len(series[0].values), 1, longest), np.nan, np.float32)
    for row, one in zip(values, series, strict=True):
        require_numbers(one)
        row[:, 0, : one.values.shape[1]] = one.values
    per_step = not isinstance(series[0].label, str)
    classes = sorted_labels([text for s in series for text in (s.label if per_step else [str(s.label)])])
    if "" in classes:
        missing = next(s for s in series if "" in ([s.label] if isinstance(s.label, str) else s.label))
        raise DataError(f"{missing.location}: has no class")
    number = {name: place for place, name in enumerate(classes)}
    if per_step:
        steps = np.full((len(series), 1, longest), IGNORED, np.int16)
        for row, one in zip(steps, series, strict=True):
            row[0, : len(one.label)] = [number[text] for text in one.label]
        targets = torch.from_numpy(steps)
    else:
        targets = torch.tensor([number[str(s.label)] for s in series], dtype=torch.int64)
    return from_tensors(
        path.stem if path.is_file() else path.resolve().name,
        torch.from_numpy(values),
        targets,
        classes,
        [s.location for s in series],
        given_split,
        modality="series",
        target=MASK if per_step else CLASS_INDEX,
    )


def require_numbers(one: Series) -> None:
    """Refuse NaN and infinities within a series."""
    strange: NDArray[np.bool_] = ~np.isfinite(one.values)
    if strange.any():
        channel, step = (int(i[0]) for i in np.nonzero(strange))
        what = "NaN" if np.isnan(one.values[channel, step]) else "infinite"
        where = f"step {step + 1}" + (f", channel {channel + 1}" if len(one.values) > 1 else "")
        raise DataError(
            f"{one.location}: {where} is {what}; fill the gap or remove the series "
            "(only the end of a series may be left empty)"
        )
    if not one.values.shape[1]:
        raise DataError(f"{one.location}: is empty")
