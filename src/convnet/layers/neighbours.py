"""Exact nearest neighbours by comparing everything with everything, a block at a time (M01)."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

Metric = Literal["l1", "l2", "cosine"]

QUERIES, VECTORS, PAIRS = 1024, 4096, 4096
"""Rows of a block, and pairs of rows measured at once, where a row is not long."""
NUMBERS = 1 << 24
"""Numbers that a block of rows may hold: 64 MiB, however long its rows."""
SPARE = 8
"""Candidates beyond k, since products of large numbers are rounded before they are compared."""
GROUP = 64
RUN = 8
"""Numbers that are summed for the lower bound of an L1 distance."""


@torch.no_grad()
def nearest(
    queries: Shaped[Tensor, "Q D"], memory: Shaped[Tensor, "N D"], k: int, metric: Metric = "l2"
) -> tuple[Float[Tensor, "Q k"], Int[Tensor, "Q k"]]:
    """The `k` rows of `memory` that are nearest to each query: distances, ascending, and their indices.

    Distances are Σ|q − m| (l1), √Σ(q − m)² (l2) or 1 − q·m/(‖q‖‖m‖) (cosine). Everything is compared, in
    blocks of bounded size; candidates are found by products of centred rows and then measured directly.
    `memory` may be of another type (uint8) than the queries: its blocks are converted. k is at most N.
    """
    dtype = torch.promote_types(queries.dtype, torch.float32)
    center = None if metric == "l1" else _mean(memory, dtype, metric)
    with torch.autocast(queries.device.type, enabled=False):
        blocks = queries.split(_rows(QUERIES, queries))
        parts = [_search(q.to(dtype), memory, k, metric, center) for q in blocks]
    distances, indices = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return distances, indices


def _mean(memory: Tensor, dtype: torch.dtype, metric: Metric) -> Tensor:
    blocks = (_prepared(block, dtype, metric) for block in memory.split(_rows(VECTORS, memory)))
    return torch.cat([block.sum(0, keepdim=True) for block in blocks]).sum(0, keepdim=True) / len(memory)


def _prepared(x: Tensor, dtype: torch.dtype, metric: Metric) -> Tensor:
    """As floats; for the cosine of length 1, whose distance is half the square of the Euclidean one."""
    return F.normalize(x.to(dtype)) if metric == "cosine" else x.to(dtype)


def _rows(most: int, x: Tensor) -> int:
    """Rows of x in a block: fewer where they are long."""
    return max(16, min(most, NUMBERS // x.shape[1]))


def _search(
    queries: Tensor, memory: Tensor, k: int, metric: Metric, center: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One block of queries: the best of every block of memory, then the best of those, measured again."""
    queries = _prepared(queries, queries.dtype, metric)
    radius = queries.new_full((len(queries), 1), torch.inf)
    values, places, size = [], [], _rows(VECTORS, memory)
    for start in range(0, len(memory), size):
        vectors = _prepared(memory[start : start + size], queries.dtype, metric)
        if center is None:
            compared, radius = _within_radius(queries, vectors, k, radius)
        else:
            vectors = vectors - center
            compared = torch.addmm(vectors.square().sum(1), queries - center, vectors.t(), alpha=-2)
        value, place = _smallest(compared, min(k + SPARE, len(vectors)))
        values.append(value)
        places.append(place + start)
    candidates = torch.cat(values, 1)
    best = candidates.topk(min(k + SPARE, candidates.shape[1]), largest=False).indices
    indices = torch.cat(places, 1).gather(1, best)
    distances = torch.stack([_distance(queries, memory[column], metric) for column in indices.t()], 1)
    distances, order = distances.sort(dim=1, stable=True)
    return distances[:, :k], indices.gather(1, order)[:, :k]


def _within_radius(queries: Tensor, vectors: Tensor, k: int, radius: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distances Q×N of all pairs that can matter, infinity for the others, and the radius that did.

    |Σ(q − m)| over runs of numbers never exceeds Σ|q − m|, and costs an eighth. Pairs whose bound is larger
    than the k-th distance known so far, the radius, are out: about 99 of 100 for pictures.
    """
    if vectors.shape[1] < 4 * RUN:
        return torch.cdist(queries, vectors, p=1), radius
    bounds = torch.cdist(_sums_of_runs(queries), _sums_of_runs(vectors), p=1)
    if len(vectors) >= k:
        candidates = _smallest(bounds, k)[1]
        known = torch.stack([_distance(queries, vectors[column], "l1") for column in candidates.t()], 1)
        radius = torch.minimum(radius, known.amax(1, keepdim=True))
    pairs = (bounds <= radius * (1 + 1e-5)).nonzero()
    distances = torch.full_like(bounds, torch.inf)
    for rows, columns in (part.unbind(1) for part in pairs.split(_rows(PAIRS, vectors))):
        distances[rows, columns] = _distance(queries[rows], vectors[columns], "l1")
    return distances, radius


def _sums_of_runs(x: Tensor) -> Tensor:
    runs: Tensor = F.pad(x, (0, -x.shape[1] % RUN)).unflatten(1, (-1, RUN))
    return runs.sum(2)


def _smallest(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of every row: first the k groups of 64 with the smallest members, then among those."""
    if 2 * k * GROUP >= distances.shape[1]:
        return distances.topk(k, largest=False)
    padded = F.pad(distances, (0, -distances.shape[1] % GROUP), value=torch.inf)
    groups = padded.unflatten(1, (-1, GROUP))
    chosen = groups.amin(2).topk(k, largest=False).indices
    members = groups.gather(1, chosen[:, :, None].expand(-1, -1, GROUP)).flatten(1)
    values, place = members.topk(k, largest=False)
    return values, chosen.gather(1, place // GROUP) * GROUP + place % GROUP


def _distance(queries: Tensor, vectors: Tensor, metric: Metric) -> Tensor:
    """Row against row: Q×D and Q×D → Q. Queries are of length 1 where the metric is cosine."""
    difference = queries - _prepared(vectors, queries.dtype, metric)
    if metric == "l1":
        return difference.abs_().sum(1)
    squares = difference.square_().sum(1)
    return squares / 2 if metric == "cosine" else squares.sqrt_()
