"""Which images are the same: in every pixel, or to the eye."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convnet.data.audit.scan import Records, Scan
from convnet.data.files.listing import Listing
from convnet.data.images.decode import DecodeError, decode
from convnet.errors import DataError

HASH_BITS = 10
"""Bits of 64 in which the hashes of two pictures may differ for them to be compared."""
LIKENESS = 0.995
"""Least correlation of the small pictures of near duplicates."""
LEVELS = 8.0
"""Largest mean difference of their small pictures, of 255."""
BLOCK = 2048


@dataclass(frozen=True)
class Pair:
    """Two samples that are the same; `exact` in every pixel."""

    first: int
    second: int
    exact: bool


def duplicates(listing: Listing, found: Scan) -> list[Pair]:
    """Pairs of the same picture, each sample paired with the first of its kind.

    Blank pictures are all alike and left out. What the hashes propose is compared: exact duplicates by all
    their pixels, near ones (resized, compressed again, slightly cropped) by small colour pictures.
    """
    records = found.records
    usable = (found.decoded & ~records["blank"]).nonzero()[0]
    exact = list(_exact(listing, records, usable))
    copies = {pair.second for pair in exact}
    originals = np.array([place for place in usable if place not in copies], np.int64)
    near = [Pair(a, b, exact=False) for a, b in _near(records, originals)]
    return sorted([*exact, *near], key=lambda pair: (pair.first, pair.second))


def together(count: int, pairs: list[Pair]) -> NDArray[np.int64]:
    """A number for each sample, the same for those that pairs connect."""
    if not pairs:
        return np.arange(count)
    from scipy.sparse import coo_matrix  # a quarter of a second, only where there are copies
    from scipy.sparse.csgraph import connected_components

    first, second = [pair.first for pair in pairs], [pair.second for pair in pairs]
    links = coo_matrix((np.ones(len(pairs)), (first, second)), shape=(count, count))
    numbers: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return numbers


def _exact(listing: Listing, records: Records, usable: NDArray[np.int64]) -> Iterator[Pair]:
    """Samples of one size whose small pictures are equal, then compared whole."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for place in usable.tolist():
        record = records[place]
        key = record["width"].tobytes() + record["height"].tobytes() + record["hash"].tobytes()
        alike[key + record["thumb"].tobytes()].append(place)
    for places in alike.values():
        first: dict[bytes, int] = {}
        for place in places if len(places) > 1 else ():
            digest = _digest(listing, place)
            if digest in first:
                yield Pair(first[digest], place, exact=True)
            elif digest:
                first[digest] = place


def _digest(listing: Listing, place: int) -> bytes:
    """A checksum of all pixels; empty where they can no longer be had."""
    try:
        picture = decode(listing.store.read(listing.samples[place].entry.name), allow_truncated=True)
    except (DecodeError, DataError):
        return b""
    return hashlib.blake2b(picture.pixels.tobytes()).digest()


def _near(records: Records, places: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Pairs whose hashes are close and whose small pictures agree; block by block, all with all."""
    hashes = np.ascontiguousarray(records["hash"][places])
    for top in range(0, len(places), BLOCK):
        rows = hashes[top : top + BLOCK, None]
        for left in range(top, len(places), BLOCK):
            distance = np.bitwise_count(rows ^ hashes[None, left : left + BLOCK])
            for i, j in zip(*(distance <= HASH_BITS).nonzero(), strict=True):
                a, b = int(places[top + i]), int(places[left + j])
                if a < b and _alike(records["thumb"][a], records["thumb"][b]):
                    yield a, b


def _alike(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    a, b = first.astype(np.float32).ravel(), second.astype(np.float32).ravel()
    if np.abs(a - b).mean() > LEVELS:
        return False
    a, b = a - a.mean(), b - b.mean()
    return bool(a @ b >= LIKENESS * np.sqrt((a @ a) * (b @ b)))
