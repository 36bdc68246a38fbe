"""Exact nearest neighbours by comparing everything with everything, a block at a time (M01)."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F

Metric = Literal["l1", "l2", "cosine"]

QUERIES, VECTORS = 1024, 4096
"""Rows of a block: 16 MiB of distances, whatever is searched."""
GROUP = 64
RUN = 8
"""Numbers that are summed for the lower bound of an L1 distance."""
PAIRS = 4096


@torch.no_grad()
def nearest(
    queries: Shaped[Tensor, "Q D"], memory: Shaped[Tensor, "N D"], k: int, metric: Metric = "l2"
) -> tuple[Float[Tensor, "Q k"], Int[Tensor, "Q k"]]:
    """The `k` rows of `memory` that are nearest to each query: distances, ascending, and their indices.

    Distances are Σ|q − m| (l1), √Σ(q − m)² (l2) or 1 − q·m/(‖q‖‖m‖) (cosine). Nothing is approximated, and
    no more than a block of distances is ever held. `memory` may be of another type (uint8) than the queries:
    its blocks are converted. k is at most N.
    """
    dtype = torch.promote_types(queries.dtype, torch.float32)
    with torch.autocast(queries.device.type, enabled=False):
        parts = [_search(q.to(dtype), memory, k, metric) for q in queries.split(QUERIES)]
    distances, indices = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return distances, indices


def _search(queries: Tensor, memory: Tensor, k: int, metric: Metric) -> tuple[Tensor, Tensor]:
    """One block of queries: the best of every block of memory, then the best of those, measured again."""
    if metric == "cosine":
        queries = F.normalize(queries)
    radius = queries.new_full((len(queries), 1), torch.inf)
    values, places = [], []
    for start in range(0, len(memory), VECTORS):
        vectors = memory[start : start + VECTORS].to(queries.dtype)
        few = min(k, len(vectors))
        if metric == "l1":
            compared, radius = _within_radius(queries, vectors, few, radius)
        elif metric == "l2":
            compared = torch.addmm(vectors.square().sum(1), queries, vectors.t(), alpha=-2)
        else:
            compared = -(queries @ F.normalize(vectors).t())
        value, place = _smallest(compared, few)
        values.append(value)
        places.append(place + start)
    best = torch.cat(values, 1).topk(k, largest=False).indices
    indices = torch.cat(places, 1).gather(1, best)
    # Again, without the rounding of a difference of large products.
    distances = torch.stack([_distance(queries, memory[column], metric) for column in indices.t()], 1)
    distances, order = distances.sort(dim=1, stable=True)
    return distances, indices.gather(1, order)


def _within_radius(queries: Tensor, vectors: Tensor, k: int, radius: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distances Q×N of all pairs that can matter, infinity for the others, and the radius that did.

    |Σ(q − m)| over runs of numbers never exceeds Σ|q − m|, and costs an eighth. Pairs whose bound is larger
    than the k-th distance known so far, the radius, are out: about 99 of 100 for pictures.
    """
    if vectors.shape[1] < 4 * RUN:
        return torch.cdist(queries, vectors, p=1), radius
    bounds = torch.cdist(_sums_of_runs(queries), _sums_of_runs(vectors), p=1)
    candidates = _smallest(bounds, k)[1]
    known = torch.stack([_distance(queries, vectors[column], "l1") for column in candidates.t()], 1)
    if k == candidates.shape[1]:
        radius = torch.minimum(radius, known.amax(1, keepdim=True))
    pairs = (bounds <= radius * (1 + 1e-5)).nonzero()
    distances = torch.full_like(bounds, torch.inf)
    for rows, columns in (part.unbind(1) for part in pairs.split(PAIRS)):
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
    vectors = vectors.to(queries.dtype)
    if metric == "cosine":
        return 1 - (queries * F.normalize(vectors)).sum(1)
    if metric == "l1":
        return torch.sub(queries, vectors).abs_().sum(1)
    return torch.sub(queries, vectors).square_().sum(1).sqrt_()
