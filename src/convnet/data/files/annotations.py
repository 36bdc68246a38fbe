"""Find the tables that hold the labels of images: a file of its own, or tables among the images."""

from __future__ import annotations

import csv
from itertools import islice, pairwise
from pathlib import Path

from convnet.data.files.csv import DELIMITERS
from convnet.data.files.image_csv import LOOKED_AT, list_table
from convnet.data.files.manifest import SPLIT_FOLDERS, Manifest, make_manifest
from convnet.data.files.storage import Contents, FileStorage
from convnet.data.images.formats import has_image_name
from convnet.errors import DataError
from convnet.types import SplitName

TABLE_FILES = (".csv", ".tsv", ".parquet")
TABLE_NAMES = frozenset({"metadata", "labels", "annotations"})
"""The names of label tables in a folder of images."""


def is_image_table(path: Path) -> bool:
    """Whether the first rows of a table name image files."""
    if path.suffix.lower() not in TABLE_FILES or not path.is_file():
        return False
    if path.suffix.lower() == ".parquet":
        return True  # tables of numbers are read from CSV only
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _names_images(list(islice(file, LOOKED_AT + 1)))
    except (OSError, UnicodeDecodeError):
        return False


def tables_within(store: FileStorage, contents: Contents) -> list[str]:
    """The label tables in a folder or an archive of images; empty if there are none.

    They name images, and are at the top or in each folder of a split. In a folder they are called metadata,
    labels or annotations.
    """
    names = [entry.name for entry in contents.entries if entry.name.lower().endswith(TABLE_FILES)]
    if store.root.is_dir():
        names = [name for name in names if Path(name).stem.lower() in TABLE_NAMES]
    top = [name for name in names if "/" not in name]
    split = [name for name in names if name.count("/") == 1 and _split(name)]
    wrapped = [name for name in names if name.count("/") == 1] if len(names) == 1 else []
    fitting = [[name for name in some if _is_table_of_images(store, name)] for some in (top, split, wrapped)]
    return next((some for some in fitting if some), [])


def list_tables(
    store: FileStorage, contents: Contents, names: list[str], *, label: str | None, multi_label: bool
) -> Manifest:
    """List the images of several tables; the folder of a table gives the split of its images.

    Raises:
        DataError: As for `list_table`, or two tables are in one folder, or a class is not in the training
            split.
    """
    for one, other in pairwise(names):
        if one.rpartition("/")[0] == other.rpartition("/")[0]:
            raise DataError(f"{store.root}: {one} and {other} both name images; remove one, or train on one")
    parts = [
        list_table(store, store.read(name), name, label=label, multi_label=multi_label, contents=contents)
        for name in names
    ]
    if len(parts) == 1:
        return parts[0]
    samples = [
        sample._replace(split=sample.split or _split(name))
        for name, part in zip(names, parts, strict=True)
        for sample in part.samples
    ]
    known = {sample.entry.name for sample in samples}
    ignored = {i.name: i for part in parts for i in part.ignored if i.name not in known}
    root = store.root.resolve().stem
    return make_manifest(root, store, samples, ignored=list(ignored.values()), multi_label=multi_label)


def _split(name: str) -> SplitName | None:
    return SPLIT_FOLDERS.get(name.partition("/")[0].lower())


def _is_table_of_images(store: FileStorage, name: str) -> bool:
    if name.lower().endswith(".parquet"):
        return True
    lines = store.read(name).decode("utf-8-sig", "replace").splitlines()
    return _names_images(lines[: LOOKED_AT + 1])


def _names_images(lines: list[str]) -> bool:
    if not lines:
        return False
    try:
        rows = csv.reader(lines, delimiter=max(DELIMITERS, key=lines[0].count))
        return any(has_image_name(cell.strip()) for row in rows for cell in row)
    except csv.Error:
        return False
