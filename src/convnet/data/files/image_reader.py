"""`ImageReader`: decodes and resizes the images of a manifest, and caches them."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from convnet.data.files.cache import DecodedCache, NoSpaceError, open_cache
from convnet.data.files.manifest import Manifest
from convnet.data.files.remote_file import cache_folder
from convnet.data.images.pixels import DecodeError, Picture
from convnet.data.images.preprocess import Preprocess
from convnet.data.images.read import read_image
from convnet.data.images.resize import resize
from convnet.errors import DataError
from convnet.types import ImageShape, Progress

Pixels = NDArray[np.uint8]
logger = logging.getLogger(__name__)

BATCH = 64
WAITING_THREADS = 32
"""Threads for remote files, where most of the time is spent waiting."""


class ImageReader:
    """Reads N images C×H×W by position; without space for a cache they are decoded every time.

    Attributes:
        problems: Images that could not be read, by position, with reasons.
        note: A line about the cache for the user.
        no_room: Why there is no cache; None if there is one.
        pack: The cache.
    """

    def __init__(self, manifest: Manifest, preprocess: Preprocess, shape: ImageShape) -> None:
        """Open the cache of these images, or create an empty one."""
        self.manifest, self.preprocess, self.shape = manifest, preprocess, shape
        self.problems: dict[int, str] = {}
        self.note: str | None = None
        self.no_room: str | None = None
        self.pack: DecodedCache | None = None
        self._pool = ThreadPoolExecutor(WAITING_THREADS if manifest.store.remote else os.cpu_count())
        settings: dict[str, object] = {
            "root": str(manifest.store.root if manifest.store.remote else manifest.store.root.resolve()),
            "channels": shape.channels,
            "size": [shape.height, shape.width],
            "resize": preprocess.resize,
            **({"crop_pct": preprocess.crop_pct} if preprocess.crop_pct < 1 else {}),
            **({"filter": preprocess.interpolation} if preprocess.interpolation != "bilinear" else {}),
            "background": preprocess.background,
            "allow_truncated": preprocess.allow_truncated,
            **({"white": preprocess.white} if preprocess.white else {}),
        }
        extent = (len(manifest), shape.height, shape.width, shape.channels)
        try:
            folder = cache_folder("packs")
            files = manifest.fingerprints()
            self.pack = open_cache(folder, manifest.name, settings, files, extent, self._say)
            logger.debug("cache of decoded images: %s", self.pack.folder)
        except NoSpaceError as error:
            self.no_room = str(error)
            self._say(f"{error}; images are decoded again in every epoch")

    def __len__(self) -> int:
        return len(self.manifest)

    def read(self, places: NDArray[np.int64]) -> tuple[Pixels, NDArray[np.bool_]]:
        """The readable images among those asked for, B×H×W×C, and a mask that tells which they are."""
        if self.pack is None:
            decoded = list(self._pool.map(self._decoded, places.tolist()))
            readable = np.array([pixels is not None for pixels in decoded], np.bool_)
            found = [pixels for pixels in decoded if pixels is not None]
            height, width, channels = self.shape.height, self.shape.width, self.shape.channels
            return np.stack(found) if found else np.empty((0, height, width, channels), np.uint8), readable
        self._fill(places)
        readable = self.pack.state[places] == 1
        return self.pack.read(places[readable]), readable

    def keep(self, place: int, picture: Picture) -> None:
        """Cache an image that was decoded for another purpose, if decoding it here would give the same.

        Args:
            place: The position of the image.
            picture: Decoded with all its channels over a white background.
        """
        rows, columns, channels = picture.pixels.shape
        reduced = sorted((rows, columns)) != sorted(picture.size)
        same = channels == self.shape.channels and self.preprocess.background == "white"
        if self.pack is not None and same and not reduced:
            size = (self.shape.height, self.shape.width)
            self.pack.put(place, resize(picture.pixels, size, self.preprocess.resizing))

    def remove(self) -> None:
        """Delete the cache."""
        if self.pack is not None:
            self.pack.remove()

    def build(self, places: NDArray[np.int64], progress: Progress) -> DecodedCache:
        """Decode those images that are not in the cache; a second process waits for the first.

        Args:
            places: The positions of the images.
            progress: Shows the progress.

        Raises:
            NoSpaceError: There is no space for a cache.
        """
        if self.pack is None:
            raise NoSpaceError(f"{self.no_room}; free some space, or set XDG_CACHE_HOME to another disk")
        lock = FileLock(self.pack.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("another process is filling this cache; waiting")
            lock.acquire()
        try:
            waiting = places[self.pack.state[places] == 0]
            batches = [waiting[i : i + BATCH] for i in range(0, len(waiting), BATCH)]
            for batch in progress(batches, len(batches)):
                self._fill(batch)
            self.pack.flush()
        finally:
            lock.release()
        return self.pack

    def _fill(self, places: NDArray[np.int64]) -> None:
        """Decode the images that are not in the cache."""
        pack = self.pack
        assert pack is not None
        missing = np.unique(places[pack.state[places] == 0]).tolist()
        for place, pixels in zip(missing, self._pool.map(self._decoded, missing), strict=True):
            if pixels is not None:
                pack.put(place, pixels)

    def _decoded(self, place: int) -> Pixels | None:
        name = self.manifest.samples[place].entry.name
        try:
            return read_image(self.manifest.store.read(name), self.shape, self.preprocess)
        except DecodeError as error:
            self.problems[place] = f"{name}: {error.reason}"
        except DataError as error:
            self.problems[place] = str(error)
        return None

    def _say(self, line: str) -> None:
        self.note = line
