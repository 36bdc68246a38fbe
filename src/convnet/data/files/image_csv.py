"""Tables of image files: CSV, TSV or Parquet with a column of paths and one or more of labels."""

from __future__ import annotations

import csv
import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from convnet.data.files.columns import Columns, choose_columns, files_column
from convnet.data.files.csv import DELIMITERS, Cells, decode_text, parse_cells
from convnet.data.files.file_index import NO_FILES, FileIndex, images_near
from convnet.data.files.manifest import UNUSED, Manifest, Sample, make_manifest
from convnet.data.files.storage import MISSING, Contents, FileEntry, FileStorage, Ignored, open_storage
from convnet.data.images.decode import file_bytes
from convnet.data.images.formats import has_image_name
from convnet.errors import DataError, in_one_line

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATORS = "|;,"
"""Separators between several labels of one image."""


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
    index = table_index(store, name, contents)
    made = manifest_of_cells(
        store, _cells(where, content), label, multi_label=multi_label, prefix=prefix, known=known, index=index
    )
    named = {sample.entry.name for sample in made.samples} | {ignored.name for ignored in made.ignored}
    others = [
        Ignored(entry.name, f"not in {name}")
        for entry in (contents.entries if contents else ())
        if entry.name not in named and entry.name != name and has_image_name(entry.name)
    ]
    ignored = (*(contents.ignored if contents else ()), *others, *made.ignored)
    return replace(made, name=Path(name).stem, ignored=ignored)


def table_index(store: FileStorage, name: str, contents: Contents | None) -> FileIndex:
    """The images that the ids of a table may name: those in its folder and below."""
    if contents is None:
        return FileIndex(lambda: images_near(store.root))
    below = name.rpartition("/")[0]
    prefix = below + "/" if below else ""
    return FileIndex(lambda: (e.name for e in contents.entries if e.name.startswith(prefix)))


def manifest_of_cells(
    store: FileStorage,
    cells: Cells,
    label: str | None = None,
    *,
    multi_label: bool = False,
    prefix: str = "",
    known: Mapping[str, FileEntry] = MappingProxyType({}),
    index: FileIndex = NO_FILES,
) -> Manifest:
    """List the images named in the rows of a table; see `choose_columns` for the columns.

    Args:
        store: The storage of the images.
        cells: The rows.
        label: The label column. Default: the column called label, class, …, else the only other column.
        multi_label: Whether an image may have several labels: separated by |, ; or a comma, or one column
            of 0 and 1 per label.
        prefix: The folder within the storage that paths are relative to.
        known: Files that are already listed, by name.
        index: Finds the files that the table names by ids.

    Raises:
        DataError: Something is missing or wrong; the message names line and column.
    """
    where = cells.path
    columns = choose_columns(cells, index, label, multi_label=multi_label)
    labels = _labels(cells, columns, multi_label=multi_label)
    found: dict[str, Sample] = {}
    unused: list[Ignored] = []
    matched: list[tuple[str, str]] = []
    place = cells.columns.index(columns.files)
    for i, row in enumerate(cells.rows):
        path = row[place].replace("\\", "/") if "/" not in row[place] else row[place]
        line = f"{where}: line {cells.lines[i]}"
        if not path:
            raise DataError(f"{line}, column '{columns.files}': the path is missing")
        split = columns.splits[i]
        name = _plain_path(prefix + path, store.root)
        entry = known.get(name) or store.entry(name)
        if entry.size == MISSING and (other := _by_id(index, path, line)) is not None:
            entry = known.get(other) or store.entry(other)
            matched.append((path, other))
        if split == UNUSED:
            unused.append(Ignored(entry.name, "its split is unused"))
            continue
        sample = Sample(entry, labels[i], split, columns.groups[i] or None)
        before = found.get(entry.name, sample)
        found[entry.name] = _merged(line, path, before, sample, multi_label=multi_label)
    if found and all(sample.entry.size == MISSING for sample in found.values()):
        first = next(iter(found))
        raise DataError(f"{where}: none of the files exists; the first is {store.root / first}")
    remarks = [*columns.remarks, *_matches(columns.files, matched)]
    return make_manifest(
        where.stem, store, list(found.values()), ignored=unused, multi_label=multi_label, remarks=remarks
    )


def _plain_path(name: str, root: Path) -> str:
    """A path in its shortest form, relative to `root` if it is below, so that a file has one name."""
    plain = posixpath.normpath(name)
    below = f"{root.absolute().as_posix()}/"
    return plain.removeprefix(below)


def list_paths(path: Path) -> list[Path]:
    """The images that a table names, whatever its other columns.

    Raises:
        DataError: The table cannot be read.
    """
    index = table_index(open_storage(path.absolute().parent), path.name, None)
    cells = _cells(path, file_bytes(path))
    place = cells.columns.index(files_column(cells, index))
    texts = [row[place].replace("\\", "/") for row in cells.rows]
    there = path.parent
    return [there / (text if (there / text).is_file() else index.find(text) or text) for text in texts]


def _by_id(index: FileIndex, text: str, line: str) -> str | None:
    try:
        return index.find(text)
    except DataError as error:
        raise DataError(f"{line}: {error}") from None


def _merged(line: str, path: str, before: Sample, sample: Sample, *, multi_label: bool) -> Sample:
    """A sample that a table names twice; labels are united if a sample may have several.

    Raises:
        DataError: The two rows contradict each other.
    """
    if before.labels != sample.labels and not multi_label:
        raise DataError(
            f"{line}: {path} is '{sample.labels[0]}' here and '{before.labels[0]}' above; remove one, or use "
            "--task multi-label"
        )
    if before.split != sample.split:
        splits = " and ".join(sorted(str(split or "no split") for split in (sample.split, before.split)))
        raise DataError(f"{line}: {path} is named twice, in {splits}; remove one of the rows")
    if before.group != sample.group:
        raise DataError(
            f"{line}: {path} has the group '{sample.group}' here and '{before.group}' above; remove "
            "one of the rows"
        )
    return sample._replace(labels=tuple(sorted({*before.labels, *sample.labels})))


def _matches(column: str, matched: Sequence[tuple[str, str]]) -> list[str]:
    if not matched:
        return []
    text, name = matched[0]
    return [f"column '{column}': {len(matched):,} values matched to files by name ({text} is {name})"]


def _cells(where: Path, content: bytes) -> Cells:
    if where.suffix.lower() != ".parquet":
        text = decode_text(where, content)
        first = text.partition("\n")[0]
        row = next(csv.reader([first], delimiter=max(DELIMITERS, key=first.count)), [])
        return parse_cells(where, text, header=not any(has_image_name(cell) for cell in row))
    import pyarrow as pa  # imported here because it takes a tenth of a second
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
        columns = {name: _values(table[name]) for name in table.column_names}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{where}: cannot be read as Parquet: {in_one_line(error)}") from error
    rows = [[_text(columns[name][i]) for name in columns] for i in range(table.num_rows)]
    if not rows:
        raise DataError(f"{where}: has no rows")
    return Cells(where, tuple(columns), rows, list(range(1, len(rows) + 1)))


def _values(column: pa.ChunkedArray) -> list[object]:
    import pyarrow as pa

    if pa.types.is_temporal(column.type):  # Python's own times have no nanoseconds
        column = column.cast(pa.string())
    values: list[object] = column.to_pylist()
    return values


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return SEPARATORS[0].join(map(str, value))
    if isinstance(value, bool):
        return str(int(value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _labels(cells: Cells, columns: Columns, *, multi_label: bool) -> list[tuple[str, ...]]:
    """The labels of each row."""
    if columns.label is None:
        return _indicators(cells, columns.labels)
    texts = [row[cells.columns.index(columns.label)] for row in cells.rows]
    if multi_label:
        separator = next((s for s in SEPARATORS if any(s in text for text in texts)), SEPARATORS[0])
        split = [[part.strip() for part in text.split(separator)] for text in texts]
        return [tuple(sorted({part for part in parts if part})) for parts in split]
    several = _several(texts)
    for text, line in zip(texts, cells.lines, strict=True):
        if not text or text in several:
            what = f"'{text}' is more than one label" if text else "the label is missing"
            raise DataError(
                f"{cells.path}: line {line}, column '{columns.label}': {what}; if images have no or several "
                "labels, use --task multi-label"
            )
    return [(text,) for text in texts]


def _several(texts: Sequence[str]) -> set[str]:
    """The texts that are several labels: some of their parts between | also occur elsewhere."""
    distinct = {*texts}
    parts = Counter(part.strip() for text in distinct for part in text.split(SEPARATORS[0]))
    return {
        text
        for text in distinct
        if SEPARATORS[0] in text and any(parts[part.strip()] > 1 for part in text.split(SEPARATORS[0]))
    }


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
