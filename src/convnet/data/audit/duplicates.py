"""Find copies of images: equal in every pixel, or nearly equal."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convnet.data.audit.copies import SMALLEST_CROPPED, Views
from convnet.data.audit.records import THUMB, Records
from convnet.data.audit.scan import Scan
from convnet.data.files.manifest import Manifest
from convnet.data.images.decode import decode
from convnet.data.images.pixels import DecodeError
from convnet.errors import DataError

HASH_BITS = 20
"""The largest number of bits, of 64, in which the hashes of candidates may differ."""
LIKENESS = 0.9
"""The smallest correlation of the thumbnails of candidates."""
CROPPED_LIKENESS = 0.8
"""The same for images that are large enough to be searched for crops."""
EMBEDDED_LIKENESS = 0.8
"""The smallest cosine of the embeddings of candidates."""
LEVELS = 24.0
"""The largest mean difference of the thumbnails of candidates, of 255."""
MOST_ALIKE = 8
"""The candidates per image that are compared closely, those with the most similar hashes."""
MOST_COPIES = 20
"""The most copies of one photo; larger groups of near copies show one scene."""
BLOCK = 2048


@dataclass(frozen=True)
class Pair:
    """The positions of two copies; `exact` if all pixels are equal."""

    first: int
    second: int
    exact: bool


class Copies(NamedTuple):
    """The copies among images.

    Attributes:
        pairs: Pairs of copies, in order; each copy is paired with the first image of its kind.
        conflicts: The number of pairs with different labels.
        alike: The number of images in groups that are too large for near copies.
    """

    pairs: list[Pair]
    conflicts: int = 0
    alike: int = 0

    def numbers(self, count: int, *, near: bool) -> NDArray[np.int64]:
        """A number per image, equal for exact copies, or for exact and near copies."""
        return together(count, [pair for pair in self.pairs if near or pair.exact])


@dataclass(frozen=True)
class Vectors:
    """Embeddings of some images: their positions N, and the numbers N×D."""

    places: NDArray[np.int64]
    numbers: NDArray[np.float32]


def duplicates(manifest: Manifest, found: Scan, vectors: Vectors | None = None) -> Copies:
    """Find copies of images.

    Candidates are found by perceptual hashes and thumbnails and, if there are any, by embeddings. Exact
    copies are confirmed by all pixels, near copies (resized, recompressed, slightly cropped) by
    `copies.same_photo`. Blank images are left out.

    Args:
        manifest: The files.
        found: Their scan.
        vectors: Embeddings, which also find copies that are cropped further.

    Returns:
        The pairs. Dozens of images that are all alike show one scene again and again; they are counted, but
        are no pairs of near copies.
    """
    records = found.records
    usable = (found.decoded & ~records["blank"]).nonzero()[0]
    exact = list(_exact(manifest, records, usable))
    copies = {pair.second for pair in exact}
    originals = np.array([place for place in usable if place not in copies], np.int64)
    near = [Pair(a, b, exact=False) for a, b in _near(manifest, records, originals, vectors)]
    numbers = together(len(manifest), near)
    sizes = np.bincount(numbers)
    scenes = {*np.flatnonzero(sizes > MOST_COPIES).tolist()}
    pairs = [*exact, *(pair for pair in near if numbers[pair.first] not in scenes)]
    ordered = sorted(pairs, key=lambda pair: (pair.first, pair.second))
    labels = [sample.labels for sample in manifest.samples]
    conflicts = sum(labels[pair.first] != labels[pair.second] for pair in ordered)
    return Copies(ordered, conflicts, int(sizes[sorted(scenes)].sum()))


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


def _near(
    manifest: Manifest, records: Records, places: NDArray[np.int64], vectors: Vectors | None
) -> list[tuple[int, int]]:
    """Pairs that are the same photo; a spanning tree for each group of copies."""
    edges = np.empty((2, 0), np.int64)
    kin = np.arange(len(records))
    views = Views(manifest)
    hashed = (pairs[:, _alike(records, pairs)] for pairs in _proposed(records["hash"][places], places))
    for pairs in chain(hashed, _embedded_nearby(vectors, places) if vectors is not None else ()):
        # Pairs that are already connected through others need not be compared.
        alike = pairs[:, kin[pairs[0]] != kin[pairs[1]]]
        views.read(alike.ravel().tolist())
        found = np.array([views.same_photo(a, b) for a, b in alike.T.tolist()], np.bool_)
        if found.any():
            edges = np.concatenate([edges, alike[:, found]], 1)
            kin = _components(len(records), edges)
    if not edges.size:
        return []
    from scipy.sparse import coo_matrix  # imported here because it takes a quarter of a second
    from scipy.sparse.csgraph import minimum_spanning_tree

    links = coo_matrix((np.ones(edges.shape[1]), edges), (len(records), len(records)))
    tree = minimum_spanning_tree(links.tocsr()).tocoo()
    return [(min(a, b), max(a, b)) for a, b in zip(tree.row.tolist(), tree.col.tolist(), strict=True)]


def _proposed(hashes: NDArray[np.uint64], places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs of positions with similar hashes, 2×M with M at most `BLOCK`; few for each position."""
    hashes = np.ascontiguousarray(hashes)
    for top in range(0, len(places), BLOCK):
        distance = np.bitwise_count(hashes[top : top + BLOCK, None] ^ hashes[None, top:])
        later = np.arange(distance.shape[1])[None] > np.arange(len(distance))[:, None]
        distance = np.where(later, distance, 255)
        nearest = np.argsort(distance, 1, kind="stable")[:, :MOST_ALIKE]
        i, column = (np.take_along_axis(distance, nearest, 1) <= HASH_BITS).nonzero()
        pairs = np.stack([places[top + i], places[top + nearest[i, column]]])
        for start in range(0, pairs.shape[1], BLOCK):
            yield pairs[:, start : start + BLOCK]


def _embedded_nearby(vectors: Vectors, places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs of positions with similar embeddings, 2×M; few for each position."""
    chosen = np.isin(vectors.places, places)
    own = vectors.places[chosen]
    units = vectors.numbers[chosen] / np.linalg.norm(vectors.numbers[chosen], axis=1, keepdims=True)
    for top in range(0, len(own), BLOCK):
        cosine = units[top : top + BLOCK] @ units[top:].T
        later = np.arange(cosine.shape[1])[None] > np.arange(len(cosine))[:, None]
        cosine = np.where(later, cosine, -1)
        nearest = np.argsort(-cosine, 1, kind="stable")[:, :MOST_ALIKE]
        i, column = (np.take_along_axis(cosine, nearest, 1) >= EMBEDDED_LIKENESS).nonzero()
        yield np.stack([own[top + i], own[top + nearest[i, column]]])


def _components(count: int, edges: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of the connected component of each of `count` positions, for edges 2×M."""
    from scipy.sparse import coo_matrix  # imported here because it takes a quarter of a second
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(edges.shape[1], np.bool_), edges), (count, count))
    numbers: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return numbers


def _alike(records: Records, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of 2×M pairs have similar thumbnails, in level and in content: the candidates for near copies."""
    a, b = (records["thumb"][side].reshape(len(side), 3 * THUMB**2).astype(np.float32) for side in pairs)
    close = np.abs(a - b).mean(1) <= LEVELS
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    products = np.einsum("md,md->m", a, b)
    sizes = np.einsum("md,md->m", a, a) * np.einsum("md,md->m", b, b)
    shortest = np.minimum(records["width"], records["height"])[pairs].min(0)
    likeness = np.where(shortest < SMALLEST_CROPPED, LIKENESS, CROPPED_LIKENESS)
    alike: NDArray[np.bool_] = close & (products >= likeness * np.sqrt(sizes))
    return alike
