"""Projections of embeddings to two dimensions: PCA and t-SNE."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

COMPONENTS = 50
"""The number of principal components that t-SNE starts from."""
PERPLEXITY = 30.0


def principal_components(embeddings: Float[Tensor, "N D"], count: int = 2) -> NDArray[np.float64]:
    """The coordinates N×count along the directions of largest variance; zeros if there are fewer."""
    known = embeddings.nan_to_num(0.0, 0.0, 0.0)
    centered = (known - known.mean(0)).double().cpu().numpy()
    turned, lengths, _ = np.linalg.svd(centered, full_matrices=False)
    found = turned[:, :count] * lengths[:count]
    return np.pad(found, ((0, 0), (0, count - found.shape[1])))


def t_sne(embeddings: Float[Tensor, "N D"]) -> NDArray[np.float64] | None:
    """Coordinates N×2 that keep neighbors together (van der Maaten and Hinton 2008).

    None for fewer than ten samples, and for embeddings that vary in fewer than two directions.
    """
    from sklearn.manifold import TSNE  # imported here because it takes half a second

    if len(embeddings) < 10 or not bool(embeddings.isfinite().all()):
        return None
    start = principal_components(embeddings, min(COMPONENTS, *embeddings.shape))
    if start.shape[1] < 2 or start[:, 1].std() < 1e-9:
        return None
    model = TSNE(2, perplexity=min(PERPLEXITY, (len(start) - 1) / 3), init="pca", random_state=0)
    found: NDArray[np.float64] = model.fit_transform(start)
    return found
