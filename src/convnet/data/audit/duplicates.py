"""Find copies of images: equal in every pixel, or nearly equal."""

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
"""The largest number of bits, of 64, in which the hashes of candidates may differ."""
LIKENESS = 0.98
"""The smallest correlation of the thumbnails of near copies."""
LEVELS = 8.0
"""The largest mean difference of the thumbnails of near copies, of 255."""
BLOCK = 2048


@dataclass(frozen=True)
class Pair:
    """The positions of two copies; `exact` if all pixels are equal."""

    first: int
    second: int
    exact: bool


def duplicates(manifest: Manifest, found: Scan) -> list[Pair]:
    """Find pairs of copies; each copy is paired with the first image of its kind.

    Candidates are found by perceptual hashes. Exact copies are confirmed by all pixels, near copies (resized,
    recompressed, slightly cropped) by small color thumbnails. Blank images are left out.

    Args:
        manifest: The files.
        found: Their scan.

    Returns:
        The pairs, in order.
    """
    records = found.records
    usable = (found.decoded & ~records["blank"]).nonzero()[0]
    exact = list(_exact(manifest, records, usable))
    copies = {pair.second for pair in exact}
    originals = np.array([place for place in usable if place not in copies], np.int64)
    near = [Pair(a, b, exact=False) for a, b in _near(records, originals)]
    return sorted([*exact, *near], key=lambda pair: (pair.first, pair.second))


def together(count: int, pairs: list[Pair]) -> NDArray[np.int64]:
    """A number per sample, equal for samples connected by pairs."""
    if not pairs:
        return np.arange(count)
    return _components(count, np.array([[pair.first, pair.second] for pair in pairs]).T)


def _exact(manifest: Manifest, records: Records, usable: NDArray[np.int64]) -> Iterator[Pair]:
    """Pairs of images with equal size and thumbnail whose pixels are all equal."""
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
    """A function that returns a checksum of a sample's pixels; empty if they cannot be read.

    Files with equal bytes are decoded once.
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
    """Pairs with similar hashes and thumbnails; a spanning tree for each group of similar images."""
    edges = np.empty((2, 0), np.int64)
    kin = np.arange(len(records))
    for pairs in _proposed(records["hash"][places], places):
        # Pairs that are already connected through others need not be compared.
        unknown = pairs[:, kin[pairs[0]] != kin[pairs[1]]]
        alike = unknown[:, _alike(records, unknown)]
        if alike.size:
            edges = np.concatenate([edges, alike], 1)
            kin = _components(len(records), edges)
    if not edges.size:
        return []
    from scipy.sparse import coo_matrix  # imported here because it takes a quarter of a second
    from scipy.sparse.csgraph import minimum_spanning_tree

    links = coo_matrix((np.ones(edges.shape[1]), edges), (len(records), len(records)))
    tree = minimum_spanning_tree(links.tocsr()).tocoo()
    return [(min(a, b), max(a, b)) for a, b in zip(tree.row.tolist(), tree.col.tolist(), strict=True)]


def _proposed(hashes: NDArray[np.uint64], places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs of positions with similar hashes, 2×M, in blocks of at most `BLOCK`."""
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
    """The number of the connected component of each of `count` positions, for edges 2×M."""
    from scipy.sparse import coo_matrix  # imported here because it takes a quarter of a second
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(edges.shape[1], np.bool_), edges), (count, count))
    numbers: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return numbers


def _alike(records: Records, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of 2×M pairs have similar thumbnails, in level and in content."""
    a, b = (records["thumb"][side].reshape(len(side), 3 * THUMB**2).astype(np.float32) for side in pairs)
    close = np.abs(a - b).mean(1) <= LEVELS
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    products = np.einsum("md,md->m", a, b)
    sizes = np.einsum("md,md->m", a, a) * np.einsum("md,md->m", b, b)
    alike: NDArray[np.bool_] = close & (products >= LIKENESS * np.sqrt(sizes))
    return alike
