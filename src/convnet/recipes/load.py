"""The network of a finished run, and its encoder as a feature for other models."""

from __future__ import annotations

import json

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from convnet.data import as_path
from convnet.errors import ModelError, RunError, in_one_line
from convnet.explain import Encoder
from convnet.features import FEATURES
from convnet.layers import Network, Normalize
from convnet.models import assemble, build_model
from convnet.models.legacy import with_current_names
from convnet.recipes.network import task_of
from convnet.recipes.overrides import override
from convnet.recipes.pretrained import require_finite
from convnet.recipes.recipe import Recipe
from convnet.runs import RunFolder
from convnet.tensor_file import read_tensors
from convnet.types import ImageShape

RENAMED_SETS = {"photos": "sample-photos"}
"""The names of data sets in runs of earlier versions."""


def recipe_of(folder: RunFolder) -> Recipe:
    """The complete recipe of a run."""
    recipe = Recipe.from_file(folder.file("recipe.yaml"))
    if recipe.data.source in RENAMED_SETS:
        return override(recipe, {"data.source": RENAMED_SETS[recipe.data.source]})
    return recipe


def trained_network(folder: RunFolder, recipe: Recipe) -> Network:
    """The trained network, with normalization, in evaluation mode.

    Raises:
        RunError: The run is not finished, or its weights are damaged.
    """
    if not folder.finished:
        raise RunError(f"{folder.path}: not finished; continue it with 'convnet resume {folder.path}'")
    data, weights_file = folder.data, folder.file("model.safetensors")
    shape = ImageShape(*data["shape"])
    outputs = data.get("outputs", len(data["classes"]))
    try:
        tensors, header = read_tensors(weights_file)
        if json.loads(header.get("classes", "null")) not in (None, data["classes"]):
            raise ValueError("they are of a network of other classes")
        weights = require_finite(tensors, weights_file)
        network = build_model(recipe.model.name, shape, outputs, **recipe.model.options)
        model = assemble(Normalize(weights["0.mean"], weights["0.std"]), network)
        model.load_state_dict(with_current_names(weights, list(model.state_dict())))
    except (
        SafetensorError,
        OSError,
        LookupError,
        RuntimeError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise RunError(
            f"{weights_file}: cannot be loaded as the network of this run: {in_one_line(error)}; restore the "
            "file, or train the run again"
        ) from error
    return model.eval()


def require_embedding(folder: RunFolder, recipe: Recipe, model: Network) -> None:
    """Check that the network has an embedding of whole samples.

    Raises:
        RunError: It predicts a value per position and has no embedding.
    """
    if task_of(recipe).target.dense and not model.has_embedding:
        raise RunError(
            f"{folder.path}: the network of this {recipe.task.name} run has no embedding of whole samples"
        )


class EncoderFeature(nn.Module):
    """The embedding of a trained network, with fixed weights: N×C×H×W → N×D.

    Images have values 0…1, as all features take them; they are multiplied by `scale` first.
    """

    def __init__(self, model: Network, shape: ImageShape, scale: float) -> None:
        super().__init__()
        self.encoder, self.scale = Encoder(model.requires_grad_(False)), scale
        with torch.no_grad():
            self.out_features = self.encoder(torch.zeros(1, *shape)).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """N×C×H×W → N×D."""
        self.encoder.eval()  # batch norms keep their statistics while other layers are trained
        out: Tensor = self.encoder(images * self.scale)
        return out


@FEATURES.register("encoder")
def encoder(in_channels: int, image_size: tuple[int, int], *, run: str) -> nn.Module:
    """The embedding by a trained run: an autoencoder's code or a classifier's last hidden layer.

    Short form: "RUN:encoder".
    """
    folder = RunFolder.open(as_path(run))
    shape = ImageShape(*folder.data["shape"])
    if shape != (in_channels, *image_size):
        here = ImageShape(in_channels, *image_size)
        raise ModelError(f"{run}: the network takes {shape} images, not {here}; train both on the same size")
    recipe = recipe_of(folder)
    model = trained_network(folder, recipe)
    require_embedding(folder, recipe, model)
    return EncoderFeature(model, shape, 255.0 if folder.data["modality"] == "images" else 1.0)
