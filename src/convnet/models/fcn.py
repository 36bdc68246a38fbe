"""Any classifier as a segmentation network (Long et al. 2015, "Fully convolutional networks")."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from convnet.layers import Sizes
from convnet.models.backbone import nest
from convnet.models.fully_convolutional import as_dense_layers, margin_of, stride_of
from convnet.models.registry import MODELS, Facts, build_model, network, transfer_options
from convnet.types import ImageShape


class Upsampled(nn.Sequential):
    """Maps at the stride of a classifier, interpolated bilinearly to the size of the image.

    Unpadded convolutions lose `margin` pixels, which are added around the image by replicating its border, so
    that maps stay aligned with the image.
    """

    def __init__(self, encoder: nn.Sequential, head: nn.Module, stride: int, margin: int) -> None:
        super().__init__(OrderedDict(encoder=encoder, head=head))
        self.sizes, self.margin = Sizes(multiple=stride), margin

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W → N×K×H×W."""
        before, after = self.margin // 2, self.margin - self.margin // 2
        padded = F.pad(x, (before, after, before, after), mode="replicate") if self.margin else x
        maps: Tensor = super().forward(padded)  # type: ignore[no-untyped-call]
        return F.interpolate(maps, x.shape[-2:], mode="bilinear", align_corners=False)


@network(
    "fcn",
    Facts(
        native=ImageShape(3, 224, 224),
        num_classes=2,
        smallest=1,
        parameters=11_177_538,
        source="Long et al. 2015",
        targets=("mask",),
    ),
)
def fcn(
    in_channels: int, num_classes: int, image_size: tuple[int, int], *, encoder: str = "resnet18"
) -> nn.Module:
    """A classifier made fully convolutional, with its logits interpolated to every pixel (Long et al. 2015).

    The classifier is built for images of its native size. Global pools are removed, and dense layers become
    convolutions that keep the size of the maps. `encoder=vgg16` is the paper's FCN-32s.

    Args:
        in_channels: Channels of the images.
        num_classes: The number of classes.
        image_size: Height and width.
        encoder: The name of the classifier. Its public weights can be loaded (`--weights imagenet`).
    """
    native = MODELS.facts(encoder).native if encoder in MODELS else ImageShape(in_channels, *image_size)
    shape = ImageShape(in_channels, native.height, native.width)
    classifier = build_model(encoder, shape, num_classes, **transfer_options(encoder))
    *layers, (_, head) = as_dense_layers(classifier, shape)
    maps = nest(layers)
    whole = nn.Sequential(maps, head)
    stride = stride_of(whole, shape)
    return Upsampled(maps, head, stride, margin_of(whole, shape, stride))
