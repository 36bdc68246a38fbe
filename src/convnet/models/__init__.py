"""The zoo: `builder(in_channels, num_classes, image_size, **options) → nn.Module`, images to logits."""

from convnet.models import convnetjs, lecture_mnist, lenet, linear, mlp, resnet9, small_convnet
from convnet.models.registry import MODELS, build_model

__all__ = [
    "MODELS",
    "build_model",
    "convnetjs",
    "lecture_mnist",
    "lenet",
    "linear",
    "mlp",
    "resnet9",
    "small_convnet",
]
