"""A map of the embeddings of held-out samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convnet.data import Dataset, Loader
from convnet.explain import embed
from convnet.explain.projection import principal_components, t_sne
from convnet.layers import Network
from convnet.types import evaluation_batch

SMALL_SIDE = 64
MOST_SMALL, MOST_LARGE = 1000, 200
"""The largest number of samples, of images up to 64 pixels and of larger ones."""


@dataclass(frozen=True)
class EmbeddingMap:
    """Embeddings of samples in two dimensions.

    Attributes:
        indices: The samples, N.
        labels: Their classes, N.
        pca: Coordinates along the two principal components, N×2.
        t_sne: Coordinates of t-SNE, N×2; None for few samples.
    """

    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    pca: NDArray[np.float64]
    t_sne: NDArray[np.float64] | None


def embedding_map(model: Network, dataset: Dataset, indices: Tensor) -> EmbeddingMap | None:
    """Embed samples and project them; None if fewer than three can be read.

    Args:
        model: A network with an embedding of whole samples.
        dataset: The data.
        indices: The samples; at most 1,000 of them are used, 200 of images above 64 pixels.
    """
    most = MOST_SMALL if max(dataset.info.shape[1:]) <= SMALL_SIDE else MOST_LARGE
    chosen = indices[torch.linspace(0, len(indices) - 1, min(most, len(indices))).long()]
    kept: list[Tensor] = []
    labels: list[Tensor] = []

    def images() -> Iterator[Tensor]:
        for batch in Loader(dataset, chosen, evaluation_batch(dataset.info.shape)).epoch():
            kept.append(batch.indices.cpu())
            labels.append(batch.targets.cpu())
            yield batch.images

    if len(chosen) < 3:
        return None
    codes = embed(model, images())
    found, classes = torch.cat(kept).numpy(), torch.cat(labels).numpy()
    return EmbeddingMap(found, classes, principal_components(codes), t_sne(codes))
