"""Find the tables that hold the labels of images: a file of its own, or tables among the images."""

from __future__ import annotations

import codecs
import csv
from itertools import pairwise
from pathlib import Path

from convnet.data.files.columns import LOOKED_AT, ids_column
from convnet.data.files.csv import DELIMITERS, parse_cells
from convnet.data.files.file_index import FileIndex, images_near
from convnet.data.files.image_csv import list_table, table_index
from convnet.data.files.manifest import SPLIT_FOLDERS, Manifest, make_manifest
from convnet.data.files.storage import Contents, FileStorage
from convnet.data.images.formats import has_image_name
from convnet.errors import DataError
from convnet.types import SplitName

TABLE_FILES = (".csv", ".tsv", ".parquet")
TABLE_NAMES = frozenset({"metadata", "labels", "annotations"})
"""The names of label tables in a folder of images."""
HEAD = 2**16
"""The bytes of a table by which it is recognized."""


def is_image_table(path: Path) -> bool:
    """Whether the first rows of a table name image files, or files near it by ids."""
    if path.suffix.lower() not in TABLE_FILES or not path.is_file():
        return False
    if path.suffix.lower() == ".parquet":
        return True  # tables of numbers are read from CSV only
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return _names_images(path, head, FileIndex(lambda: images_near(path.absolute().parent)))


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
    fitting = [
        [name for name in some if _is_table_of_images(store, contents, name)]
        for some in (top, split, wrapped)
    ]
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
    return make_manifest(
        root,
        store,
        samples,
        ignored=list(ignored.values()),
        multi_label=multi_label,
        remarks=parts[0].remarks,
    )


def _split(name: str) -> SplitName | None:
    return SPLIT_FOLDERS.get(name.partition("/")[0].lower())


def _is_table_of_images(store: FileStorage, contents: Contents, name: str) -> bool:
    if name.lower().endswith(".parquet"):
        return True
    return _names_images(Path(name), store.read(name)[:HEAD], table_index(store, name, contents))


def _names_images(path: Path, head: bytes, index: FileIndex) -> bool:
    """Whether the first rows of a table name images, by names or by ids."""
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    lines = head.decode("utf-16" if wide else "utf-8-sig", "replace").splitlines()[: LOOKED_AT + 1]
    if not lines:
        return False
    try:
        rows = csv.reader(lines, delimiter=max(DELIMITERS, key=lines[0].count))
        if any(has_image_name(cell.strip()) for row in rows for cell in row):
            return True
        return ids_column(parse_cells(path, "\n".join(lines)), index) is not None
    except (csv.Error, DataError):
        return False
