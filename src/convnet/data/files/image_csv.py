"""Tables of image files: CSV, TSV or Parquet with a column of paths and one or more of labels."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from convnet.data.files.csv import DELIMITERS, LABEL_NAMES, Cells, parse_cells
from convnet.data.files.manifest import SPLIT_FOLDERS, Manifest, Sample, make_manifest
from convnet.data.files.storage import MISSING, Contents, FileEntry, FileStorage, Ignored
from convnet.data.images.formats import has_image_name
from convnet.errors import DataError, in_one_line
from convnet.registry import nearest
from convnet.types import SplitName

LABEL_COLUMNS = (*LABEL_NAMES, "labels", "category", "categories", "tags")
SEPARATORS = "|;,"
"""Separators between several labels of one image."""
LOOKED_AT = 20
UNUSED: Literal["unused"] = "unused"
"""The split of samples that are not used."""


def list_table(
    store: FileStorage,
    content: bytes,
    name: str,
    *,
    label: str | None,
    multi_label: bool,
    contents: Contents | None = None,
) -> Manifest:
    """List the images named in a table, by paths relative to the table.

    Args:
        store: The storage of the images.
        content: The bytes of the table.
        name: Its name within the storage, or its path.
        label: The label column.
        multi_label: Whether an image may have several labels.
        contents: The listing of the storage; images in it that the table does not name are ignored.

    Returns:
        The images; see `manifest_of_cells`.

    Raises:
        DataError: Something is missing or wrong; the message names file, line and column.
    """
    where = store.root / name if contents is not None else Path(name)
    prefix = name.rpartition("/")[0] + "/" if contents is not None and "/" in name else ""
    known = {entry.name: entry for entry in contents.entries} if contents else {}
    made = manifest_of_cells(
        store, _cells(where, content), label, multi_label=multi_label, prefix=prefix, known=known
    )
    named = {sample.entry.name for sample in made.samples} | {ignored.name for ignored in made.ignored}
    others = [
        Ignored(entry.name, f"not in {name}")
        for entry in (contents.entries if contents else ())
        if entry.name not in named and entry.name != name and has_image_name(entry.name)
    ]
    ignored = (*(contents.ignored if contents else ()), *others, *made.ignored)
    return replace(made, name=Path(name).stem, ignored=ignored)


def manifest_of_cells(
    store: FileStorage,
    cells: Cells,
    label: str | None = None,
    *,
    multi_label: bool = False,
    prefix: str = "",
    known: Mapping[str, FileEntry] = MappingProxyType({}),
) -> Manifest:
    """List the images named in the rows of a table.

    Paths are in the first column that holds image names. The columns `split` (train, val, test) and `group`
    (samples that stay together) are optional.

    Args:
        store: The storage of the images.
        cells: The rows.
        label: The label column. Default: the column called label, class, …, else the only other column.
        multi_label: Whether an image may have several labels: separated by |, ; or a comma, or one column
            of 0 and 1 per label.
        prefix: The folder within the storage that paths are relative to.
        known: Files that are already listed, by name.

    Raises:
        DataError: Something is missing or wrong; the message names line and column.
    """
    where = cells.path
    path_column = _path_column(cells)
    labels = _labels(cells, path_column, label, multi_label)
    splits, groups = _splits(cells), _optional(cells, "group")
    found: dict[str, Sample] = {}
    unused: list[Ignored] = []
    place = cells.columns.index(path_column)
    for i, row in enumerate(cells.rows):
        path = row[place].replace("\\", "/") if "/" not in row[place] else row[place]
        if not path:
            raise DataError(f"{where}: line {cells.lines[i]}, column '{path_column}': the path is missing")
        split = splits[i]
        if split == UNUSED:
            unused.append(Ignored(prefix + path, "its split is unused"))
            continue
        entry = known.get(prefix + path) or store.entry(prefix + path)
        sample = Sample(entry, labels[i], split, groups[i] or None)
        before = found.get(sample.entry.name)
        if before is not None and before.labels != sample.labels:
            if not multi_label:
                raise DataError(
                    f"{where}: line {cells.lines[i]}: {path} is '{sample.labels[0]}' here and "
                    f"'{before.labels[0]}' above; remove one, or use --task multi-label"
                )
            both = tuple(sorted({*before.labels, *sample.labels}))
            sample = Sample(sample.entry, both, sample.split, sample.group)
        found[sample.entry.name] = sample
    if found and all(sample.entry.size == MISSING for sample in found.values()):
        first = next(iter(found))
        raise DataError(f"{where}: none of the files exists; the first is {store.root / first}")
    return make_manifest(where.stem, store, list(found.values()), ignored=unused, multi_label=multi_label)


def _cells(where: Path, content: bytes) -> Cells:
    if where.suffix.lower() != ".parquet":
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: cannot be read as a table: {error}") from error
        first = csv.reader(
            [text.partition("\n")[0]], delimiter=max(DELIMITERS, key=text.partition("\n")[0].count)
        )
        return parse_cells(where, text, header=not any(has_image_name(cell) for cell in next(first, [])))
    import pyarrow as pa  # imported here because it takes a tenth of a second
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{where}: cannot be read as Parquet: {in_one_line(error)}") from error
    columns = {name: table[name].to_pylist() for name in table.column_names}
    rows = [[_text(columns[name][i]) for name in columns] for i in range(table.num_rows)]
    if not rows:
        raise DataError(f"{where}: has no rows")
    return Cells(where, tuple(columns), rows, list(range(1, len(rows) + 1)))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return SEPARATORS[0].join(map(str, value))
    if isinstance(value, bool):
        return str(int(value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _path_column(cells: Cells) -> str:
    for place, column in enumerate(cells.columns):
        if any(has_image_name(row[place]) for row in cells.rows[:LOOKED_AT]):
            return column
    raise DataError(f"{cells.path}: no column names image files (columns: {', '.join(cells.columns[:20])})")


def _labels(cells: Cells, path_column: str, label: str | None, multi_label: bool) -> list[tuple[str, ...]]:
    others = [c for c in cells.columns if c != path_column and c.lower() not in ("split", "group")]
    if label is not None and label not in cells.columns:
        raise DataError(f"{cells.path}: has no column '{label}'{nearest(label, cells.columns)}")
    chosen = label or next((c for c in others if c.lower() in LABEL_COLUMNS), None)
    if chosen is None and len(others) == 1:
        chosen = others[0]
    if chosen is None and multi_label:
        return _indicators(cells, others)
    if chosen is None:
        raise DataError(
            f"{cells.path}: the label column is not known; set it with --label NAME or --set "
            f"data.label=NAME (columns: {', '.join(others[:20]) or 'only the paths'})"
        )
    texts = [row[cells.columns.index(chosen)] for row in cells.rows]
    if multi_label:
        separator = next((s for s in SEPARATORS if any(s in text for text in texts)), SEPARATORS[0])
        split = [[part.strip() for part in text.split(separator)] for text in texts]
        return [tuple(sorted({part for part in parts if part})) for parts in split]
    for text, line in zip(texts, cells.lines, strict=True):
        if not text or SEPARATORS[0] in text:
            what = f"'{text}' is more than one label" if text else "the label is missing"
            raise DataError(
                f"{cells.path}: line {line}, column '{chosen}': {what}; if images have no or several labels, "
                "use --task multi-label"
            )
    return [(text,) for text in texts]


def _indicators(cells: Cells, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The labels of each row, from one column of 0 and 1 per label."""
    places = [cells.columns.index(column) for column in columns]
    for row, line in zip(cells.rows, cells.lines, strict=True):
        for column, place in zip(columns, places, strict=True):
            if row[place] not in ("0", "1"):
                raise DataError(
                    f"{cells.path}: line {line}, column '{column}': '{row[place]}' is neither 0 nor 1; set "
                    "the label column with --label NAME or --set data.label=NAME"
                )
    return [
        tuple(sorted(c for c, place in zip(columns, places, strict=True) if row[place] == "1"))
        for row in cells.rows
    ]


def _splits(cells: Cells) -> list[SplitName | Literal["unused"] | None]:
    splits: list[SplitName | Literal["unused"] | None] = []
    for text, line in zip(_optional(cells, "split"), cells.lines, strict=True):
        if text.lower() == UNUSED:
            splits.append(UNUSED)
            continue
        if text and text.lower() not in SPLIT_FOLDERS:
            raise DataError(
                f"{cells.path}: line {line}, column 'split': '{text}' is not a split; use train, val or test"
            )
        splits.append(SPLIT_FOLDERS.get(text.lower()))
    return splits


def _optional(cells: Cells, name: str) -> list[str]:
    place = next((i for i, column in enumerate(cells.columns) if column.lower() == name), None)
    return [""] * len(cells.rows) if place is None else [row[place] for row in cells.rows]
