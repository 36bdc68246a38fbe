"""Predict many files into a table: in bounded memory, and continued after an interruption."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnet.atomic import PART, write_atomically
from convnet.errors import DataError, RecipeError, RunError
from convnet.outputs import Prediction
from convnet.prediction import InputFile, Predictor

SUFFIXES = (".csv", ".parquet")
CHUNK = 2000
"""Files per part; an interruption loses at most one."""
ERRORS = ("file", "error")
logger = logging.getLogger(__name__)

Failed = Callable[[InputFile, DataError], None]


@dataclass(frozen=True)
class Shard:
    """One of several equal parts of the files.

    Attributes:
        number: 1…count.
        count: The number of parts.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that "2/4" names.

        Raises:
            RecipeError: It is not of this form.
        """
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise RecipeError(f"--shard {text}: expected i/n with 1 ≤ i ≤ n, such as 2/4")
        return cls(int(number), int(count))

    def of(self, files: Sequence[InputFile]) -> Sequence[InputFile]:
        """The files of this shard, in order."""
        first, last = (len(files) * place // self.count for place in (self.number - 1, self.number))
        return files[first:last]

    def path(self, table: Path) -> Path:
        """The table of this shard: predictions-2-of-4.parquet."""
        if self.count == 1:
            return table
        return table.with_stem(f"{table.stem}-{self.number}-of-{self.count}")


@dataclass(frozen=True)
class Batch:
    """What was predicted.

    Attributes:
        table: The table.
        predicted: Its number of rows.
        failed: The number of files that could not be read.
        continued: The number of files that an earlier, interrupted call had predicted.
    """

    table: Path
    predicted: int
    failed: int
    continued: int


def require_table(path: Path) -> None:
    """Check that a path names a table.

    Raises:
        RecipeError: It has another suffix.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RecipeError(f"--out {path}: classes are written as a table; pass a .csv or .parquet file")


def predict_into(
    table: Path,
    predictor: Predictor,
    files: Sequence[InputFile],
    shard: Shard,
    failed: Failed,
    kept: list[Prediction] | None = None,
    sources: Sequence[str] = (),
) -> Batch:
    """Predict files and write a row for each: file, class (or labels), unknown, confidence, probabilities.

    Parts of the table are kept beside it until it is complete, and a further call with the same files and the
    same model continues after the last of them. Files that cannot be read are listed in TABLE.errors.csv. A
    table without rows is not written, and an older one is removed.

    Args:
        table: A .csv or .parquet file.
        predictor: The model.
        files: The files.
        shard: The part of the files that is predicted.
        failed: Called with each file that cannot be read.
        kept: Takes all predictions; an interrupted call is then not continued.
        sources: The paths by which the files were given, which the table must not replace.

    Returns:
        The table and the number of its rows.

    Raises:
        RecipeError: The table has another suffix, or would be written over a file that is predicted.
        RunError: A file cannot be written.
    """
    require_table(table)
    table, chosen = shard.path(table), shard.of(files)
    _require_apart(table, sources)
    parts = _Parts(table, _identity(predictor, chosen))
    continued = 0
    for place in range(0, len(chosen), CHUNK):
        chunk = chosen[place : place + CHUNK]
        if kept is None and parts.has(place):
            continued += len(chunk)
            continue
        errors: list[tuple[str, str]] = []

        def note(file: InputFile, error: DataError, errors: list[tuple[str, str]] = errors) -> None:
            errors.append((file.location, str(error)))
            failed(file, error)

        predictions = list(predictor.iter_predictions(chunk, failed=note))
        parts.write(place, predictions, errors)
        if kept is not None:
            kept += predictions
        logger.debug("%s of %s files", f"{place + len(chunk):,}", f"{len(chosen):,}")
    predicted, unreadable = parts.join()
    return Batch(table, predicted, unreadable, continued)


def _require_apart(table: Path, sources: Sequence[str]) -> None:
    for source in sources:
        if Path(source).exists() and table.exists() and Path(source).samefile(table):
            raise RecipeError(f"--out {table}: is one of the files that are predicted; choose another file")


def _identity(predictor: Predictor, files: Sequence[InputFile]) -> str:
    """What must be the same for parts of an earlier call to be of use."""
    model = f"{predictor.name} {predictor.identity()} {predictor.backend.name} {CHUNK} "
    digest = hashlib.sha256(model.encode(errors="surrogateescape"))
    for file in files:
        digest.update(file.location.encode(errors="surrogateescape") + b"\0")
    return digest.hexdigest()


class _Parts:
    """The parts of a table, in a folder beside it."""

    def __init__(self, table: Path, identity: str) -> None:
        self.table, self.folder = table, table.with_name(f".{table.name}{PART}")
        plan = self.folder / "plan.json"
        if self.folder.exists() and _content(plan) != {"identity": identity}:
            shutil.rmtree(self.folder)  # of other files, or of another model
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot write {table}: {error.strerror}; write elsewhere") from error
        write_atomically(plan, json.dumps({"identity": identity}))

    def has(self, place: int) -> bool:
        """Whether a part was written; its errors are written before it."""
        return self._part(place).exists()

    def write(self, place: int, predictions: list[Prediction], errors: list[tuple[str, str]]) -> None:
        """Write a part; without predictions it is empty."""
        text = io.StringIO(newline="")
        csv.writer(text).writerows(errors)
        write_atomically(self.folder / f"{place:012}.errors", text.getvalue())
        write_atomically(self._part(place), _parquet(predictions) if predictions else b"")

    def join(self) -> tuple[int, int]:
        """Write the table and the list of errors, part by part, and remove the parts."""
        rows = self._write_table()
        errors = self.table.with_name(f"{self.table.stem}.errors.csv")
        lines = b"".join(path.read_bytes() for path in sorted(self.folder.glob("*.errors")))
        if lines:
            write_atomically(errors, ",".join(ERRORS).encode() + b"\r\n" + lines)
        else:
            errors.unlink(missing_ok=True)
        shutil.rmtree(self.folder)
        failed = sum(1 for _ in csv.reader(io.StringIO(lines.decode(), newline="")))
        return rows, failed

    def _write_table(self) -> int:
        import pyarrow.csv
        import pyarrow.parquet

        written, parts = self.folder / "table", list(self._written())
        rows, writer = 0, None
        try:
            with written.open("wb") as out:  # pyarrow itself takes no path that is not UTF-8
                for part in parts:
                    with part.open("rb") as content:
                        table = pyarrow.parquet.read_table(content)
                    if writer is None:
                        kind = pyarrow.csv.CSVWriter
                        if self.table.suffix.lower() == ".parquet":
                            kind = pyarrow.parquet.ParquetWriter
                        writer = kind(out, table.schema)
                    writer.write_table(table)
                    rows += table.num_rows
                if writer is not None:
                    writer.close()
        except OSError as error:
            raise RunError(f"cannot write {self.table}: {error}; free some space and run it again") from error
        if writer is not None:
            written.replace(self.table)
        else:
            self.table.unlink(missing_ok=True)
        return rows

    def _written(self) -> Iterator[Path]:
        return (path for path in sorted(self.folder.glob("*.parquet")) if path.stat().st_size)

    def _part(self, place: int) -> Path:
        return self.folder / f"{place:012}.parquet"


def _content(plan: Path) -> Any:
    try:
        return json.loads(plan.read_text())
    except (OSError, ValueError):
        return None


def _parquet(predictions: Sequence[Prediction]) -> bytes:
    """A table of predictions as the content of a Parquet file."""
    import pyarrow as pa  # imported here because it takes a tenth of a second
    import pyarrow.parquet

    rows = [prediction.as_dict() for prediction in predictions]
    names = [row["image"].encode(errors="backslashreplace").decode() for row in rows]
    columns: dict[str, list[Any]] = {"file": names}
    if "class" in rows[0]:
        columns["class"] = [row["class"] for row in rows]
        columns["unknown"] = [row["unknown"] for row in rows]
    else:
        columns["labels"] = ["|".join(row["labels"]) for row in rows]
    columns["confidence"] = [max(row["probabilities"].values()) for row in rows]
    for name in sorted(rows[0]["probabilities"]):
        columns[f"p({name})"] = [row["probabilities"][name] for row in rows]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()
