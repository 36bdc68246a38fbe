"""A cache of decoded, resized images in a memory-mapped file, shared by processes."""

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
"""The space that is left free on the disk."""
LIMIT_VARIABLE, DEFAULT_LIMIT_GB = "CONVNET_PACK_LIMIT_GB", 100.0
CHECKED = 64
"""The number of images whose checksums are verified when a cache is opened."""


class NoSpaceError(DataError):
    """A cache does not fit on the disk, or is larger than allowed."""


class DecodedCache:
    """Images uint8 N×H×W×C on disk, each with a state (0: missing, 1: present) and a checksum.

    Pixels are written before the state, and always with the same bytes, so that several processes may fill a
    cache and a killed process leaves nothing to repair.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int, int]) -> None:
        """Map the files in `folder`; `shape` is N×H×W×C."""
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
        """All images, N×H×W×C, memory-mapped."""
        return np.frombuffer(mmap.mmap(self._pixels, 0), np.uint8).reshape(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of all pixels in bytes."""
        return int(np.prod(self.shape, dtype=np.int64))

    def put(self, place: int, pixels: NDArray[np.uint8]) -> None:
        """Store the pixels H×W×C of an image."""
        content = np.ascontiguousarray(pixels).tobytes()
        # pwrite, because the first access to a page of a memory map is many times slower.
        os.pwrite(self._pixels, content, place * len(content))
        self.sums[place] = zlib.crc32(content)
        self.state[place] = 1

    def read(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of some images, B×H×W×C; the pages read do not stay mapped."""
        taken = np.empty((len(places), *self.shape[1:]), np.uint8)
        for row, place in zip(taken, places.tolist(), strict=True):
            os.preadv(self._pixels, [row.data], place * row.nbytes)
        return taken

    def remove(self) -> None:
        """Delete the files; processes that have them open keep them."""
        _remove(self.folder)

    def flush(self) -> None:
        """Write everything to disk, to survive a power failure."""
        os.fsync(self._pixels)
        for file in self._maps:
            file.flush()

    def sound(self) -> bool:
        """Whether a sample of the stored images has the right checksums."""
        there = self.state.nonzero()[0]
        some = there[np.linspace(0, len(there) - 1, min(CHECKED, len(there))).astype(int)]
        pixels = self.read(some)
        return all(zlib.crc32(row.tobytes()) == self.sums[p] for row, p in zip(pixels, some, strict=True))


def open_cache(
    folder: Path,
    name: str,
    settings: dict[str, object],
    files: NDArray[np.uint64],
    shape: tuple[int, int, int, int],
    say: Callable[[str], object],
) -> DecodedCache:
    """Open the cache of some files, or create it.

    A cache of the same settings and other files, from an earlier state of the data, is removed; the images of
    files that are still the same are taken from it.

    Args:
        folder: The folder of all caches.
        name: The name of the data.
        settings: The place of the files and how they are preprocessed.
        files: A number per file, N, which changes with the file.
        shape: N×H×W×C.
        say: Called with a line about a damaged cache.

    Raises:
        NoSpaceError: The cache does not fit or cannot be written.
    """
    content = hashlib.sha256(files.tobytes()).hexdigest()
    stem = f"{name}-{_digest(settings)}"
    place = folder / f"{stem}-{content[:12]}"
    document = {"version": VERSION, "content": content, "shape": list(shape), **settings}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):  # processes that start together share one
            if (pack := _existing(place, document, shape)) is not None:
                return pack
            if place.exists():
                say(f"{place}: the cache is damaged and is built again")
                _remove(place)
            outdated = list(folder.glob(f"{_escaped(stem)}-*"))
            if not _has_space(folder, shape):
                while outdated:
                    _remove(outdated.pop())
            require_space(folder, shape)
            _create(folder, place, document, files, shape, outdated)
            for earlier in outdated:
                _remove(earlier)
            return DecodedCache(place, shape)
    except OSError as error:
        raise NoSpaceError(f"cannot create a cache in {folder}: {in_one_line(error)}") from None


def require_space(folder: Path, shape: Sequence[int]) -> None:
    """Check that a cache of that shape is allowed and fits on the disk.

    Raises:
        NoSpaceError: It does not.
    """
    needed = int(np.prod(shape, dtype=np.int64))
    limit = _limit()
    if needed > limit:
        raise NoSpaceError(f"a cache of {_size(needed)} exceeds {LIMIT_VARIABLE}={limit / 1e9:g}")
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(parent).free
    if needed + RESERVE_BYTES > free:
        raise NoSpaceError(
            f"a cache of {_size(needed)} does not fit into {folder} ({_size(free)} free, of which "
            f"{_size(RESERVE_BYTES)} are reserved)"
        )


def _has_space(folder: Path, shape: Sequence[int]) -> bool:
    try:
        require_space(folder, shape)
    except NoSpaceError:
        return False
    return True


def _carry_over(earlier: Path, made: DecodedCache) -> None:
    """Copy the images of files that did not change from a cache of an earlier state, if it is sound."""
    try:
        document = json.loads((earlier / "pack.json").read_text(encoding="utf-8"))
        found = DecodedCache(earlier, tuple(document["shape"]))
        known, wanted = (np.fromfile(cache.folder / "files", np.uint64) for cache in (found, made))
        if document["version"] != VERSION or found.shape[1:] != made.shape[1:] or not found.sound():
            return
        known[found.state[: len(known)] != 1] = 0
        _, theirs, ours = np.intersect1d(known, wanted, return_indices=True)
        for source, place in zip(theirs.tolist(), ours.tolist(), strict=True):
            (pixels,) = found.read(np.array([source]))
            if zlib.crc32(pixels.tobytes()) == found.sums[source]:
                made.put(place, pixels)
    except (OSError, ValueError, LookupError, TypeError):
        return


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


def _create(
    folder: Path,
    place: Path,
    document: dict[str, object],
    files: NDArray[np.uint64],
    shape: tuple[int, int, int, int],
    outdated: Sequence[Path],
) -> None:
    """Reserve the space under a temporary name and rename, so that a cache is always complete."""
    temporary = None
    try:
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
        sizes = {"pixels": int(np.prod(shape, dtype=np.int64)), "state": shape[0], "sums": 4 * shape[0]}
        for name, size in sizes.items():
            _reserve(temporary / name, size)
        (temporary / "files").write_bytes(files.tobytes())
        (temporary / "pack.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
        for earlier in outdated:
            _carry_over(earlier, DecodedCache(temporary, shape))
        temporary.rename(place)
    except BaseException as error:
        if temporary is not None:
            _remove(temporary)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoSpaceError(f"a cache does not fit into {folder}: {error.strerror}") from None
        raise


def _reserve(path: Path, size: int) -> None:
    """A file of zeros with allocated blocks, so that writing to it cannot run out of disk space."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _mapped(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def _remove(place: Path) -> None:
    """Remove a cache; a process that still uses it keeps the open files."""
    shutil.rmtree(place, ignore_errors=True)


def _digest(settings: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def _escaped(text: str) -> str:
    """A file name with glob's special characters escaped."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)
