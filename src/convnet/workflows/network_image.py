"""A network and an image as it takes it: of a run, or of a network with random weights."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from convnet.data.images.decode import read_picture
from convnet.data.images.resize import Resizing, resize
from convnet.errors import DataError, ModelError
from convnet.layers import Fitted
from convnet.models import MODELS, build_model, named_model
from convnet.types import ImageShape
from convnet.workflows.explained_network import inner_network
from convnet.workflows.run import load_run

NATIVE = ImageShape(3, 224, 224)
SEED = 0
LARGEST_SIDE = 227
"""Images for networks with random weights are no larger; maps of every layer are kept."""


def network_and_image(model: str, image: str | Path) -> tuple[nn.Module, Tensor]:
    """The network of a run without its normalization, or a network with random weights, and its input.

    Args:
        model: The folder of a finished run, the name of a network, or a pattern of layers.
        image: An image file; resized to the network's size.

    Returns:
        The network in evaluation mode, and the normalized image C×H×W.

    Raises:
        ModelError: The network is fitted to data, so that it has no weights before.
        DataError: The image cannot be read.
        RunError: The run is not finished.
    """
    if os.path.exists(f"{model}/run.json"):  # noqa: PTH110 (a pattern may be too long for a path)
        predictor = load_run(model).predictor
        if predictor.inputs.modality != "images":
            raise DataError(
                f"{model}: this needs a network of images, and the run has a {predictor.inputs.modality}"
            )
        (inputs,) = predictor.read(predictor.files(image))
        with torch.no_grad():
            normal = predictor.model.normalize(predictor.task.prepare_input(torch.from_numpy(inputs.images)))
        return inner_network(predictor.model).eval(), normal[0]
    facts = MODELS.facts(name) if (name := named_model(model)["name"]) in MODELS else None
    shape = _at_most(facts.native if facts else NATIVE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = build_model(model, shape, facts.num_classes if facts else 10)
    if any(isinstance(module, Fitted) for module in network.modules()):
        raise ModelError(f"{model}: a model fitted to data has no weights before; pass the folder of a run")
    pixels = read_picture(Path(image), shape.channels)
    fitted = resize(pixels.transpose(1, 2, 0), (shape.height, shape.width), Resizing("crop"))
    return network.eval(), torch.from_numpy(fitted.copy()).permute(2, 0, 1).float() / 127.5 - 1


def _at_most(shape: ImageShape) -> ImageShape:
    return ImageShape(shape.channels, min(shape.height, LARGEST_SIDE), min(shape.width, LARGEST_SIDE))
