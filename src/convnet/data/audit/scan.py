"""Scan the files of a manifest: decode each once, small, and record size, statistics and problems."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convnet.data.audit.records import RECORD, THUMB, TROUBLES, Memory, Records
from convnet.data.files.manifest import Manifest, Sample
from convnet.data.files.storage import MISSING, Storage
from convnet.data.images.decode import decode
from convnet.data.images.pixels import LUMA, DecodeError, Picture, Trouble, pixels_checksum
from convnet.data.images.resize import stretch
from convnet.errors import DataError
from convnet.types import Progress, checksum, unseen

logger = logging.getLogger(__name__)

SMALL = 32
"""The size of the image that hashes and statistics are computed from."""
CHUNK = 64
"""Files per task of a thread; smaller tasks make threads wait for each other."""
BLANK_RANGE = 2
"""The largest range of values of a blank image."""
NOTHING = np.empty((0, 0, 0), np.uint8)
Keep = Callable[[int, Picture], None]
"""Receives the position and the pixels of a file without problems, in the thread that decoded it."""


@dataclass(frozen=True)
class Scan:
    """The result of a scan.

    Attributes:
        records: One record per sample.
        reasons: The reasons of problems, by position.
    """

    records: Records
    reasons: dict[int, str]

    @property
    def decoded(self) -> NDArray[np.bool_]:
        """Which samples have pixels; includes truncated images."""
        found: NDArray[np.bool_] = self.records["width"] > 0
        return found

    @property
    def sound(self) -> NDArray[np.bool_]:
        """Which samples have no problem."""
        found: NDArray[np.bool_] = self.records["trouble"] == 0
        return found

    def trouble(self, place: int) -> Trouble | None:
        """The kind of problem of a sample; None if it has none."""
        number = int(self.records["trouble"][place])
        return TROUBLES[number - 1] if number else None


def scan(
    manifest: Manifest,
    *,
    only: Sequence[int] | None = None,
    memory: Memory | None = None,
    keep: Keep | None = None,
    progress: Progress = unseen,
) -> Scan:
    """Decode the files of a manifest, with one thread per core.

    Args:
        manifest: The files.
        only: The positions to scan. Default: all.
        memory: Cached records, which are not decoded again. Default: those of the manifest.
        keep: Receives what is decoded; a JPEG may be reduced.
        progress: Shows the progress.

    Returns:
        A record per scanned file.
    """
    places = range(len(manifest)) if only is None else only
    samples = [manifest.samples[place] for place in places]
    memory = memory or Memory(manifest)
    known = [memory.find(sample) for sample in samples]
    waiting = [i for i, found in enumerate(known) if found is None]
    logger.debug(
        "%s: %s files, %s of them scanned before", manifest.name, len(samples), len(samples) - len(waiting)
    )
    chunks = [waiting[start : start + CHUNK] for start in range(0, len(waiting), CHUNK)]

    def recorded(chunk: Sequence[int]) -> list[tuple[Records, str]]:
        looks = [
            _examine(manifest.store, samples[i], partial(keep, places[i]) if keep else None) for i in chunk
        ]
        return [(record, look.reason) for record, look in zip(_described(looks), looks, strict=True)]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(recorded, chunks)
        for i, result in zip(waiting, progress(chain.from_iterable(results), len(waiting)), strict=True):
            known[i] = result
    found = [pair for pair in known if pair is not None]
    if waiting:
        memory.save(samples, found, others=only is not None)
    records = np.array([record for record, _ in found], RECORD)
    return Scan(records, {i: reason for i, (_, reason) in enumerate(found) if reason})


class Look(NamedTuple):
    """The result of decoding one file.

    Attributes:
        trouble: The kind of problem, if any.
        reason: The reason of the problem.
        picture: Facts about the image, without its pixels.
        channels: The number of its channels.
        small: The first three channels resized to 32×32×3; None if it has no pixels.
        some: 32×32×3 of its pixels, not resized.
        beyond: The range of values in further channels.
        passing: Whether the problem may disappear although the file stays the same.
        checksum: A number that changes with the bytes of the file.
        content: A number that changes with the pixels, whatever the format of the file.
    """

    trouble: Trouble | None
    reason: str
    picture: Picture | None = None
    channels: int = 0
    small: NDArray[np.uint8] | None = None
    some: NDArray[np.uint8] | None = None
    beyond: int = 0
    passing: bool = False
    checksum: int = 0
    content: int = 0


def _examine(store: Storage, sample: Sample, keep: Callable[[Picture], None] | None) -> Look:
    """Decode one file; `_described` computes the statistics of many files together."""
    if sample.entry.size == MISSING:
        return Look("unreadable", "no such file")
    try:
        content = store.read(sample.entry.name)
    except DataError as error:
        return Look("unreadable", str(error).rpartition(": ")[2], passing=True)
    trouble, reason, number = None, "", checksum(content)
    try:
        picture = decode(content, at_least=(THUMB, THUMB), adapt=True)
    except DecodeError as error:
        trouble, reason = error.kind, error.reason
        if trouble != "truncated":
            return Look(trouble, reason, checksum=number)
        try:
            picture = decode(content, at_least=(THUMB, THUMB), allow_truncated=True, adapt=True)
        except DecodeError:
            return Look(trouble, reason, checksum=number)
    if keep is not None and trouble is None and picture.white == picture.full:
        keep(picture)
    pixels = picture.pixels
    height, width, channels = pixels.shape
    colors = pixels[:, :, :3] if channels >= 3 else np.repeat(pixels[:, :, :1], 3, 2)
    rows, columns = (np.arange(SMALL) * side // SMALL for side in (height, width))
    seen = replace(picture, pixels=NOTHING)
    small = stretch(colors, (SMALL, SMALL))
    beyond = int(np.ptp(pixels[:, :, 3:], axis=(0, 1)).max()) if channels > 3 else 0
    some = colors[rows[:, None], columns]
    return Look(
        trouble,
        reason,
        seen,
        channels,
        small,
        some,
        beyond,
        checksum=number,
        content=pixels_checksum(pixels),
    )


def _described(looks: Sequence[Look]) -> Records:
    """The records of some files, with statistics computed for all of them together."""
    records = np.zeros(len(looks), RECORD)
    for record, look in zip(records, looks, strict=True):
        record["passing"], record["checksum"], record["content"] = look.passing, look.checksum, look.content
        if look.trouble is not None:
            record["trouble"] = 1 + TROUBLES.index(look.trouble)
        if look.picture is not None:
            width, height = look.picture.size
            turned = look.picture.orientation >= 5
            record["width"], record["height"] = (height, width) if turned else (width, height)
            record["white"], record["full"] = look.picture.white or 0, look.picture.full
            record["mode"], record["profile"] = look.picture.mode, look.picture.profile
            record["channels"], record["orientation"] = min(255, look.channels), look.picture.orientation
    places = [i for i, look in enumerate(looks) if look.small is not None]
    if places:
        small = _planes([look.small for look in looks])
        some = _planes([look.some for look in looks])
        red, green, blue = np.moveaxis(small, 1, 0)
        gray = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
        quarters = small.reshape(len(places), 3, THUMB, 2, THUMB, 2)
        half = (quarters[:, :, :, 0] + quarters[:, :, :, 1]) / 4
        records["thumb"][places] = (half[..., 0] + half[..., 1]).round().transpose(0, 2, 3, 1)
        values = some.reshape(len(places), 3, -1)
        records["mean"][places] = values.mean(2)
        records["square"][places] = np.einsum("ncp,ncp->nc", values, values) / values.shape[2]
        records["contrast"][places] = values.mean(1).std(1)
        records["hash"][places] = perceptual_hashes(gray.reshape(-1, SMALL, SMALL))
        reach = np.maximum(np.ptp(small.reshape(values.shape), 2), np.ptp(values, 2)).max(1)
        beyond = np.array([looks[i].beyond for i in places])
        area = records["width"][places] * records["height"][places].astype(np.int64)
        records["blank"][places] = (np.maximum(reach, beyond) <= BLANK_RANGE) & (area > 1)
    return records


def _planes(parts: Sequence[NDArray[np.uint8] | None]) -> NDArray[np.float32]:
    """Images 32×32×3, where there are any, as N×3×32×32, which is fast to reduce."""
    stacked = np.stack([part for part in parts if part is not None])
    return stacked.transpose(0, 3, 1, 2).astype(np.float32, order="C")


def perceptual_hashes(gray: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Perceptual hashes of N×32×32, 64 bits each: low frequencies above their median (Zauner 2010)."""
    basis = _cosines()
    low = (basis @ gray @ basis.T).reshape(len(gray), -1)[:, 1:]
    bits = low > np.median(low, axis=1, keepdims=True)
    padded = np.concatenate([bits, np.zeros((len(bits), 1), np.bool_)], 1)
    return np.packbits(padded, axis=1).view(np.uint64)[:, 0]


@cache
def _cosines() -> NDArray[np.float32]:
    """The eight lowest rows of the discrete cosine transform."""
    k, n = np.arange(8)[:, None], np.arange(SMALL)[None]
    return np.cos(np.pi * (2 * n + 1) * k / (2 * SMALL)).astype(np.float32)
