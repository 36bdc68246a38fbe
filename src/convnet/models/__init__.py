"""Networks: `builder(in_channels, num_classes, image_size, **options) → nn.Module`, images → logits."""

from convnet.models import (
    alexnet,
    autoencoder,
    convnetjs,
    fcn,
    googlenet,
    knn,
    lecture_nets,
    lenet,
    linear,
    majority,
    mlp,
    neocognitron,
    perceptron,
    resnet,
    resnet9,
    small_convnet,
    temporal,
    unet,
    vgg,
    zfnet,
)
from convnet.models.fully_convolutional import Dense, fully_convolutional
from convnet.models.grammar import pattern, pipeline
from convnet.models.grammar.parse_pipeline import parse_call, parse_pipeline
from convnet.models.grammar.pipeline import Pipeline
from convnet.models.registry import MODELS, Facts, build_model, named_model

__all__ = [
    "MODELS",
    "Dense",
    "Facts",
    "Pipeline",
    "alexnet",
    "autoencoder",
    "build_model",
    "convnetjs",
    "fcn",
    "fully_convolutional",
    "googlenet",
    "knn",
    "lecture_nets",
    "lenet",
    "linear",
    "majority",
    "mlp",
    "named_model",
    "neocognitron",
    "parse_call",
    "parse_pipeline",
    "pattern",
    "perceptron",
    "pipeline",
    "resnet",
    "resnet9",
    "small_convnet",
    "temporal",
    "unet",
    "vgg",
    "zfnet",
]
