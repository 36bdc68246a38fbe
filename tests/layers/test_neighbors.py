"""Exact nearest neighbors against SciPy's distances (M01)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from convnet.layers import nearest
from convnet.layers.neighbors import VECTORS

SCIPY = {"l1": "cityblock", "l2": "euclidean", "cosine": "cosine"}


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(SCIPY)),
    st.integers(1, 300),
    st.integers(1, 80),
    st.integers(1, 5),
    st.integers(0, 99),
)
def test_equal_to_scipy(metric: str, count: int, length: int, queries: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    memory, asked = generator.random((count, length)), generator.random((queries, length))
    k = int(generator.integers(1, count + 1))
    distances, indices = nearest(torch.from_numpy(asked), torch.from_numpy(memory), k, metric)
    measured = cdist(asked, memory, SCIPY[metric])
    np.testing.assert_allclose(distances, np.sort(measured, 1)[:, :k], rtol=1e-7, atol=1e-9)
    found = np.take_along_axis(measured, indices.numpy(), 1)
    np.testing.assert_allclose(found, distances, rtol=1e-7, atol=1e-9)
    assert all(len(set(row)) == k for row in indices.tolist())


@pytest.mark.parametrize("metric", sorted(SCIPY))
@pytest.mark.parametrize("k", [1, 7])
def test_across_blocks_and_from_bytes(metric: str, k: int) -> None:
    """More vectors than fit into a block, uint8, some of them equal to queries."""
    generator = torch.Generator().manual_seed(0)
    memory = torch.randint(0, 256, (2 * VECTORS + 37, 40), generator=generator, dtype=torch.uint8)
    asked = memory[[5, VECTORS + 1, 2 * VECTORS + 36]].float()
    distances, indices = nearest(asked, memory, k, metric)
    assert indices[:, 0].tolist() == [5, VECTORS + 1, 2 * VECTORS + 36]
    expected = np.sort(cdist(asked.numpy(), memory.numpy().astype(float), SCIPY[metric]), 1)[:, :k]
    np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-5)


def test_precision_is_not_lowered_by_autocast() -> None:
    x = torch.rand(50, 30, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        distances, indices = nearest(x, x, 1)
    assert indices[:, 0].tolist() == list(range(50))
    assert distances.max() == 0


def test_differences_that_are_small_against_the_vectors() -> None:
    """‖q‖² − 2qm + ‖m‖² in float32 would not tell these apart."""
    generator = torch.Generator().manual_seed(0)
    memory = 1000 + 0.05 * torch.randn(3000, 30, generator=generator)
    asked = 1000 + 0.05 * torch.randn(50, 30, generator=generator)
    expected = cdist(asked.numpy().astype(float), memory.numpy().astype(float)).argmin(1)
    assert (nearest(asked, memory, 1)[1][:, 0].numpy() == expected).mean() == 1


def test_more_neighbors_than_a_block_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convnet.layers.neighbors.VECTORS", 32)
    generator = np.random.default_rng(0)
    memory, asked = generator.random((150, 40)), generator.random((3, 40))
    for metric in SCIPY:
        distances, _ = nearest(torch.from_numpy(asked), torch.from_numpy(memory), 100, metric)  # type: ignore[arg-type]
        np.testing.assert_allclose(distances, np.sort(cdist(asked, memory, SCIPY[metric]), 1)[:, :100])
