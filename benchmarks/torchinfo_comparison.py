"""The layer tables of `convnet.summary` and torchinfo for the same networks, and torch's own FLOP counter.

python benchmarks/torchinfo_comparison.py
"""

from __future__ import annotations

import torch
import torchinfo
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import convnet
from convnet.layers import ConvBlock, UpConv2d
from convnet.models import build_model
from convnet.types import ImageShape


class UShaped(nn.Module):
    """Two levels down and up, with skips; pooling and concatenation are functions, as people write them."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = ConvBlock(3, 16), ConvBlock(16, 32), ConvBlock(32, 64)
        self.up2, self.up1 = UpConv2d(64, 32), UpConv2d(32, 16)
        self.join2, self.join1 = ConvBlock(64, 32), ConvBlock(32, 16)
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        up = self.up2(self.bottom(F.max_pool2d(two, 2)))
        up = self.up1(self.join2(torch.cat([two, up], 1)))
        return self.head(self.join1(torch.cat([one, up], 1)))


def main() -> None:
    photo = ImageShape(3, 224, 224)
    networks = {
        "resnet50": build_model("resnet50", photo, 1000, init="torch"),
        "googlenet": build_model("googlenet", photo, 1000, init="torch"),
        "u-shaped": UShaped(),
    }
    for name, network in networks.items():
        network.eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, *photo))
        ours = convnet.summary(network, photo, name=name)
        theirs = torchinfo.summary(network, (1, *photo), verbose=0)
        print(name)
        print(f"  torch's counter  {counter.get_total_flops() // 2:>15,} multiply-accumulates")
        print(f"  convnet          {ours.macs:>15,}   {len(ours.layers)} layers, of which")
        print(f"  {'':<17}{sum(layer.type.islower() for layer in ours.layers):>15} are functions")
        print(f"  {'':<17}{ours.activation_bytes:>15,} bytes of activations, {ours.unused or 'all used'}")
        maps = [layer for layer in ours.layers if layer.jump and any(layer.jump)]
        print(f"  {'':<17}{maps[-1].receptive_field} field of the last maps")
        leaves = sum(info.is_leaf_layer for info in theirs.summary_list)
        print(f"  torchinfo        {theirs.total_mult_adds:>15,}   {leaves} layers")
        print(f"  {'':<17}{theirs.total_output_bytes:>15,} bytes 'forward/backward pass'")


if __name__ == "__main__":
    main()
