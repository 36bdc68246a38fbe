"""Atomic file writes: a file is either the old one or the new one, never a part of it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from convnet.errors import RunError, RunExistsError

PART = ".part"
"""The suffix of a file while it is being written."""
LONGEST = 60
"""The part of a name that the temporary file repeats; names have at most 255 bytes."""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write to a temporary name in the same folder, fsync, rename over `path`, fsync the folder.

    Parts of file names that are not UTF-8 are written as ``\\udcff``, which JSON reads back.

    Raises:
        RunError: The disk is full, the folder is not writable, or `path` is a device or a pipe; the old
            file is untouched.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    temporary = None
    try:
        if path.is_dir():
            raise RunError(f"cannot write {path}: it is a folder; pass a file")
        if path.exists() and not path.is_file():
            raise RunError(f"cannot write {path}: not an ordinary file")
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name[:LONGEST]}.", suffix=PART, delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise RunError(cannot_write(path, error)) from error


def create_folder(path: Path, fill: Callable[[Path], None], occupied: Callable[[Path], str]) -> Path:
    """Create a folder with its files, atomically.

    Args:
        path: The folder; must not exist, or be empty.
        fill: Writes the files into a folder.
        occupied: The message about a folder that is not empty.

    Returns:
        The absolute path.

    Raises:
        RunExistsError: The folder is not empty.
        RunError: The parent is not writable, or the disk is full; then nothing is left.
    """
    path = path.absolute()
    temporary = None
    try:
        empty = path.is_dir() and not any(path.iterdir())
        if path.exists() and not empty:
            raise RunExistsError(occupied(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        if empty:  # it may be a mount point
            try:
                fill(path)
            except BaseException:
                empty_folder(path)
                raise
            return path
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:LONGEST]}.", suffix=PART))
        fill(temporary)
        temporary.chmod(0o755)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY) and path.exists():  # another process was first
            raise RunExistsError(occupied(path)) from None
        raise RunError(cannot_write(path, error)) from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)
    return path


def empty_folder(folder: Path) -> None:
    """Remove everything in a folder, but not the folder itself."""
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child, ignore_errors=True)
        else:
            child.unlink(missing_ok=True)


def require_picture(path: Path, *suffixes: str) -> None:
    """Check that a picture can be written to `path`, before any work is done.

    Args:
        path: The file.
        *suffixes: The formats that can be written. Default: .png.

    Raises:
        RunError: The name has another suffix, or the folder does not exist.
    """
    if not suffixes and path.suffix.lower() != ".png":
        raise RunError(f"cannot write {path}: this picture is a PNG; name it {path.stem or 'picture'}.png")
    if suffixes and path.suffix.lower() not in suffixes:
        raise RunError(f"cannot write {path}: this picture is a file with the suffix {' or '.join(suffixes)}")
    try:
        there = path.absolute().parent.is_dir()
    except OSError as error:
        raise RunError(cannot_write(path, error)) from error
    if not there:
        raise RunError(f"cannot write {path}: there is no folder {path.absolute().parent}")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> str:
    """A message for a failed write: the path, the reason and the way out."""
    ways = {errno.ENOSPC: "free some space or write elsewhere", errno.ENAMETOOLONG: "choose a shorter name"}
    way_out = ways.get(error.errno or 0, "write elsewhere")
    return f"cannot write {path}: {error.strerror or error}; the file was not modified; {way_out}"
