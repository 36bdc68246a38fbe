"""Decoded, resized images in a memory-mapped file: each is decoded once, whoever asks for it first."""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from convnet.errors import DataError, in_one_line

VERSION = 1
RESERVE_BYTES = 1 << 30
"""What is left free on the disk."""
LIMIT_VARIABLE, DEFAULT_LIMIT_GB = "CONVNET_PACK_LIMIT_GB", 100.0
CHECKED = 64
"""Images of a pack that are compared with their checksums when it is opened."""


class NoSpaceError(DataError):
    """A pack would not fit: the disk is too full, or the pack larger than allowed."""


class DecodedCache:
    """N×H×W×C uint8 on disk, with a state and a checksum for each image; 0: not there yet.

    Rows are written before they are marked, and always with the same bytes, so that any number of processes
    may fill one pack, and a killed one leaves nothing that has to be repaired.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int, int]) -> None:
        """Map the files of a pack; `shape` is N×H×W×C."""
        self.folder, self.shape = folder, shape
        self._pixels = os.open(folder / "pixels", os.O_RDWR)
        weakref.finalize(self, os.close, self._pixels)
        self._maps = [_mapped(folder / name) for name in ("state", "sums")]
        self.state = np.frombuffer(self._maps[0], np.uint8)
        self.sums = np.frombuffer(self._maps[1], np.uint32)

    def __len__(self) -> int:
        return len(self.state)

    @cached_property
    def rows(self) -> NDArray[np.uint8]:
        """All images, N×H×W×C, memory-mapped: reading a part of one touches only that part."""
        return np.frombuffer(mmap.mmap(self._pixels, 0), np.uint8).reshape(self.shape)

    @property
    def nbytes(self) -> int:
        """Of all pixels."""
        return int(np.prod(self.shape, dtype=np.int64))

    def put(self, place: int, pixels: NDArray[np.uint8]) -> None:
        """Keep the pixels H×W×C of an image."""
        content = np.ascontiguousarray(pixels).tobytes()
        # Written, not assigned: the first touch of a page of a map costs many times as much.
        os.pwrite(self._pixels, content, place * len(content))
        self.sums[place] = zlib.crc32(content)
        self.state[place] = 1

    def read(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of some images, B×H×W×C; what is read does not stay in this process's memory."""
        taken = np.empty((len(places), *self.shape[1:]), np.uint8)
        for row, place in zip(taken, places.tolist(), strict=True):
            os.preadv(self._pixels, [row.data], place * row.nbytes)
        return taken

    def flush(self) -> None:
        """Make what was put survive a power cut."""
        os.fsync(self._pixels)
        for file in self._maps:
            file.flush()

    def sound(self) -> bool:
        """Whether some of the images that are there have the checksums they had."""
        there = self.state.nonzero()[0]
        some = there[np.linspace(0, len(there) - 1, min(CHECKED, len(there))).astype(int)]
        pixels = self.read(some)
        return all(zlib.crc32(row.tobytes()) == self.sums[p] for row, p in zip(pixels, some, strict=True))


def open_cache(
    folder: Path,
    name: str,
    settings: dict[str, object],
    content: str,
    shape: tuple[int, int, int, int],
    say: Callable[[str], object],
) -> DecodedCache:
    """The pack of `content` (a checksum of the files) in `shape`, made where there is none.

    `folder` holds packs; `settings` are the place of the files and how they are preprocessed. A pack of the
    same settings and other content, that of an earlier state of the files, is removed.

    Raises:
        NoRoomError: it does not fit.
        DataError: it cannot be written.
    """
    stem = f"{name}-{_digest(settings)}"
    place = folder / f"{stem}-{content[:12]}"
    document = {"version": VERSION, "content": content, "shape": list(shape), **settings}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):  # two that begin at once make one
            if (pack := _existing(place, document, shape)) is not None:
                return pack
            if place.exists():
                say(f"{place}: damaged; packing anew")
            for outdated in folder.glob(f"{_escaped(stem)}-*"):
                _remove(outdated)
            require_space(folder, shape)
            _create(folder, place, document, shape)
            return DecodedCache(place, shape)
    except OSError as error:
        raise NoSpaceError(f"no pack can be made in {folder}: {in_one_line(error)}") from None


def require_space(folder: Path, shape: Sequence[int]) -> None:
    """Raise NoRoomError where a pack of that shape is larger than allowed, or than the free disk."""
    needed = int(np.prod(shape, dtype=np.int64))
    limit = _limit()
    if needed > limit:
        raise NoSpaceError(f"a pack of {_size(needed)} is more than {LIMIT_VARIABLE}={limit / 1e9:g} allows")
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(parent).free
    if needed + RESERVE_BYTES > free:
        raise NoSpaceError(
            f"a pack of {_size(needed)} does not fit into {folder} ({_size(free)} free, of which "
            f"{_size(RESERVE_BYTES)} stay so)"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _limit() -> float:
    text = os.environ.get(LIMIT_VARIABLE, str(DEFAULT_LIMIT_GB))
    try:
        return float(text) * 1e9
    except ValueError:
        raise DataError(f"{LIMIT_VARIABLE}={text}: not a number of gigabytes") from None


def _existing(
    place: Path, document: dict[str, object], shape: tuple[int, int, int, int]
) -> DecodedCache | None:
    try:
        if json.loads((place / "pack.json").read_text(encoding="utf-8")) != document:
            return None
        pack = DecodedCache(place, shape)
    except (OSError, ValueError):
        return None
    return pack if len(pack) == len(pack.sums) == shape[0] and pack.sound() else None


def _create(folder: Path, place: Path, document: dict[str, object], shape: tuple[int, int, int, int]) -> None:
    """Reserve the space under another name and rename: what has the name is whole."""
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
        sizes = {"pixels": int(np.prod(shape, dtype=np.int64)), "state": shape[0], "sums": 4 * shape[0]}
        for name, size in sizes.items():
            _reserve(temporary / name, size)
        (temporary / "pack.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
        temporary.rename(place)
    except OSError as error:
        if temporary is not None:
            _remove(temporary)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoSpaceError(f"a pack does not fit into {folder}: {error.strerror}") from None
        raise


def _reserve(path: Path, size: int) -> None:
    """A file of zeros whose blocks are there: writing to it cannot run out of disk."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _mapped(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def _remove(place: Path) -> None:
    """A process that still uses it keeps its files until it ends."""
    shutil.rmtree(place, ignore_errors=True)


def _digest(settings: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _escaped(text: str) -> str:
    """A file name in which glob sees no patterns."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)
