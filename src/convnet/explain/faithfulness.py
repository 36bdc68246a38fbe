"""How far to trust an attribution map: deletion, insertion, and a network with random weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from convnet.explain.attribution import Attribution
from convnet.explain.ranks import rank_correlation
from convnet.layers import Normalize

STEPS = 10
"""Steps in which pixels are removed or added."""


@dataclass(frozen=True)
class Faithfulness:
    """Scores of an attribution map.

    Attributes:
        deletion: The mean probability of the class while the most important pixels are removed first; low is
            good (Petsiuk et al. 2018).
        insertion: The mean probability while the most important pixels are added first; high is good.
        random_similarity: The rank correlation with the same map of a network with random weights (Adebayo et
            al. 2018); near 1, the map shows the image rather than what was learned.
        deletion_curve: The probability after each step.
        insertion_curve: The same for insertion.
    """

    deletion: float
    insertion: float
    random_similarity: float
    deletion_curve: NDArray[np.float64]
    insertion_curve: NDArray[np.float64]

    def as_dict(self) -> dict[str, float]:
        """The scores as plain values, for JSON."""
        return {
            "deletion": self.deletion,
            "insertion": self.insertion,
            "random_similarity": self.random_similarity,
        }


def measure_faithfulness(
    probabilities: Callable[[Tensor], Tensor],
    image: Float[Tensor, "1 C H W"],
    target: int,
    found: Attribution,
    other: Attribution,
) -> Faithfulness:
    """Score an attribution map.

    Args:
        probabilities: The class probabilities N×K of images.
        image: The image; removed pixels are zero, which is the mean of normalized images.
        target: The class.
        found: The map.
        other: The same map of the network `with_random_weights`.
    """
    order = found.values.flatten().argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    edges = torch.linspace(0, len(order), STEPS + 1).round().long()[1:-1]
    first = (rank[None] < edges[:, None]).view(-1, 1, *found.values.shape)
    blank = torch.zeros_like(image)
    masked = [image, blank, torch.where(first, blank, image), torch.where(first, image, blank)]
    with torch.no_grad():
        batch = torch.cat(masked).contiguous(memory_format=torch.channels_last)  # faster on CPUs
        whole, nothing, removed, added = (
            probabilities(batch)[:, target].double().split([len(part) for part in masked])
        )
    deletion = torch.cat([whole, removed, nothing]).numpy()
    insertion = torch.cat([nothing, added, whole]).numpy()
    return Faithfulness(
        float(np.trapezoid(deletion) / STEPS),
        float(np.trapezoid(insertion) / STEPS),
        rank_correlation(found.values, other.values),
        deletion,
        insertion,
    )


def with_random_weights(model: nn.Module) -> nn.Module:
    """A copy of the network with new random weights in every layer; norms keep their statistics.

    Weights of layers that cannot be reset are drawn from a normal distribution with their own mean and
    deviation.
    """
    network = copy.deepcopy(model).eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for part in network.modules():
            if isinstance(part, Normalize | nn.modules.batchnorm._BatchNorm):
                continue
            if (reset := getattr(part, "reset_parameters", None)) is not None:
                reset()
                continue
            for weights in part.parameters(recurse=False):
                deviation = float(weights.std()) if weights.numel() > 1 else float(weights.abs())
                weights.normal_(float(weights.mean()), deviation)
    return network
