"""The columns of a table of images: which ones hold files, labels, splits and groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from convnet.data.files.csv import LABEL_NAMES, Cells
from convnet.data.files.file_index import FileIndex
from convnet.data.files.manifest import SPLIT_FOLDERS, UNUSED
from convnet.data.images.formats import has_image_name
from convnet.errors import DataError
from convnet.registry import nearest
from convnet.types import SplitName

LABEL_COLUMNS = (*LABEL_NAMES, "labels", "category", "categories", "tags")
"""The names of label columns; the first that a table has applies."""
SPLIT_COLUMNS = ("subset", "set", "partition", "usage", "phase", "dataset", "fold")
"""Columns that hold splits if all their values are names of splits."""
FLAG_COLUMNS: dict[str, SplitName] = {
    "is_valid": "val",
    "is_val": "val",
    "is_validation": "val",
    "is_test": "test",
}
"""Columns that say of each sample whether it is in a split."""
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
LOOKED_AT = 20

Splits = list[SplitName | Literal["unused"] | None]


@dataclass(frozen=True)
class Columns:
    """The columns of a table of images.

    Attributes:
        files: The column of paths or ids.
        label: The column of labels; None if every label has a column of its own.
        labels: The columns of labels, if every label has one.
        splits: The split of each row.
        groups: The group of each row; empty if it has none.
        remarks: Lines about the columns, shown before training.
    """

    files: str
    label: str | None
    labels: tuple[str, ...]
    splits: Splits
    groups: list[str]
    remarks: tuple[str, ...]


def choose_columns(cells: Cells, index: FileIndex, label: str | None, *, multi_label: bool) -> Columns:
    """Find the columns of a table.

    Args:
        cells: The table.
        index: The files that ids may name.
        label: The label column. Default: the first of `LABEL_COLUMNS`, else the only other column.
        multi_label: Whether every label may have a column of its own.

    Raises:
        DataError: No column names files, the label column is not known, or a split is not one.
    """
    files = files_column(cells, index)
    others = [column for column in cells.columns if column != files]
    if label is not None and label not in cells.columns:
        raise DataError(
            f"{cells.path}: has no column '{label}'{nearest(label, cells.columns)}; choose one with --label "
            f"(columns: {', '.join(others[:20])})"
        )
    splits, used, unused = find_splits(cells, [column for column in others if column != label])
    others = [c for c in others if c.lower() != "group" and c not in used and c not in unused]
    by_name = {column.lower(): column for column in reversed(others)}
    chosen = label or next((by_name[name] for name in LABEL_COLUMNS if name in by_name), None)
    if chosen is None and len(others) == 1:
        chosen = others[0]
    if chosen is None and not multi_label:
        raise DataError(
            f"{cells.path}: the label column is not known; set it with --label NAME or --set "
            f"data.label=NAME (columns: {', '.join(others[:20]) or 'only the paths'}), or use --task "
            "multi-label if each label has a column of 0 and 1"
        )
    parts = [f"{files} (files)"]
    parts += [f"{chosen} (labels)"] if chosen else []
    parts += [f"{column} (split)" for column in used]
    remarks = [f"columns: {', '.join(parts)}"]
    remarks += [not_a_split(column) for column in unused]
    rest = [column for column in others if column != chosen] if chosen else []
    remarks += [f"columns not used: {', '.join(rest[:8])}{' …' if len(rest) > 8 else ''}"] if rest else []
    labels = () if chosen else tuple(others)
    return Columns(files, chosen, labels, splits, column_texts(cells, "group"), tuple(remarks))


def used_rows(cells: Cells, splits: Splits) -> tuple[Cells, list[SplitName | None]]:
    """The rows whose split is not "unused", and their splits."""
    kept = [(i, split) for i, split in enumerate(splits) if split != UNUSED]
    rows, lines = [cells.rows[i] for i, _ in kept], [cells.lines[i] for i, _ in kept]
    return replace(cells, rows=rows, lines=lines), [split for _, split in kept]


def not_a_split(column: str) -> str:
    """The line about a column that looks like a split but is not used as one."""
    return f"column '{column}' is not used; splits are read from a column 'split' with train, val and test"


def column_texts(cells: Cells, name: str) -> list[str]:
    """The cells of a column by its name in lower case; empty texts if there is none."""
    place = next((i for i, column in enumerate(cells.columns) if column.lower() == name), None)
    return [""] * len(cells.rows) if place is None else [row[place] for row in cells.rows]


def ids_column(cells: Cells, index: FileIndex) -> str | None:
    """The column whose values are the names of files without folder or suffix; None if there is none."""
    for place, column in enumerate(cells.columns):
        texts = [row[place] for row in cells.rows[:LOOKED_AT]]
        if len({*texts}) == len(texts) and all(_is_id(text, index) for text in texts):
            return column
    return None


def _is_id(text: str, index: FileIndex) -> bool:
    try:
        return index.find(text) is not None
    except DataError:  # several files: reading the table reports it
        return True


def files_column(cells: Cells, index: FileIndex) -> str:
    """The column that names files, by paths or ids.

    Raises:
        DataError: There is none.
    """
    looked_at = cells.rows[:LOOKED_AT]
    named = [i for i in range(len(cells.columns)) if any(has_image_name(row[i]) for row in looked_at)]
    addresses = [i for i in named if any("://" in row[i] for row in looked_at)]
    if local := [i for i in named if i not in addresses]:
        return cells.columns[local[0]]
    found = ids_column(cells, index)
    if found is None and addresses:
        raise DataError(
            f"{cells.path}: column '{cells.columns[addresses[0]]}' holds URLs; download the images and add a "
            "column with the names of their files"
        )
    if found is None:
        raise DataError(
            f"{cells.path}: no column names image files (columns: {', '.join(cells.columns[:20])})"
            + ("; save a table of numbers as .csv" if cells.path.suffix.lower() == ".parquet" else "")
        )
    return found


def find_splits(cells: Cells, columns: Sequence[str]) -> tuple[Splits, list[str], list[str]]:
    """Find the columns that name splits.

    Args:
        cells: The table.
        columns: The columns to search.

    Returns:
        The split of each row, the columns that hold it, and columns that look like splits but are not.
    """
    by_name = {column.lower(): column for column in columns}
    splits: Splits = [None] * len(cells.rows)
    used: list[str] = []
    unused: list[str] = []
    if "split" in by_name:
        splits, used = _named_splits(cells), [by_name["split"]]
    for name in (name for name in SPLIT_COLUMNS if name in by_name):
        texts = [text.lower() for text in column_texts(cells, name)]
        if used or not ({*texts} <= {*SPLIT_FOLDERS, UNUSED} and len({*texts}) > 1):
            unused.append(by_name[name])
            continue
        splits = [UNUSED if text == UNUSED else SPLIT_FOLDERS[text] for text in texts]
        used = [by_name[name]]
    if used:
        return splits, used, [*unused, *(by_name[name] for name in FLAG_COLUMNS if name in by_name)]
    for name, split in FLAG_COLUMNS.items():
        if name not in by_name:
            continue
        flags = [FLAGS.get(text.lower()) for text in column_texts(cells, name)]
        if None in flags:
            unused.append(by_name[name])
            continue
        used.append(by_name[name])
        splits = [split if flag else before for flag, before in zip(flags, splits, strict=True)]
    if used:
        splits = [split or "train" for split in splits]
    return splits, used, unused


def _named_splits(cells: Cells) -> Splits:
    splits: Splits = []
    for text, line in zip(column_texts(cells, "split"), cells.lines, strict=True):
        if text.lower() == UNUSED:
            splits.append(UNUSED)
            continue
        if text and text.lower() not in SPLIT_FOLDERS:
            raise DataError(
                f"{cells.path}: line {line}, column 'split': '{text}' is not a split; use train, val or test"
            )
        splits.append(SPLIT_FOLDERS.get(text.lower()))
    return splits
