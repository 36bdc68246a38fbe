"""Atomic file writes: a file is either the old one or the new one, never a part of it."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from convnet.errors import RunError

PART = ".part"
"""The suffix of a file while it is being written."""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write to a temporary name in the same folder, fsync, rename over `path`, fsync the folder.

    Raises:
        RunError: The disk is full, the folder is not writable, or `path` is a device or a pipe; the old
            file is untouched.
    """
    if path.is_dir():
        raise RunError(f"cannot write {path}: it is a folder; pass a file")
    if path.exists() and not path.is_file():
        raise RunError(f"cannot write {path}: not an ordinary file")
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=PART, delete=False
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


def require_picture(path: Path) -> None:
    """Check that a PNG can be written to `path`, before any work is done.

    Raises:
        RunError: The name has another suffix, or the folder does not exist.
    """
    if path.suffix.lower() != ".png":
        raise RunError(f"cannot write {path}: this picture is a PNG; name it {path.stem or 'picture'}.png")
    if not path.absolute().parent.is_dir():
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
    way_out = "free some space or write elsewhere" if error.errno == errno.ENOSPC else "write elsewhere"
    return f"cannot write {path}: {error.strerror or error}; the file was not modified; {way_out}"
