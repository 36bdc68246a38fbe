"""Which images are the same: in every pixel, or to the eye."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from convnet.data.audit.records import THUMB, Records
from convnet.data.audit.scan import Scan
from convnet.data.files.manifest import Manifest
from convnet.data.images.decode import decode
from convnet.data.images.pixels import DecodeError
from convnet.errors import DataError

HASH_BITS = 10
"""Bits of 64 in which the hashes of two pictures may differ for them to be compared."""
LIKENESS = 0.98
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


def duplicates(manifest: Manifest, found: Scan) -> list[Pair]:
    """Pairs of the same picture, each sample paired with the first of its kind.

    Blank pictures are all alike and left out. What the hashes propose is compared: exact duplicates by all
    their pixels, near ones (resized, compressed again, slightly cropped) by small colour pictures.
    """
    records = found.records
    usable = (found.decoded & ~records["blank"]).nonzero()[0]
    exact = list(_exact(manifest, records, usable))
    copies = {pair.second for pair in exact}
    originals = np.array([place for place in usable if place not in copies], np.int64)
    near = [Pair(a, b, exact=False) for a, b in _near(records, originals)]
    return sorted([*exact, *near], key=lambda pair: (pair.first, pair.second))


def together(count: int, pairs: list[Pair]) -> NDArray[np.int64]:
    """A number for each sample, the same for those that pairs connect."""
    if not pairs:
        return np.arange(count)
    return _components(count, np.array([[pair.first, pair.second] for pair in pairs]).T)


def _exact(manifest: Manifest, records: Records, usable: NDArray[np.int64]) -> Iterator[Pair]:
    """Samples of one size whose small pictures are equal, then compared whole."""
    alike: dict[bytes, list[int]] = defaultdict(list)
    for place in usable.tolist():
        record = records[place]
        key = record["width"].tobytes() + record["height"].tobytes() + record["hash"].tobytes()
        alike[key + record["thumb"].tobytes()].append(place)
    groups = [places for places in alike.values() if len(places) > 1]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = dict(zip(chain(*groups), pool.map(_digests(manifest), chain(*groups)), strict=True))
    for places in groups:
        first: dict[bytes, int] = {}
        for place in places:
            digest = digests[place]
            if digest in first:
                yield Pair(first[digest], place, exact=True)
            elif digest:
                first[digest] = place


def _digests(manifest: Manifest) -> Callable[[int], bytes]:
    """A checksum of all pixels of a sample; empty where they can no longer be had.

    Files of the same bytes are decoded once.
    """
    known: dict[bytes, bytes] = {}

    def digest(place: int) -> bytes:
        try:
            content = manifest.store.read(manifest.samples[place].entry.name)
            key = hashlib.blake2b(content).digest()
            if key not in known:
                pixels = decode(content, allow_truncated=True).pixels
                known[key] = hashlib.blake2b(pixels.tobytes()).digest()
        except (DecodeError, DataError):
            return b""
        return known[key]

    return digest


def _near(records: Records, places: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs whose hashes are close and whose small pictures agree; of many that are alike, a tree of them."""
    edges = np.empty((2, 0), np.int64)
    kin = np.arange(len(records))
    for pairs in _proposed(records["hash"][places], places):
        # What others connect already need not be compared: of a series of like pictures, nearly all.
        unknown = pairs[:, kin[pairs[0]] != kin[pairs[1]]]
        alike = unknown[:, _alike(records, unknown)]
        if alike.size:
            edges = np.concatenate([edges, alike], 1)
            kin = _components(len(records), edges)
    if not edges.size:
        return []
    from scipy.sparse import coo_matrix  # a quarter of a second, only where there are copies
    from scipy.sparse.csgraph import minimum_spanning_tree

    links = coo_matrix((np.ones(edges.shape[1]), edges), (len(records), len(records)))
    tree = minimum_spanning_tree(links.tocsr()).tocoo()
    return [(min(a, b), max(a, b)) for a, b in zip(tree.row.tolist(), tree.col.tolist(), strict=True)]


def _proposed(hashes: NDArray[np.uint64], places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs of places whose hashes are close, 2×M with at most `BLOCK` of them at a time."""
    hashes = np.ascontiguousarray(hashes)
    for top in range(0, len(places), BLOCK):
        rows = hashes[top : top + BLOCK, None]
        for left in range(top, len(places), BLOCK):
            distance = np.bitwise_count(rows ^ hashes[None, left : left + BLOCK])
            i, j = (distance <= HASH_BITS).nonzero()
            pairs = np.stack([places[top + i], places[left + j]])[:, top + i < left + j]
            for start in range(0, pairs.shape[1], BLOCK):
                yield pairs[:, start : start + BLOCK]


def _components(count: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each of `count` places, the same for those that 2×M edges connect."""
    from scipy.sparse import coo_matrix  # a quarter of a second, only where there are copies
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(edges.shape[1], np.bool_), edges), (count, count))
    numbers: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return numbers


def _alike(records: Records, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of 2×M pairs have small pictures that agree, in level and in what they show."""
    a, b = (records["thumb"][side].reshape(len(side), 3 * THUMB**2).astype(np.float32) for side in pairs)
    close = np.abs(a - b).mean(1) <= LEVELS
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    products = np.einsum("md,md->m", a, b)
    sizes = np.einsum("md,md->m", a, a) * np.einsum("md,md->m", b, b)
    alike: NDArray[np.bool_] = close & (products >= LIKENESS * np.sqrt(sizes))
    return alike
