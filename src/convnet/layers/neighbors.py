"""Exact nearest neighbors by brute force, in blocks."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

from convnet.errors import ModelError

Metric = Literal["l1", "l2", "cosine"]

QUERIES, VECTORS, PAIRS = 1024, 4096, 4096
"""The largest number of rows of a block, and of pairs of rows compared at once."""
NUMBERS = 1 << 24
"""The largest number of elements of a block (64 MiB)."""
SPARE = 8
"""Candidates beyond k, because products of large numbers are rounded."""
GROUP = 64
RUN = 8
"""The number of elements that are summed for the lower bound of an L1 distance."""


@torch.no_grad()
def nearest(
    queries: Shaped[Tensor, "Q D"], memory: Shaped[Tensor, "N D"], k: int, metric: Metric = "l2"
) -> tuple[Float[Tensor, "Q k"], Int[Tensor, "Q k"]]:
    """Find the nearest rows of `memory` for each query.

    Candidates are found by products of centered rows, in blocks of bounded size, and then measured directly.

    Args:
        queries: Q×D.
        memory: N×D, of the same or another type (uint8).
        k: The number of neighbors, at most N.
        metric: Σ|q − m| ("l1"), √Σ(q − m)² ("l2") or 1 − q·m/(‖q‖‖m‖) ("cosine").

    Returns:
        Distances Q×k, ascending, and indices Q×k.
    """
    if torch.compiler.is_exporting():
        return _nearest_by_products(queries, memory, k, metric)
    dtype = torch.promote_types(queries.dtype, torch.float32)
    center = None if metric == "l1" else _mean(memory, dtype, metric)
    with torch.autocast(queries.device.type, enabled=False):
        blocks = queries.split(_rows(QUERIES, queries))
        parts = [_search(q.to(dtype), memory, k, metric, center) for q in blocks]
    distances, indices = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return distances, indices


def _nearest_by_products(queries: Tensor, memory: Tensor, k: int, metric: Metric) -> tuple[Tensor, Tensor]:
    """The same for exported models, without blocks; float64 products of pixels are exact."""
    if metric == "l1":
        raise ModelError(
            "k-NN with metric=l1 cannot be exported: ONNX has no such distance; use l2 or cosine"
        )
    rows, columns = (_prepared(x, torch.float64, metric) for x in (queries, memory))
    squares = rows.square().sum(1, keepdim=True) + columns.square().sum(1) - 2 * rows @ columns.t()
    values, places = squares.clamp_min(0).topk(k, largest=False)
    return values / 2 if metric == "cosine" else values.sqrt(), places


def _mean(memory: Tensor, dtype: torch.dtype, metric: Metric) -> Tensor:
    blocks = (_prepared(block, dtype, metric) for block in memory.split(_rows(VECTORS, memory)))
    return torch.cat([block.sum(0, keepdim=True) for block in blocks]).sum(0, keepdim=True) / len(memory)


def _prepared(x: Tensor, dtype: torch.dtype, metric: Metric) -> Tensor:
    """Rows as floats; normalized for the cosine, which is then half the squared Euclidean distance."""
    return F.normalize(x.to(dtype)) if metric == "cosine" else x.to(dtype)


def _rows(most: int, x: Tensor) -> int:
    """The number of rows of x per block; fewer if rows are long."""
    return max(16, min(most, NUMBERS // x.shape[1]))


def _search(
    queries: Tensor, memory: Tensor, k: int, metric: Metric, center: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Search for one block of queries: candidates from every block of memory, then exact distances."""
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
    """L1 distances Q×N of pairs within the radius, infinity for others, and the new radius.

    |Σ(q − m)| over runs of elements is a lower bound of Σ|q − m| at an eighth of the cost. Pairs whose bound
    exceeds the k-th smallest distance so far, the radius, are skipped: about 99% for images.
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
    """The k smallest of every row, searched within the k groups of 64 with the smallest minima."""
    if 2 * k * GROUP >= distances.shape[1]:
        return distances.topk(k, largest=False)
    padded = F.pad(distances, (0, -distances.shape[1] % GROUP), value=torch.inf)
    groups = padded.unflatten(1, (-1, GROUP))
    chosen = groups.amin(2).topk(k, largest=False).indices
    members = groups.gather(1, chosen[:, :, None].expand(-1, -1, GROUP)).flatten(1)
    values, place = members.topk(k, largest=False)
    return values, chosen.gather(1, place // GROUP) * GROUP + place % GROUP


def _distance(queries: Tensor, vectors: Tensor, metric: Metric) -> Tensor:
    """Row-wise distances of Q×D and Q×D → Q; queries are normalized if the metric is cosine."""
    difference = queries - _prepared(vectors, queries.dtype, metric)
    if metric == "l1":
        return difference.abs_().sum(1)
    squares = difference.square_().sum(1)
    return squares / 2 if metric == "cosine" else squares.sqrt_()
