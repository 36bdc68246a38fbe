"""Layers that learn from passes over the samples."""

from __future__ import annotations

import pytest
import torch

from convnet.errors import ModelError
from convnet.layers import Standardize


def test_standardize_is_over_the_training_samples() -> None:
    x = torch.randn(50, 6, 1, 1, generator=torch.Generator().manual_seed(0)) * 7 + 1000
    x[:, 2] = 5.0
    layer = Standardize()
    with pytest.raises(ModelError, match="is not fitted; call fit first"):
        layer(x)
    layer.fit(lambda: [(x[:30], torch.zeros(30)), (x[30:], torch.zeros(20))], None)
    out = layer(x)
    others = [0, 1, 3, 4, 5]
    torch.testing.assert_close(out[:, others].mean(0), torch.zeros(5, 1, 1), atol=1e-3, rtol=0)
    torch.testing.assert_close(out[:, others].std(0, correction=0), torch.ones(5, 1, 1), rtol=1e-3, atol=0)
    assert out[:, 2].abs().max() == 0


def test_what_was_learned_survives_saving() -> None:
    x = torch.rand(20, 3, 4, 4)
    layer, other = Standardize(), Standardize()
    layer.fit(lambda: [(x, torch.zeros(20))], None)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
