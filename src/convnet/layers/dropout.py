"""Dropout whose mask costs a fraction of torch's on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 1 << 16


class Dropout(nn.Module):
    """Zeroes each element with probability `p` while training and scales the rest by 1/(1 − p).

    On the CPU torch draws one Bernoulli number after the other, which takes a third of a step of a small
    network. Here a hash makes 16 bits for every element, with all threads; `p` is rounded to 1/65,536.

    Raises:
        ValueError: unless 0 ≤ p < 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"the dropout rate must be in [0, 1), got {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same shape."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        # Independent noise has no order of its own: it takes the memory layout of x.
        noise = _random_int16(x.numel()).as_strided(x.shape, torch.empty_like(x).stride())
        dropped = min(max(1, round(self.p * _LEVELS)), _LEVELS - 1)
        # 0 where noise lies below the threshold, else 1, by arithmetic: comparisons make booleans, whose
        # conversion to x's type takes longer than the rest.
        last_dropped = dropped - _LEVELS // 2 - 1
        keep = noise.clamp_(last_dropped, last_dropped + 1).sub_(last_dropped)
        return x * keep.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"p={self.p}"


def _random_int16(count: int) -> Tensor:
    """`count` independent uniform int16: a counter-based generator, keyed from torch's own.

    Counters from a random start, times a random odd number, go through the 32-bit finaliser of MurmurHash3
    (Appleby 2011), which lets every input bit change every output bit; each result gives two numbers.
    """
    words = (count + 1) // 2
    start, factor = torch.randint(2**31 - words, (2,)).tolist()
    bits = torch.arange(start, start + words, dtype=torch.int32).mul_(2 * factor + 1 - 2**31)
    _xor_shift(bits, 16).mul_(0x85EBCA6B - 2**32)
    _xor_shift(bits, 13).mul_(0xC2B2AE35 - 2**32)
    return _xor_shift(bits, 16).view(torch.int16)[:count]


def _xor_shift(bits: Tensor, shift: int) -> Tensor:
    """bits ^= bits >> shift, without the sign that torch shifts in from the left."""
    return bits.bitwise_xor_((bits >> shift).bitwise_and_((1 << (32 - shift)) - 1))
