"""Where files are: a folder or a zip archive, listed and read through fsspec."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from convnet.data.images.decode import LARGEST_FILE
from convnet.errors import DataError, in_one_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

MISSING = -1
"""The size of a file that a table or an annotation names but that does not exist."""
CLUTTER = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx", "@eadir"})
"""Files and folders created by operating systems."""
NOT_UTF8 = "its name is not valid UTF-8; rename it"
STAMPS = ("CRC", "mtime", "created")
"""The facts of a file that change with its content, as fsspec names them."""

Info = Mapping[str, Any]
"""The facts of a file as fsspec returns them: name, size, type, …."""


class FileEntry(NamedTuple):
    """A file: its path below the root, with slashes; its size; and a number that changes with the file."""

    name: str
    size: int
    stamp: int


@dataclass(frozen=True)
class Ignored:
    """A file or folder that is not read, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Contents:
    """The listing of a storage: its files and folders, sorted by name, and the ignored ones."""

    entries: tuple[FileEntry, ...]
    folders: tuple[str, ...]
    ignored: tuple[Ignored, ...]


class Storage(Protocol):
    """Whatever a manifest reads its files from."""

    @property
    def root(self) -> Path:
        """The folder, archive or address."""
        ...

    @property
    def remote(self) -> bool:
        """Whether reading waits for a network."""
        ...

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            DataError: The file does not exist or cannot be read.
        """
        ...


@dataclass(frozen=True)
class FileStorage:
    """The files of a folder or a zip archive.

    Attributes:
        root: The folder or archive.
        system: The file system that holds the files.
        prefix: The folder within the file system, with a slash; empty for an archive.
        version: The size and time of an archive; its members' checksums say nothing about damage to it.
    """

    root: Path
    system: AbstractFileSystem
    prefix: str
    remote: bool = False
    version: tuple[int, ...] = ()

    def contents(self) -> Contents:
        """List all files.

        Links are followed, but never back into a folder that they are in.

        Raises:
            DataError: The folder does not exist or cannot be read.
        """
        ignored: list[Ignored] = []
        entries: list[FileEntry] = []
        folders: list[str] = []
        found = self._walk(ignored) if self.prefix else self._members(ignored)
        for name, info in found:
            if info["type"] == "directory":
                folders.append(name)
            elif info["type"] == "file":
                entries.append(FileEntry(name, info["size"], self._stamp(info)))
            else:
                ignored.append(Ignored(name, "not an ordinary file"))
        entries.sort(key=lambda entry: entry.name)
        return Contents(tuple(entries), tuple(sorted(folders)), tuple(sorted(ignored, key=lambda i: i.name)))

    def _walk(self, ignored: list[Ignored]) -> Iterator[tuple[str, Info]]:
        """The files and folders below a folder."""
        waiting = [("", frozenset({os.path.realpath(self.prefix)}))]
        while waiting:
            folder, above = waiting.pop()
            try:
                children = self.system.ls(self.prefix + folder, detail=True)
            except OSError as error:
                if not folder:
                    raise DataError(f"{self.root}: cannot be read: {error.strerror}") from None
                ignored.append(Ignored(folder.rstrip("/"), f"cannot be read: {error.strerror}"))
                continue
            for info in children:
                name = folder + info["name"].rpartition("/")[2]
                if reason := _passed_over(name.rpartition("/")[2]):
                    ignored.append(Ignored(_printable(name), reason))
                    continue
                if info["islink"]:
                    try:
                        info = self.system.info(self._path(name))  # of the target
                    except OSError as error:
                        ignored.append(Ignored(name, f"cannot be read: {error.strerror}"))
                        continue
                if info["type"] == "directory":
                    here = os.path.realpath(self.prefix + name)
                    if here in above:
                        ignored.append(Ignored(name, "a link to a folder that it is in"))
                        continue
                    waiting.append((f"{name}/", above | {here}))
                yield name, info

    def _members(self, ignored: list[Ignored]) -> Iterator[tuple[str, Info]]:
        """The members of an archive."""
        for info in self.system.find("", withdirs=True, detail=True).values():
            name = info["name"]
            parts = name.split("/")
            reason = next((reason for part in parts if part and (reason := _passed_over(part))), None)
            if reason is None and (name.startswith("/") or ".." in parts):
                reason = "its path leads out of the archive"
            if reason is None and info.get("flag_bits", 0) & 1:
                reason = "encrypted"
            if reason is None:
                yield name, info
            elif info["type"] == "file":
                ignored.append(Ignored(_printable(name), reason))

    def read(self, name: str) -> bytes:
        """The content of a file."""
        place = self.root / name
        try:
            size = self.system.info(self._path(name))["size"] or 0
            if size > LARGEST_FILE:
                raise DataError(
                    f"{place}: has {size / 1e9:.1f} GB; files are read up to {LARGEST_FILE / 1e9:g} GB"
                )
            return bytes(self.system.cat_file(self._path(name)))
        except DataError:
            raise
        except FileNotFoundError:
            raise DataError(f"{place}: no such file") from None
        except OSError as error:
            raise DataError(f"{place}: cannot be read: {error.strerror or error}") from error
        except Exception as error:  # damaged archives make the reader raise nearly anything
            raise DataError(f"{place}: cannot be read: {in_one_line(error)}") from error

    def entry(self, name: str) -> FileEntry:
        """A file as it is now; of the size MISSING if there is none."""
        try:
            info = self.system.info(self._path(name))
        except (OSError, ValueError):
            return FileEntry(name, MISSING, 0)
        if info["type"] != "file":  # reading a pipe would never end
            return FileEntry(name, MISSING, 0)
        return FileEntry(name, info["size"], self._stamp(info))

    def _stamp(self, info: Info) -> int:
        """A number that changes with the file."""
        return zlib.crc32(repr([*(info.get(key) for key in STAMPS), *self.version]).encode())

    def _path(self, name: str) -> str:
        """The path of a file within the file system; a name may also be an absolute path."""
        return os.path.join(self.prefix, name)  # noqa: PTH118 (not always a path of this machine)


def open_storage(path: Path) -> FileStorage:
    """The storage of a folder or a zip archive.

    Raises:
        DataError: The path does not exist, or is a damaged archive.
    """
    from fsspec.implementations.local import LocalFileSystem
    from fsspec.implementations.zip import ZipFileSystem

    if not is_archive(path):
        if not path.is_dir():
            raise DataError(f"{path}: no such folder")
        return FileStorage(path, LocalFileSystem(), f"{path.absolute()}/")
    try:
        # An open file, because fsspec would read a name with "::" as a chain of URLs.
        system = ZipFileSystem(path.open("rb"))
        _use_slashes(system.zip)
        system.ls("")  # fills its cache, which several threads must not do at once
        facts = path.stat()
        return FileStorage(path, system, "", version=(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DataError(f"{path}: not a readable zip archive: {in_one_line(error)}") from error


def _use_slashes(archive: zipfile.ZipFile) -> None:
    """Rename members of archives that some Windows programs write with backslashes."""
    for info in archive.infolist():
        if "\\" in info.filename and "/" not in info.filename:
            info.filename = info.filename.replace("\\", "/")
            archive.NameToInfo[info.filename] = info


def visible_folders(root: Path) -> list[Path]:
    """The subfolders that are not hidden."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def is_archive(path: Path) -> bool:
    """Whether the name of a path is that of a zip archive."""
    return path.suffix.lower() == ".zip" and not path.is_dir()


def _passed_over(name: str) -> str | None:
    """Why a file or folder of that name is ignored; None if it is not."""
    if name.startswith("."):
        return "hidden"
    if name.lower() in CLUTTER:
        return "created by an operating system"
    if not name.isascii() and name != _printable(name):
        return NOT_UTF8
    return None


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
