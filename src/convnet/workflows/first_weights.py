"""The first layers of runs and of networks with public weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convnet.concepts import FirstLayers, first_layers
from convnet.errors import DataError
from convnet.workflows.explained_network import inner_network
from convnet.workflows.predictors import load_network_predictor


def first_weights(runs: Sequence[str | Path]) -> FirstLayers:
    """The templates or filters of the first layer of each run.

    Args:
        runs: Folders of finished runs, or names of networks with ImageNet weights.

    Returns:
        The weights.

    Raises:
        RunError: One of them is neither.
        DataError: A network is not one of images.
        ModelError: Its first layer is neither a convolution nor a dense layer over an image.
    """
    networks, classes = {}, {}
    for run in runs:
        predictor = load_network_predictor(run)
        if predictor.inputs.modality != "images":
            raise DataError(
                f"{run}: this needs a network of images, and the run has a {predictor.inputs.modality}"
            )
        name = Path(predictor.name).name or str(run)
        while name in networks:
            name += "'"
        networks[name] = inner_network(predictor.model)
        classes[name] = tuple(predictor.labels.classes)
    return first_layers(networks, classes)
