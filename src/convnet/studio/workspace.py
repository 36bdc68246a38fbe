"""`Workspace`: the folders that the studio reads and writes; nothing outside them is reached by name."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convnet.atomic import cannot_write
from convnet.data import DATASETS
from convnet.data.datasets.named.catalog import locate
from convnet.errors import DataError, RunError
from convnet.recipes import RECIPES
from convnet.runs import as_file_name

LARGEST_UPLOAD = 2 << 30
"""The largest number of bytes of a data set that is uploaded."""
MOST_FILES = 500_000
"""The largest number of files of an archive."""
IMPORTED = re.compile(r"[\w.]+:[\w.]+")
"""`package.module:name`."""
LARGEST_IMAGE = 32 << 20
"""That of an image."""


@dataclass(frozen=True)
class Workspace:
    """The folders of the studio.

    Attributes:
        runs: The folder of the runs, which also holds uploads, corrections and deleted runs.
        roots: The folders with data, and files of data, that may be opened.
    """

    runs: Path
    roots: tuple[Path, ...] = field(default=())

    @property
    def trash(self) -> Path:
        """The folder of deleted runs."""
        return self.runs / ".trash"

    @property
    def uploads(self) -> Path:
        """The folder of uploaded data sets."""
        return self.runs / ".uploads"

    @property
    def bundles(self) -> Path:
        """The folder of exported bundles, beside that of the runs, as for `convnet export`."""
        return self.runs.parent / "bundles"

    def corrections(self, name: str) -> Path:
        """The table of corrected labels of a data set, by its name or full path."""
        digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
        return self.runs / "corrections" / f"{as_file_name(Path(name).name)}-{digest}" / "corrections.csv"

    def discard(self, path: Path, name: str) -> str:
        """Move a run or a bundle to the trash.

        Args:
            path: Its folder.
            name: Its name in the trash.

        Returns:
            Its path below the trash.
        """
        place = self.trash / f"{time.time_ns():x}" / name
        place.parent.mkdir(parents=True)
        shutil.move(path, place)
        return place.relative_to(self.trash).as_posix()

    def run(self, name: str) -> Path:
        """A run by its path below the folder of runs.

        Raises:
            RunError: There is none.
        """
        path = inside(self.runs, name)
        if path is None or not _exists(path / "run.json"):
            raise RunError(f"{name[:200]}: no such run in {self.runs}")
        return path

    def name_of(self, run: Path) -> str:
        """The path of a run below the folder of runs."""
        return run.resolve().relative_to(self.runs.resolve()).as_posix()

    def source(self, word: str) -> str:
        """The data set, recipe or path that a word stands for.

        Raises:
            DataError: It is a path outside the folders given, or does not exist.
        """
        path = _resolved(Path(word).expanduser())
        if (word in DATASETS or word in RECIPES) and not _exists(path):
            require_local(word)
            return word
        places = [*self.roots, self.uploads, self.runs]
        if word and not any(
            path == place.resolve() or path.is_relative_to(place.resolve()) for place in places
        ):
            if word in DATASETS or word in RECIPES:
                return word
            raise DataError(
                f"{word[:200]}: is outside the folders of the studio; start it with that folder: "
                f"convnet studio {word[:200]}"
            )
        if not word or not _exists(path):
            raise DataError(f"{word[:200] or 'data'}: no such data set, folder or file")
        return str(path)

    def require_confined(self, changes: Mapping[str, Any]) -> None:
        """Check that changed fields of a recipe name no files outside the folders and no code to import.

        Raises:
            DataError: A field does.
        """
        for name, value in _flat(changes):
            if name in ("data", "data.source", "weights", "weights.source") and isinstance(value, str):
                if value != "imagenet":
                    self.source(value)
            elif isinstance(value, str) and IMPORTED.fullmatch(value):
                raise DataError(
                    f"{name}={value[:200]}: code is imported only for recipe files; write the field into one "
                    "and open it"
                )

    async def receive(self, name: str, content: AsyncIterator[bytes], limit: int = LARGEST_UPLOAD) -> Path:
        """Store an upload as it arrives.

        Args:
            name: The file name; its folders are dropped.
            content: The parts of the file.
            limit: The largest number of bytes.

        Raises:
            DataError: The file is too large or has no usable name.
            RunError: The disk is full or the folder is not writable.
        """
        stem = re.sub(r"[^\w.-]+", "_", Path(name.replace("\\", "/")).name).strip("._")[-80:]
        if not stem:
            raise DataError("the upload needs a file name")
        folder = self.uploads / f"{time.time_ns():x}"
        target, count = folder / stem, 0
        try:
            folder.mkdir(parents=True)
            with target.open("wb") as file:
                async for part in content:
                    count += len(part)
                    if count > limit:
                        raise DataError(
                            f"{stem}: larger than {limit >> 20:,} MB; put it into a folder instead"
                        )
                    file.write(part)
        except BaseException as error:
            with suppress(OSError):
                shutil.rmtree(folder)
            if isinstance(error, OSError):
                raise RunError(cannot_write(self.uploads, error)) from error
            raise
        return target

    def unpack(self, archive: Path) -> Path:
        """Unpack an uploaded zip archive beside it, so that its files have paths; other files are kept.

        Returns:
            The folder, or the file.

        Raises:
            DataError: The archive is damaged or larger than an upload may be.
            RunError: The disk is full.
        """
        if archive.suffix.lower() != ".zip":
            return archive
        folder = archive.with_suffix("")
        try:
            with zipfile.ZipFile(archive) as opened:
                size = sum(entry.file_size for entry in opened.infolist())
                if size > 4 * LARGEST_UPLOAD or len(opened.infolist()) > MOST_FILES:
                    raise ValueError(f"it holds {size >> 20:,} MB; open a folder instead")
                opened.extractall(folder)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
            shutil.rmtree(archive.parent, ignore_errors=True)
            raise DataError(f"{archive.name}: not a readable zip archive: {error}") from error
        except OSError as error:
            shutil.rmtree(archive.parent, ignore_errors=True)
            raise RunError(cannot_write(folder, error)) from error
        archive.unlink()
        inside_it = [child for child in folder.iterdir() if not child.name.startswith((".", "__MACOSX"))]
        return inside_it[0] if len(inside_it) == 1 and inside_it[0].is_dir() else folder


def require_local(name: str) -> None:
    """Check that a data set needs no download, as no request of the studio leaves the machine.

    Raises:
        DataError: It is a named set that is not on this machine.
    """
    if name in DATASETS and locate(name) is None and not _exists(Path(name)):
        raise DataError(f"{name} is not on this machine; get it with: convnet data get {name}")


def _flat(changes: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of nested mappings by their dotted names."""
    for name, value in changes.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def inside(folder: Path, name: str) -> Path | None:
    """The path of a name below a folder; None if it leads out of it."""
    try:
        path = _resolved(folder / name)
    except DataError:
        return None
    return path if path.is_relative_to(folder.resolve()) and path != folder.resolve() else None


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{str(path)[:200]!r}: {error}") from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
