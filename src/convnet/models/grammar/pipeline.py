"""Features followed by a classifier: "hog+color -> linear"."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator
from torch import nn

from convnet.features import FEATURES, Features
from convnet.layers import Network, Normalize, Standardize
from convnet.models.grammar.parse_pipeline import parse_pipeline
from convnet.models.knn import NearestNeighbors
from convnet.models.registry import Facts, build_model, network
from convnet.types import ImageShape

DEFAULT = "hog+color -> linear"


def _complete(text: str) -> str:
    return str(parse_pipeline(text))


StagesText = Annotated[str, AfterValidator(_complete)]


class Pipeline(nn.Sequential):
    """Stages that are fitted, computed and trained one after the other: features, …, classifier."""


@network(
    "pipeline",
    Facts(
        native=ImageShape(3, 32, 32),
        num_classes=10,
        smallest=8,
        parameters=22_770,
        source="the lectures",
        baseline=True,
    ),
)
def pipeline(
    in_channels: int, num_classes: int, image_size: tuple[int, int], *, stages: StagesText = DEFAULT
) -> nn.Module:
    """Concatenated features followed by a classifier: "hog+color -> linear".

    `--model "hog(cell_size=4)+color(space=hsv) -> mlp(hidden=[256])"` is short for this network with these
    `stages`. The features are color, hog, pixels, polar and visual-words. They are standardized over the
    training split, except for knn.
    """
    parsed = parse_pipeline(stages)
    parts = [FEATURES.build(f.name, in_channels, image_size, **f.options) for f in parsed.features]
    features = Features(parts)
    learner = parsed.classifier
    shape = ImageShape(features.out_features, 1, 1)
    classifier = build_model(learner.name, shape, num_classes, **learner.options)
    scaling = [] if isinstance(classifier, NearestNeighbors) else [Standardize()]
    return Pipeline(features, *scaling, classifier)


def assemble(normalize: Normalize, network: nn.Module) -> Network:
    """Normalization followed by the network; a pipeline is unpacked into its stages."""
    return Network(normalize, *(network if isinstance(network, Pipeline) else [network]))
