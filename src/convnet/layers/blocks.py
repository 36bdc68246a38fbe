"""Blocks that several networks share."""

from __future__ import annotations

from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from convnet.layers.activations import make_activation, widening
from convnet.layers.dense import FlattenLinear
from convnet.layers.dropout import Dropout


class ConvBlock(nn.Sequential):
    """Convolution, batch norm, activation and, optionally, a 2×2 max pool.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: The side of the kernel.
        stride: The stride.
        padding: Default: half of the kernel, which keeps the size at stride 1.
        groups: Groups of the convolution.
        norm: Whether to use batch norm; without it the convolution has a bias.
        activation: The name of the activation, or None.
        pool: Whether to end with a 2×2 max pool.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        norm: bool = True,
        activation: str | None = "relu",
        pool: bool = False,
    ) -> None:
        padding = kernel_size // 2 if padding is None else padding
        wide = out_channels * (widening(activation) if activation else 1)
        layers: dict[str, nn.Module] = {
            "conv": nn.Conv2d(in_channels, wide, kernel_size, stride, padding, groups=groups, bias=not norm)
        }
        if norm:
            layers["bn"] = nn.BatchNorm2d(wide)
        if activation:
            layers["act"] = make_activation(activation)
        if pool:
            layers["pool"] = nn.MaxPool2d(2)
        super().__init__(OrderedDict(layers))


class Residual(nn.Module):
    """activation(shortcut(x) + body(x)) (He et al. 2016); by default x + body(x)."""

    def __init__(
        self, body: nn.Module, shortcut: nn.Module | None = None, *, activation: str | None = None
    ) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut or nn.Identity()
        self.activation = make_activation(activation) if activation else nn.Identity()

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D I J"]:
        """N×C×H×W → the output shape of both branches."""
        out: Tensor = self.activation(self.shortcut(x) + self.body(x))
        return out


class PaddedShortcut(nn.Module):
    """The shortcut without parameters to more channels: every `stride`-th pixel, zeros for new channels.

    Option A of He et al. 2016, used by their networks for CIFAR-10.
    """

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels, self.stride = new_channels, stride

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D I J"]:
        """N×C×H×W → N×(C + new)×⌈H/S⌉×⌈W/S⌉, half of the new channels on either side."""
        before = self.new_channels // 2
        picked = x[:, :, :: self.stride, :: self.stride]
        return F.pad(picked, (0, 0, 0, 0, before, self.new_channels - before))


def dense_head(shape: tuple[int, ...], num_classes: int, dropout: float) -> list[nn.Module]:
    """The head of AlexNet, ZFNet and VGG: two dense layers of 4,096 units with dropout, and the logits.

    Args:
        shape: The shape C×H×W of the features.
        num_classes: The number of classes.
        dropout: The probability of dropout.
    """
    return [
        FlattenLinear(shape, 4096),
        make_activation("relu"),
        Dropout(dropout),
        nn.Linear(4096, 4096),
        make_activation("relu"),
        Dropout(dropout),
        nn.Linear(4096, num_classes),
    ]


class ChannelMaxPool(nn.Module):
    """The maximum of `kernel_size` neighboring channels, every `stride` channels: N×C×… → N×C'×….

    `stride` defaults to the kernel size. Unlike in `Maxout`, whose pieces are C channels apart, neighboring
    channels are pooled, and windows may overlap.
    """

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size

    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N D *space"]:
        """y[c] = max_k x[c·S + k]."""
        windows: Tensor = x.unfold(1, self.kernel_size, self.stride)
        return windows.amax(-1)

    def extra_repr(self) -> str:
        """Shown by `print(module)`."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"
