"""Residual networks (He et al. 2016, "Deep residual learning for image recognition")."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from convnet.layers import Classifier, PaddedShortcut, initialize
from convnet.layers.init import InitName
from convnet.models.published import torchvision_file
from convnet.models.registry import Facts, network
from convnet.registry import Count
from convnet.types import ImageShape

Block = Callable[[int, int, int], nn.Module]


class ResNet(Classifier):
    """A stem, stages of residual blocks `layer1`, `layer2`, …, a global mean pool and a dense layer `fc`."""

    head_name = "fc"


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut or nn.Identity()

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D I J"]:
        """relu(shortcut(x) + bn(conv(relu(bn(conv(x))))))."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        summed: Tensor = self.relu(self.downsample(x) + out)
        return summed


class Bottleneck(nn.Module):
    """1×1 to `width`, 3×3, 1×1 to 4·`width`, with a shortcut; the 3×3 is strided, as in public weights."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut or nn.Identity()

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D I J"]:
        """relu(shortcut(x) + the three convolutions)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        summed: Tensor = self.relu(self.downsample(x) + out)
        return summed


def basic_block(in_channels: int, width: int, stride: int) -> nn.Module:
    """A basic block with a 1×1 projection where the shape changes."""
    return BasicBlock(in_channels, width, stride, _projection(in_channels, width, stride))


def bottleneck(in_channels: int, width: int, stride: int) -> nn.Module:
    """A bottleneck block with a 1×1 projection where the shape changes."""
    return Bottleneck(in_channels, width, stride, _projection(in_channels, 4 * width, stride))


def padded_block(in_channels: int, width: int, stride: int) -> nn.Module:
    """A basic block with a shortcut without parameters, for CIFAR-10."""
    shortcut = PaddedShortcut(width - in_channels, stride) if stride > 1 or width > in_channels else None
    return BasicBlock(in_channels, width, stride, shortcut)


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def _stages(
    block: Block, in_channels: int, widths: list[int], depths: list[int], expansion: int
) -> dict[str, nn.Module]:
    """One sequence of blocks per stage; every stage except the first halves the maps."""
    stages: dict[str, nn.Module] = {}
    channels = in_channels
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        blocks = nn.Sequential()
        for place in range(depth):
            blocks.append(block(channels, width, 2 if number and not place else 1))
            channels = width * expansion
        stages[f"layer{number + 1}"] = blocks
    return stages


WEIGHTS = {
    18: torchvision_file("resnet18-f37072fd.pth", 0.698),
    34: torchvision_file("resnet34-b627a593.pth", 0.733),
    50: torchvision_file("resnet50-0676ba61.pth", 0.761),
    101: torchvision_file("resnet101-63fe2227.pth", 0.774),
    152: torchvision_file("resnet152-394f9c45.pth", 0.783),
}


def _register_imagenet(
    depth: int, block: Block, depths: list[int], expansion: int, parameters: int, flops: str
) -> None:
    @network(
        f"resnet{depth}",
        Facts(
            native=ImageShape(3, 224, 224),
            num_classes=1000,
            smallest=1,
            parameters=parameters,
            source="He et al. 2016",
            weights=WEIGHTS[depth],
        ),
    )
    def resnet(
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int],
        *,
        width: Count = 64,
        init: InitName = "he",
    ) -> nn.Module:
        network = ResNet(
            conv1=nn.Conv2d(in_channels, width, 7, 2, 3, bias=False),
            bn1=nn.BatchNorm2d(width),
            relu=nn.ReLU(inplace=True),
            maxpool=nn.MaxPool2d(3, 2, padding=1),
            **_stages(block, width, [width * 2**i for i in range(4)], depths, expansion),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(8 * width * expansion, num_classes),
        )
        return initialize(network, init)

    kind = "bottleneck" if expansion > 1 else "basic"
    resnet.__doc__ = f"""ResNet-{depth}: {sum(depths)} {kind} blocks in four stages.

    {parameters:,} parameters and {flops} billion multiply-accumulates for 3×224×224 images and 1000
    classes. Batch norm after every convolution, He initialization, no dropout, identity shortcuts, and 1×1
    projections where the shape changes. Any image size is accepted.
    Recipe `resnet{depth}-imagenet`: SGD with momentum 0.9, rate 0.1 divided by 10 on a plateau, batch 256,
    weight decay 1e-5.
    """


def _register_cifar(depth: int, parameters: int) -> None:
    @network(
        f"resnet{depth}",
        Facts(
            native=ImageShape(3, 32, 32),
            num_classes=10,
            smallest=1,
            parameters=parameters,
            source="He et al. 2016",
        ),
    )
    def resnet(
        in_channels: int,
        num_classes: int,
        image_size: tuple[int, int],
        *,
        width: Count = 16,
        init: InitName = "he",
    ) -> nn.Module:
        widths = [width, 2 * width, 4 * width]
        network = ResNet(
            conv1=nn.Conv2d(in_channels, width, 3, 1, 1, bias=False),
            bn1=nn.BatchNorm2d(width),
            relu=nn.ReLU(inplace=True),
            **_stages(padded_block, width, widths, [(depth - 2) // 6] * 3, 1),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(4 * width, num_classes),
        )
        return initialize(network, init)

    resnet.__doc__ = f"""ResNet-{depth} for small images: three stages of {(depth - 2) // 6} blocks.

    {parameters:,} parameters for 3×32×32 images and ten classes: 16, 32 and 64 channels, shortcuts without
    parameters. Recipe `resnet{depth}-cifar10`.
    """


_register_imagenet(18, basic_block, [2, 2, 2, 2], 1, 11_689_512, "1.81")
_register_imagenet(34, basic_block, [3, 4, 6, 3], 1, 21_797_672, "3.66")
_register_imagenet(50, bottleneck, [3, 4, 6, 3], 4, 25_557_032, "4.09")
_register_imagenet(101, bottleneck, [3, 4, 23, 3], 4, 44_549_160, "7.80")
_register_imagenet(152, bottleneck, [3, 8, 36, 3], 4, 60_192_808, "11.51")
_register_cifar(20, 269_722)
_register_cifar(32, 464_154)
_register_cifar(44, 658_586)
_register_cifar(56, 853_018)
_register_cifar(110, 1_727_962)
