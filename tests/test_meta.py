"""The shapes that MetaMode makes itself are those that torch makes on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune

from convnet.errors import ModelError
from convnet.meta import MetaMode, on_meta

X = torch.zeros(2, 4, 9, 7)

OPERATIONS: dict[str, Callable[[Tensor], object]] = {
    "pointwise": lambda x: (x + 1) * x.mean((2, 3), keepdim=True) - x[:, :1],
    "activations": lambda x: (F.relu(x), F.gelu(x), F.elu(x), x.tanh(), F.leaky_relu(x), F.hardswish(x)),
    "in place": lambda x: x.clone().add_(1).relu_(),
    "integers": lambda x: torch.arange(5, device=x.device) // 2 + x.shape[0],
    "comparisons": lambda x: ((x > 0) & (x < 1)).sum(1),
    "mixed types": lambda x: x.half() + x,
    "concatenation": lambda x: torch.cat([x, x[:, :2]], 1),
    "means": lambda x: (x.mean(), x.mean(1), x.mean((1, -1), keepdim=True), x.mean(0, dtype=torch.float64)),
    "dense": lambda x: F.linear(x.flatten(2), x.new_zeros(5, 63), x.new_zeros(5)),
    "batch norm": lambda x: nn.BatchNorm2d(4, device=x.device)(x),
    "batch norm, evaluation": lambda x: nn.BatchNorm2d(4, device=x.device).eval()(x),
    "one-dimensional": lambda x: F.conv1d(x[:, :, 0], x.new_zeros(3, 4, 2), stride=2, padding=1),
    "three-dimensional": lambda x: F.conv3d(x[None], x.new_zeros(3, 2, 1, 2, 2)),
    "transposed": lambda x: F.conv_transpose2d(x, x.new_zeros(4, 3, 2, 2), stride=2, output_padding=1),
    "pools": lambda x: (F.max_pool2d(x, 2), F.avg_pool2d(x, (2, 3), 1)),
    "pools that round up": lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "dropout": lambda x: F.dropout(x, 0.5, training=True),
    "indices": lambda x: F.max_pool2d(x, 2, return_indices=True),
    "adaptive": lambda x: (F.adaptive_avg_pool2d(x, 1), F.adaptive_avg_pool2d(x, (3, 2))),
}  # fmt: skip


def described(value: object) -> object:
    if isinstance(value, tuple):
        return [described(item) for item in value]
    assert isinstance(value, Tensor)
    return tuple(value.shape), value.dtype


@pytest.mark.parametrize("name", OPERATIONS)
def test_shapes_and_types_are_torchs(name: str) -> None:
    expected = described(OPERATIONS[name](X))
    with torch.device("meta"), MetaMode():
        assert described(OPERATIONS[name](X.to("meta"))) == expected


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2),
    st.sampled_from([1, 2, 4]),
)  # fmt: skip
def test_convolutions_and_pools(kernel, stride, padding, dilation, groups) -> None:
    def run(x: Tensor) -> tuple[Tensor, ...]:
        weight = x.new_zeros(8, 4 // groups, *kernel)
        y = F.conv2d(x, weight, None, stride, padding, dilation, groups)
        narrow = min(padding, min(kernel) // 2)
        return (
            y,
            F.max_pool2d(x, kernel, stride, narrow),
            F.avg_pool2d(x, kernel, stride, narrow, ceil_mode=True),
        )

    expected = described(run(X))
    with MetaMode():
        assert described(run(X.to("meta"))) == expected


def test_shapes_that_do_not_fit_are_still_refused() -> None:
    for wrong in (
        lambda x: x + x[:, :3],
        lambda x: torch.cat([x, x[:, :, :3]], 1),
        lambda x: F.conv2d(x, x.new_zeros(3, 3, 2, 2)),
        lambda x: F.linear(x, x.new_zeros(5, 3), x.new_zeros(5)),
        lambda x: F.max_pool2d(x, 8),
        lambda x: F.avg_pool2d(x, 2, 1, padding=2),
        lambda x: F.conv2d(x, x.new_zeros(5, 2, 2, 2), groups=2),
        lambda x: x[:, :1].add_(x),
    ):
        with pytest.raises((RuntimeError, ValueError)) as caught, MetaMode():
            wrong(X.to("meta"))
        assert not isinstance(caught.value, NotImplementedError)
    with pytest.raises(IndexError), MetaMode():
        torch.cat([X, X], 5)


def test_computed_weights_are_copied_too() -> None:
    """Pruning keeps a tensor with a history as an attribute, which deepcopy alone refuses."""
    model = prune.l1_unstructured(nn.Linear(4, 2), "weight", 0.5)
    assert on_meta(model)(torch.zeros(1, 4, device="meta")).shape == (1, 2)


def test_compiled_modules_are_refused() -> None:
    scripted = torch.jit.ScriptModule.__new__(torch.jit.ScriptModule)
    with pytest.raises(ModelError, match="compiled by TorchScript"):
        on_meta(nn.Sequential(scripted))


def test_a_module_that_cannot_be_copied_is_named() -> None:
    model = nn.Linear(2, 2)
    model.lock = __import__("threading").Lock()  # type: ignore[assignment]
    with pytest.raises(ModelError, match="Linear cannot be copied: TypeError"):
        on_meta(model)
