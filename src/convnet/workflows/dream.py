"""Dream on an image: amplify what a layer of a network responds to."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import torch

from convnet.atomic import write_atomically
from convnet.data.images.decode import read_picture
from convnet.data.images.resize import stretch
from convnet.errors import ModelError, RecipeError
from convnet.explain.visualize import dream, layer_names
from convnet.outputs import to_png
from convnet.registry import nearest
from convnet.tasks import as_picture
from convnet.workflows.explained_network import inner_network, limits_of, to_pixels
from convnet.workflows.predictors import load_network_predictor


def dream_image(
    word: str,
    image: str | Path,
    picture: Path,
    *,
    layer: str | None = None,
    channel: int | None = None,
    strength: float = 1.0,
    size: int = 384,
) -> str:
    """Write an image in which the activations of a layer are amplified.

    Args:
        word: The folder of a run on images, or the name of a network with ImageNet weights.
        image: The image.
        picture: The file to write.
        layer: The layer. Default: the one in the middle of those with maps.
        channel: One channel of the layer. Default: all.
        strength: The factor of the steps.
        size: The longer side of the result in pixels.

    Returns:
        The name of the layer.

    Raises:
        ConvnetError: The image cannot be read, or the network has no such layer or does not take images of
            this size.
    """
    predictor = load_network_predictor(word)
    if predictor.inputs.modality != "images" or len(predictor.model.features):
        raise RecipeError(f"{word}: dreaming needs a convolutional network on images")
    normalize = predictor.model.normalize
    if normalize.mean.shape[2:] != (1, 1):
        raise RecipeError(f"{word}: dreaming needs one mean per channel; this network has one per pixel")
    pixels = read_picture(Path(image), predictor.inputs.shape.channels)
    height, width = pixels.shape[1:]
    factor = size / max(height, width)
    sides = (max(1, round(height * factor)), max(1, round(width * factor)))
    scaled = stretch(pixels.transpose(1, 2, 0), sides)
    normal = normalize(torch.from_numpy(scaled.transpose(2, 0, 1).copy())[None])
    network = inner_network(predictor.model)
    shape = predictor.inputs.shape
    names = layer_names(network, torch.zeros(1, *shape))
    if not names:
        raise ModelError(f"{word}: no layer has maps")
    chosen = layer or names[len(names) // 2]
    if chosen not in names and chosen not in dict(network.named_modules()):
        raise ModelError(f"no layer '{chosen}'{nearest(chosen, names)}")
    found = dream(network, normal, limits_of(predictor), chosen, channel, strength)
    shown = as_picture(to_pixels(predictor, found)[0])
    drawn = PIL.Image.fromarray(shown[:, :, 0] if shown.shape[2] == 1 else shown)
    write_atomically(picture, to_png(drawn))
    return chosen
