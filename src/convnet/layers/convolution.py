"""Convolution layers with named padding ("same", "valid", "full", "causal")."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Sides = int | tuple[int, ...]
Padding = str | Sides


class _PaddedByPurpose(nn.Module):
    """What `Conv1d` and `Conv2d` add to torch's layers: checked arguments and named padding."""

    sides: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sides,
        *,
        stride: Sides = 1,
        padding: Padding = "valid",
        dilation: Sides = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        window = _Window(self.sides, kernel_size, stride, dilation)
        fixed = window.padding(padding)
        _require_groups(groups, in_channels, out_channels)
        super().__init__(  # torch's layer, which is the next class in line
            in_channels,
            out_channels,
            window.kernel_size,
            window.stride,
            fixed or 0,
            window.dilation,
            groups,
            bias,
        )
        self._pad = (
            None if fixed is not None else window.pad_causal if padding == "causal" else window.pad_same
        )

    @property
    def pads_by_purpose(self) -> bool:
        """Whether zeros are added that the number `padding` does not include."""
        return self._pad is not None

    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N D *places"]:
        """N×C×… → N×D×…."""
        out: Tensor = super().forward(x if self._pad is None else self._pad(x))
        return out


class Conv1d(_PaddedByPurpose, nn.Conv1d):
    """1-D convolution N×C×L → N×D×L'; arguments as `Conv2d`."""

    sides = 1


class Conv2d(_PaddedByPurpose, nn.Conv2d):
    """2-D convolution N×C×H×W → N×D×H'×W'.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: One side, or (height, width).
        stride: One number, or (vertical, horizontal).
        padding: Zeros on every side, (vertical, horizontal) zeros, or a name. "valid" adds none. "full" adds
            as many as let every weight reach every input pixel. "same" keeps the size, or divides it by the
            stride, rounding up; an odd zero goes to the bottom and the right, as in TensorFlow. "causal" puts
            all zeros in front, so that outputs do not depend on later inputs.
        dilation: One number, or (vertical, horizontal).
        groups: Groups of channels.
        bias: Whether to add a bias.

    Raises:
        ValueError: A size, stride or dilation is below 1, padding is negative, or groups do not divide the
            channels.
    """

    sides = 2


class UpConv2d(nn.ConvTranspose2d):
    """Up-convolution: transposed convolution whose output is exactly `stride` times as large.

    Raises:
        ValueError: The stride is below 2, or the kernel is smaller than the stride and would leave gaps.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 2, *, stride: int = 2, bias: bool = True
    ) -> None:
        if not 2 <= stride <= kernel_size:
            raise ValueError(f"stride must lie between 2 and the kernel size {kernel_size}, got {stride}")
        surplus = kernel_size - stride
        super().__init__(in_channels, out_channels, kernel_size, stride, surplus // 2, bias=bias)
        self.odd = surplus % 2

    def forward(
        self, x: Float[Tensor, "N C H W"], output_size: list[int] | None = None
    ) -> Float[Tensor, "N D I J"]:
        """The transpose of `Conv2d` with "same" padding; an odd place is cut off at the bottom and right."""
        out: Tensor = super().forward(x, output_size)
        return out[..., : -self.odd, : -self.odd] if self.odd else out


class _Window:
    """Kernel size, stride and dilation along every side, checked."""

    def __init__(self, sides: int, kernel_size: Sides, stride: Sides, dilation: Sides) -> None:
        # Any, because torch's annotations want tuples of one or of two.
        self.kernel_size: Any = _per_side("kernel_size", kernel_size, sides, least=1)
        self.stride: Any = _per_side("stride", stride, sides, least=1)
        self.dilation: Any = _per_side("dilation", dilation, sides, least=1)
        self.reach = tuple(d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True))

    def padding(self, padding: Padding) -> Any:
        """Zeros on both ends of every side; None where they depend on the input or differ between ends."""
        if not isinstance(padding, str):
            return _per_side("padding", padding, len(self.reach), least=0)
        if padding == "same":
            even = all(s == 1 for s in self.stride) and all(r % 2 == 0 for r in self.reach)
            return tuple(r // 2 for r in self.reach) if even else None
        if padding == "causal":
            return None
        if padding not in ("valid", "full"):
            raise ValueError(f'padding must be "valid", "same", "full", "causal" or numbers, got "{padding}"')
        return self.reach if padding == "full" else tuple(0 for _ in self.reach)

    def pad_causal(self, x: Tensor) -> Tensor:
        """Zeros in front of every side, as many as the kernel reaches back."""
        return F.pad(x, [zeros for reach in reversed(self.reach) for zeros in (reach, 0)])

    def pad_same(self, x: Tensor) -> Tensor:
        """Zeros for an output of ceil(N/S) along every side, the surplus at the end."""
        ends: list[int] = []
        for size, stride, reach in zip(x.shape[2:], self.stride, self.reach, strict=True):
            missing = max(0, (-(-size // stride) - 1) * stride + reach + 1 - size)
            ends = [missing // 2, missing - missing // 2, *ends]  # F.pad begins with the last side
        return F.pad(x, ends)


def _per_side(name: str, value: Sides, sides: int, least: int) -> tuple[int, ...]:
    values = (value,) * sides if isinstance(value, int) else tuple(value)
    if len(values) != sides or min(values) < least:
        expected = "a number" if sides == 1 else f"a number, or {sides} numbers,"
        raise ValueError(f"{name} must be {expected} of at least {least}, got {value}")
    return values


def _require_groups(groups: int, in_channels: int, out_channels: int) -> None:
    if groups < 1 or in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups must divide the channels: {groups} groups, {in_channels} channels in, {out_channels} out"
        )


def guard_narrow_convolutions(model: nn.Module) -> None:
    """Let every padded, strided 2-D convolution of `model` step by one along maps of a single column.

    There, the gradient of a bf16 kernel takes what lies in uninitialized memory for the taps that only meet
    padding. With one column before and behind the layer, its stride along it means nothing, and with a stride
    of 1 the gradient is right. A network with four halvings meets such maps in images below 32 pixels.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and _keeps_one_column(module):
            module.register_forward_pre_hook(_StrideOfOne(module.stride))


def _keeps_one_column(layer: nn.Conv2d) -> bool:
    """Whether it is strided and makes one column of one, by padding with zeros."""
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return False
    covers = layer.dilation[1] * (layer.kernel_size[1] - 1)
    return layer.stride[1] > 1 and 0 < covers == 2 * layer.padding[1]


class _StrideOfOne:
    """A hook that chooses the stride by the width of each input."""

    def __init__(self, stride: tuple[int, ...]) -> None:
        self.stride = stride

    def __call__(self, layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(layer, nn.Conv2d)
        layer.stride = (self.stride[0], 1) if arguments[0].shape[-1] == 1 else self.stride[:2]
