"""A split as `split.csv` of a run: written, read, and compared with the data."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import torch

from convnet.data.datasets.dataset import Dataset, class_names, location
from convnet.data.files.manifest import UNUSED
from convnet.data.splits.split import NAMES, Split
from convnet.errors import DataError

FILE = Path("split.csv")


def write_split(split: Split, dataset: Dataset) -> str:
    """CSV text with one row per sample: index, split (or "unused"), class, location."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180; names with line breaks are then quoted
    writer.writerow(["index", "split", "class", "sample"])
    names = {i: name for name in NAMES for i in split[name].tolist()}
    classes = class_names(dataset)
    for index in range(len(dataset)):
        writer.writerow([index, names.get(index, UNUSED), classes[index], location(dataset, index)])
    return text.getvalue()


def read_split(text: str, dataset: Dataset, file: Path = FILE) -> Split:
    """Read a split written by `write_split`.

    Args:
        text: The split.
        dataset: The data.
        file: Where the text comes from, for messages.

    Raises:
        DataError: The text is damaged, or the samples of the dataset have changed since.
    """
    rows = split_rows(text, file)
    there = [(i, label, location(dataset, i)) for i, label in enumerate(class_names(dataset))]
    then = [(row.position, row.label, row.sample) for row in rows]
    if then != there:
        raise DataError(
            f"{dataset.info.name} differs from the data in {file}: {_difference(then, there)}; "
            "restore the data, or start a new run"
        )
    train, val, test = (
        torch.tensor([row.position for row in rows if row.split == name], dtype=torch.int64) for name in NAMES
    )
    return Split(train, val, test)


class SplitRow(NamedTuple):
    """A row of split.csv."""

    position: int
    split: str
    label: str
    sample: str


def split_rows(text: str, file: Path = FILE) -> list[SplitRow]:
    """The rows of a split written by `write_split`; see `read_split`.

    Raises:
        DataError: The text is damaged, or no sample is in the training split.
    """
    try:
        rows = [
            SplitRow(int(row["index"]), row["split"], row["class"], row["sample"])
            for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)
        ]
    except KeyError as error:
        raise DataError(
            f"{file}: damaged: it has no column {error}; restore it, or start a new run"
        ) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{file}: damaged: {error}; restore it, or start a new run") from error
    damage = None
    if not rows:
        damage = "it has no rows"
    elif strange := next((row for row in rows if row.split not in (*NAMES, UNUSED)), None):
        damage = f"row {strange.position} is in '{strange.split}'"
    elif [row.position for row in rows] != list(range(len(rows))):
        damage = "its rows are not numbered from 0"
    elif not any(row.split == "train" for row in rows):
        damage = "no row is in the training split"
    if damage:
        raise DataError(f"{file}: damaged: {damage}; restore it, or start a new run")
    return rows


def _difference(then: list[tuple[int, str, str]], there: list[tuple[int, str, str]]) -> str:
    """A description of the first sample that was removed, added, or has another class."""
    before, now = ({place: label for _, label, place in rows} for rows in (then, there))
    gone, new = ([p for p in one if p not in other] for one, other in ((before, now), (now, before)))
    if gone:
        return f"{gone[0]} ({before[gone[0]]}) is no longer there"
    if new:
        return f"{new[0]} is new" + (f", and {len(new) - 1} others" if len(new) > 1 else "")
    changed = next((place for place in before if before[place] != now[place]), None)
    return f"{changed} is now '{now[changed]}'" if changed else "its samples have another order"
