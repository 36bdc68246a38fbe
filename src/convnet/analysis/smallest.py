"""The smallest input that a network accepts."""

from __future__ import annotations

import torch
from torch import nn

from convnet.analysis.inputs import Inputs, by
from convnet.analysis.trace import NothingLeftError, Trace, trace
from convnet.errors import ModelError

LARGEST_TRIED = 1 << 14


def fitting_trace(module: nn.Module, inputs: Inputs, *, training: bool = False) -> Trace:
    """Trace a module on the meta device.

    Raises:
        ModelError: A layer fails; if the input is too small, the message gives the smallest that works.
    """
    try:
        return trace(module, inputs, training=training)
    except NothingLeftError as error:
        smallest = smallest_input(module, inputs.first, inputs.dtype) if inputs.form == "one" else None
        way_out = f"; the smallest input that works is {by(smallest)}" if smallest else ""
        raise ModelError(f"{error}{way_out}") from None


def smallest_input(module: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[int, ...] | None:
    """The smallest sizes, not below those of `shape`, for which no window exceeds its input.

    None if no size works. The search assumes that sides are independent and larger sides never worse.
    """
    sides = list(shape[1:])
    if not sides or not _fits(module, (shape[0], *(LARGEST_TRIED for _ in sides)), dtype):
        return None
    for place in range(len(sides)):
        low, high = sides[place] - 1, LARGEST_TRIED
        while high - low > 1:
            middle = (low + high) // 2
            tried = [LARGEST_TRIED] * len(sides)
            tried[place] = middle
            if _fits(module, (shape[0], *tried), dtype):
                high = middle
            else:
                low = middle
        sides[place] = high
    return (shape[0], *sides)


def _fits(module: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    try:
        trace(module, Inputs({"0": shape}, dtype))
    except NothingLeftError:
        return False
    except ModelError:  # a later layer may take one size only, which is not checked here
        return True
    return True
