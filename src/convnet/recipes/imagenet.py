"""Networks with their public ImageNet weights, as classifiers and as embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from convnet.data import Preprocess
from convnet.data.datasets.statistics import fixed_statistics
from convnet.layers import Network, Normalize
from convnet.models import MODELS, build_model, public_weights
from convnet.models.imagenet import imagenet_classes
from convnet.prediction import InputSpec, Predictor
from convnet.recipes.pretrained import checksum, locate
from convnet.recipes.weights import Weights, load_pretrained
from convnet.registry import validate
from convnet.tasks import TASKS, Labels
from convnet.types import ImageShape


@dataclass(frozen=True)
class PublishedNetwork:
    """A network with its public weights.

    Attributes:
        name: Its name.
        model: Pixels uint8 N×C×H×W → logits of the ImageNet classes, in evaluation mode.
        preprocess: How images are prepared for it.
        shape: The shape of its images.
        sha256: The checksum of its weights.
    """

    name: str
    model: Network
    preprocess: Preprocess
    shape: ImageShape
    sha256: str


def load_published(name: str) -> PublishedNetwork:
    """Build a network and load its public weights, with the head.

    Args:
        name: The name of a network with public weights.

    Returns:
        The network and the preparation of its images.

    Raises:
        RecipeError: No public weights are known for it.
        DataError: The weights cannot be found, downloaded or read.
    """
    name = MODELS.canonical(name)
    published = public_weights(name)
    fields = {key.removeprefix("preprocess."): value for key, value in published.input.fields().items()}
    preprocess = validate(Preprocess, fields, "preprocess")
    side = published.input.image_size
    shape = ImageShape(3, side, side)
    path = locate("imagenet", name)
    with torch.random.fork_rng():
        network = build_model(name, shape, len(imagenet_classes()), **published.options)
    model = Network(Normalize(*fixed_statistics(preprocess.normalize, 3)), network)
    load_pretrained(model, name, Weights(source="imagenet"), head=True)
    model.eval()
    return PublishedNetwork(name, model, preprocess, shape, checksum(path))


def imagenet_predictor(name: str) -> Predictor:
    """A network with public weights as a predictor of the ImageNet classes.

    Raises:
        ConvnetError: As for `load_published`.
    """
    found = load_published(name)
    spec = InputSpec("images", found.shape, found.preprocess, model=name)
    return Predictor(found.name, found.model, TASKS.build("classification"), spec, Labels(imagenet_classes()))
