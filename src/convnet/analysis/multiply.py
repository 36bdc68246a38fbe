"""Multiply-accumulates of an operation, as torch's own counter has them."""

from __future__ import annotations

import re
from typing import Any

from torch.utils.flop_counter import flop_registry

_MULTIPLIES = re.compile(
    r"mm(_|$)|mv$|dot(_|$)|addr$|matmul|conv(?!ert)|trilinear|(^|_)linear|linalg_(?!vector_norm|cross|check)"
    r"|cholesky|solve|geqrf|ormqr|fft|rnn|lstm|gru|attention|qkv|encoder_layer|[cp]dist|euclidean"
)
"""Parts of the names of ATen's operations that sum products, of which torch counts only some."""

_OTHERS_THAT_COPY = {"torchvision::nms", "torchvision::roi_align", "torchvision::roi_pool"}


def multiplications(func: Any, args: Any, kwargs: Any, out: Any) -> tuple[int, bool]:
    """Multiply-accumulates of an operation: half of torch's floating-point operations.

    ATen's set of operations is closed and its names are telling: one that is not in torch's registry and not
    named like a sum of products has none, as with torch. Whoever defines another may multiply in it.

    Returns:
        The number, and whether it is known.
    """
    if func._overloadpacket in flop_registry:
        flops: int = flop_registry[func._overloadpacket](*args, **kwargs, out_val=out)
        return flops // 2, True
    if func.namespace in ("aten", "prims"):
        return 0, not _MULTIPLIES.search(func._overloadpacket.__name__)
    return 0, f"{func.namespace}::{func._overloadpacket.__name__}" in _OTHERS_THAT_COPY
