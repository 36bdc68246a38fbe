"""Where files lie: in a folder, in a zip archive; what is there, and the bytes of one."""

from __future__ import annotations

import os
import stat
import threading
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from convnet.data.images.decode import file_bytes
from convnet.errors import DataError

MISSING = -1
"""The size of a file that a table or an annotation names and that is not there."""
CLUTTER = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx", "@eadir"})
"""What operating systems leave behind."""


class FileEntry(NamedTuple):
    """A file: its path below the root, with slashes; its size; and a number that changes when it does."""

    name: str
    size: int
    stamp: int


@dataclass(frozen=True)
class Ignored:
    """A file or folder that is not read, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Contents:
    """All visible files of a store, sorted by name; its folders; and what is passed over."""

    entries: tuple[FileEntry, ...]
    folders: tuple[str, ...]
    ignored: tuple[Ignored, ...]


class Storage(Protocol):
    """A place that holds files."""

    @property
    def root(self) -> Path:
        """The folder or archive."""
        ...

    @property
    def remote(self) -> bool:
        """Whether reading waits for a network."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            DataError: it is not there, or cannot be read.
        """
        ...


@dataclass(frozen=True)
class FolderStorage:
    """The files below a folder. Links are followed, but never back into a folder that they lie in."""

    root: Path
    remote: bool = False

    def contents(self) -> Contents:
        """Walk the folder.

        Raises:
            DataError: there is no such folder, or it may not be read.
        """
        entries: list[FileEntry] = []
        folders: list[str] = []
        ignored: list[Ignored] = []
        try:
            start = self.root.stat()
            os.scandir(self.root).close()
        except OSError as error:
            reason = "no such folder" if not self.root.exists() else f"cannot be read: {error.strerror}"
            raise DataError(f"{self.root}: {reason}") from None
        waiting = [("", frozenset({(start.st_dev, start.st_ino)}))]
        while waiting:
            prefix, above = waiting.pop()
            try:
                children = os.scandir(self.root / prefix)
            except OSError as error:
                ignored.append(Ignored(prefix.rstrip("/"), f"cannot be read: {error.strerror}"))
                continue
            with children:
                for child in children:
                    name = prefix + child.name
                    if why := _passed_over(child.name):
                        ignored.append(Ignored(_printable(name), why))
                        continue
                    try:
                        status = child.stat()
                        if child.is_dir():
                            here = status.st_dev, status.st_ino
                            if here in above:
                                ignored.append(Ignored(name, "a link to a folder that it lies in"))
                                continue
                            folders.append(name)
                            waiting.append((f"{name}/", above | {here}))
                        elif child.is_file():
                            entries.append(FileEntry(name, status.st_size, status.st_mtime_ns))
                        else:
                            ignored.append(Ignored(name, "not an ordinary file"))
                    except OSError as error:
                        ignored.append(Ignored(name, f"cannot be read: {error.strerror}"))
        entries.sort(key=lambda entry: entry.name)
        return Contents(tuple(entries), tuple(sorted(folders)), tuple(sorted(ignored, key=lambda i: i.name)))

    def read(self, name: str) -> bytes:
        """The bytes of a file below the folder."""
        return file_bytes(self.root / name)


class ZipStorage:
    """The members of a zip archive, read in place, from any number of threads."""

    remote = False

    def __init__(self, root: Path) -> None:
        """Open the archive.

        Raises:
            DataError: it is none, or a damaged one.
        """
        self.root = root
        self._here = threading.local()
        try:
            with zipfile.ZipFile(root) as archive:
                self._members = archive.infolist()
        except FileNotFoundError:
            raise DataError(f"{root}: no such file") from None
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise DataError(f"{root}: not a readable zip archive: {error}") from error

    def contents(self) -> Contents:
        """What the archive's directory says; a single folder that holds everything is looked through."""
        entries, ignored, folders = [], [], set[str]()
        for member in self._members:
            parts = [part for part in member.filename.split("/") if part]
            reason: str | None = next((r for part in parts if (r := _passed_over(part))), None)
            if reason is None and (member.filename.startswith("/") or ".." in parts):
                reason = "its path leads out of the archive"
            if reason is None and member.flag_bits & 1:
                reason = "encrypted"
            if reason is not None:
                ignored.append(Ignored(_printable(member.filename), reason))
                continue
            above = parts if member.is_dir() else parts[:-1]
            folders |= {"/".join(above[: i + 1]) for i in range(len(above))}
            if not member.is_dir():
                entries.append(FileEntry(member.filename, member.file_size, member.CRC))
        entries.sort(key=lambda entry: entry.name)
        return Contents(tuple(entries), tuple(sorted(folders)), tuple(ignored))

    def read(self, name: str) -> bytes:
        """The bytes of a member."""
        try:
            archive = getattr(self._here, "archive", None)
            if archive is None:  # one for each thread: they do not share a position in the file
                archive = self._here.archive = zipfile.ZipFile(self.root)
            return bytes(archive.read(name))
        except KeyError:
            raise DataError(f"{self.root}/{name}: no such file") from None
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
            raise DataError(f"{self.root}/{name}: cannot be read: {error}") from error


def open_storage(path: Path) -> FolderStorage | ZipStorage:
    """The store of a folder or a zip archive."""
    return ZipStorage(path) if is_archive(path) else FolderStorage(path)


def entry_of(root: Path, name: str) -> FileEntry:
    """The file of that name below a folder, as it is now; of the size MISSING where there is none."""
    try:
        status = (root / name).stat()
    except (OSError, ValueError):
        return FileEntry(name, MISSING, 0)
    if not stat.S_ISREG(status.st_mode):  # a pipe would never end
        return FileEntry(name, MISSING, 0)
    return FileEntry(name, status.st_size, status.st_mtime_ns)


def visible_folders(root: Path) -> list[Path]:
    """The subfolders that are not hidden."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def is_archive(path: Path) -> bool:
    """Whether it is a zip archive, by its name."""
    return path.suffix.lower() == ".zip" and not path.is_dir()


def _passed_over(name: str) -> str | None:
    """Why a file or folder of that name is not looked at."""
    if name.startswith("."):
        return "hidden"
    if name.lower() in CLUTTER:
        return "left behind by an operating system"
    if not name.isascii() and name != _printable(name):
        return "its name is not valid UTF-8; rename it"
    return None


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
