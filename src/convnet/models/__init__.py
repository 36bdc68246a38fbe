"""The zoo: `builder(in_channels, num_classes, image_size, **options) → nn.Module`, images to logits."""

from convnet.models import (
    alexnet,
    convnetjs,
    googlenet,
    lecture_mnist,
    lecture_picture,
    lenet,
    linear,
    mlp,
    neocognitron,
    pattern,
    resnet,
    resnet9,
    small_convnet,
    vgg,
    zfnet,
)
from convnet.models.pattern_grammar import is_pattern
from convnet.models.registry import FACTS, MODELS, Facts, build_model

__all__ = [
    "FACTS",
    "MODELS",
    "Facts",
    "alexnet",
    "build_model",
    "convnetjs",
    "googlenet",
    "is_pattern",
    "lecture_mnist",
    "lecture_picture",
    "lenet",
    "linear",
    "mlp",
    "neocognitron",
    "pattern",
    "resnet",
    "resnet9",
    "small_convnet",
    "vgg",
    "zfnet",
]
