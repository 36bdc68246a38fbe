"""Every file of a listing decoded once, small: what it is, how it looks, whether it can be read at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from convnet.atomic import write_atomically
from convnet.data.download import cache_folder
from convnet.data.files.image_table import MISSING
from convnet.data.files.listing import Listing, Sample
from convnet.data.files.store import Store
from convnet.data.images.decode import DecodeError, Picture, Trouble, decode, to_channels
from convnet.data.images.fit import resize
from convnet.errors import ConvnetError, DataError

THUMB = 16
"""Side of the small colour pictures that are compared."""
HASHED = 32
"""Side of the grey picture that the perceptual hash is taken of."""
LOOKED_AT = 4096
"""Pixels that the statistics of a picture are taken of."""
BLANK_RANGE = 2
"""Between the darkest and the brightest value of a picture that shows nothing."""
TROUBLES: tuple[Trouble, ...] = ("unreadable", "truncated", "not_an_image")
VERSION = 1

RECORD = np.dtype(
    [
        ("trouble", np.uint8),  # 0, or 1 + place in TROUBLES
        ("width", np.int32),  # upright; 0 where nothing could be decoded
        ("height", np.int32),
        ("mode", "U8"),
        ("channels", np.uint8),
        ("orientation", np.uint8),
        ("profile", np.bool_),
        ("blank", np.bool_),
        ("mean", np.float32, 3),
        ("square", np.float32, 3),
        ("contrast", np.float32),
        ("hash", np.uint64),
        ("thumb", np.uint8, (THUMB, THUMB, 3)),
    ]
)
Records = NDArray[np.void]


@dataclass(frozen=True)
class Scan:
    """A record for each sample of a listing, and in words what is wrong with those that have trouble."""

    records: Records
    reasons: dict[int, str]

    @property
    def decoded(self) -> NDArray[np.bool_]:
        """Which samples have pixels: sound ones, and truncated ones as far as they go."""
        found: NDArray[np.bool_] = self.records["width"] > 0
        return found

    @property
    def sound(self) -> NDArray[np.bool_]:
        """Which samples have no trouble."""
        found: NDArray[np.bool_] = self.records["trouble"] == 0
        return found

    def trouble(self, place: int) -> Trouble | None:
        """What kind of trouble a sample has."""
        number = int(self.records["trouble"][place])
        return TROUBLES[number - 1] if number else None


def scan(
    listing: Listing,
    *,
    only: Sequence[int] | None = None,
    progress: Callable[[Iterable[object], int], Iterable[object]] = lambda items, total: items,
) -> Scan:
    """Decode the files of a listing (or `only` those at these places), a thread per core.

    What was found is remembered by path, size and time of change: a file is decoded once, until it changes.
    `progress` may show how far it is.
    """
    places = range(len(listing)) if only is None else only
    samples = [listing.samples[place] for place in places]
    memory = _Memory(listing)
    known = [memory.find(sample) for sample in samples]
    waiting = [i for i, found in enumerate(known) if found is None]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda i: _examine(listing.store, samples[i]), waiting)
        for i, result in zip(waiting, progress(results, len(waiting)), strict=True):
            assert isinstance(result, tuple)
            known[i] = result
    found = [pair for pair in known if pair is not None]
    if waiting:
        memory.save(samples, found)
    records = np.array([record for record, _ in found], RECORD)
    return Scan(records, {i: reason for i, (_, reason) in enumerate(found) if reason})


def remembered(listing: Listing) -> bool:
    """Whether every file of the listing was scanned before."""
    memory = _Memory(listing)
    return bool(memory.found) and all(memory.find(sample) is not None for sample in listing.samples)


class _Memory:
    """What earlier scans of the same place found, in the cache."""

    def __init__(self, listing: Listing) -> None:
        where = hashlib.sha256(os.fsencode(listing.store.root.absolute())).hexdigest()[:12]
        self.path = cache_folder("scans") / f"{listing.name}-{where}.npz"
        self.found: dict[bytes, tuple[Records, str]] = {}
        try:
            with np.load(self.path, allow_pickle=False) as file:
                if int(file["version"]) == VERSION and file["records"].dtype == RECORD:
                    reasons = json.loads(file["reasons"].tobytes())
                    rows = zip(file["keys"].tolist(), file["records"], reasons, strict=True)
                    self.found = {key: (record, reason) for key, record, reason in rows}
        except Exception:  # whatever an old or damaged cache holds, it is made again
            self.found = {}

    def find(self, sample: Sample) -> tuple[Records, str] | None:
        return self.found.get(_key(sample))

    def save(self, samples: Sequence[Sample], found: Sequence[tuple[Records, str]]) -> None:
        """Remember it beside what is known already; a full disk forgets."""
        all_found = {**self.found, **{_key(s): f for s, f in zip(samples, found, strict=True)}}
        content = io.BytesIO()
        np.savez(
            content,
            version=VERSION,
            keys=np.array(list(all_found), "S16"),
            records=np.array([record for record, _ in all_found.values()], RECORD),
            reasons=np.frombuffer(json.dumps([r for _, r in all_found.values()]).encode(), np.uint8),
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, content.getvalue())
        except (OSError, ConvnetError):
            return


def _key(sample: Sample) -> bytes:
    entry = sample.entry
    text = f"{entry.name}\0{entry.size}\0{entry.stamp}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()[:16].encode()


def _examine(store: Store, sample: Sample) -> tuple[Records, str]:
    """The record of one file, and what is wrong with it."""
    record = np.zeros((), RECORD)
    if sample.entry.size == MISSING:
        record["trouble"] = 1 + TROUBLES.index("unreadable")
        return record, "no such file"
    try:
        content = store.read(sample.entry.name)
    except DataError as error:
        record["trouble"] = 1 + TROUBLES.index("unreadable")
        return record, str(error).rpartition(": ")[2]
    reason = ""
    try:
        picture = decode(content, at_least=(THUMB, THUMB))
    except DecodeError as error:
        record["trouble"], reason = 1 + TROUBLES.index(error.kind), error.reason
        if error.kind != "truncated":
            return record, reason
        try:
            picture = decode(content, at_least=(THUMB, THUMB), allow_truncated=True)
        except DecodeError:
            return record, reason
    _describe(picture, record)
    return record, reason


def _describe(picture: Picture, record: Records) -> None:
    width, height = picture.size
    record["width"], record["height"] = (height, width) if picture.orientation >= 5 else (width, height)
    record["mode"], record["orientation"], record["profile"] = (
        picture.mode,
        picture.orientation,
        picture.profile,
    )
    pixels = picture.pixels
    record["channels"] = min(255, pixels.shape[2])
    record["blank"] = pixels.shape[0] * pixels.shape[1] > 1 and bool(
        (pixels.max((0, 1)).astype(int) - pixels.min((0, 1)) <= BLANK_RANGE).all()
    )
    colours = pixels if pixels.shape[2] == 3 else np.repeat(pixels[:, :, :1], 3, 2)
    step = max(1, int((colours.shape[0] * colours.shape[1] / LOOKED_AT) ** 0.5))
    some = colours[::step, ::step].reshape(-1, 3).astype(np.float32)
    record["mean"], record["square"] = some.mean(0), np.square(some).mean(0)
    record["contrast"] = some.mean(1).std()
    small = resize(colours, (HASHED, HASHED))
    record["hash"] = perceptual_hash(to_channels(small, 1)[:, :, 0])
    record["thumb"] = resize(small, (THUMB, THUMB))


def perceptual_hash(grey: NDArray[np.uint8]) -> np.uint64:
    """64 bits of a 32×32 picture: which low frequencies are above their median (pHash; Zauner 2010)."""
    basis = _cosines()
    low = (basis @ grey.astype(np.float32) @ basis.T).ravel()[1:]
    bits = np.append(low > np.median(low), False)
    number: np.uint64 = np.packbits(bits).view(np.uint64)[0]
    return number


@cache
def _cosines() -> NDArray[np.float32]:
    """The eight lowest rows of the discrete cosine transform."""
    k, n = np.arange(8)[:, None], np.arange(HASHED)[None]
    return np.cos(np.pi * (2 * n + 1) * k / (2 * HASHED)).astype(np.float32)
