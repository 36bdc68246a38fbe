"""The network of a finished run, and its encoder as a feature for others (M67)."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from convnet.data import as_path
from convnet.errors import ModelError, RunError, in_one_line
from convnet.explain import Encoder, encoder_of
from convnet.features import FEATURES
from convnet.layers import Normalize
from convnet.models import build_model
from convnet.models.legacy import with_current_names
from convnet.recipes.network import task_of
from convnet.recipes.precompute import assemble
from convnet.recipes.recipe import Recipe
from convnet.runs import RunFolder
from convnet.types import ImageShape


def recipe_of(folder: RunFolder) -> Recipe:
    """The complete recipe of a run."""
    return Recipe.from_yaml(folder.read("recipe.yaml"), str(folder.file("recipe.yaml")))


def trained_network(folder: RunFolder, recipe: Recipe) -> nn.Sequential:
    """The trained network, normalisation included, in evaluation mode.

    Raises:
        RunError: the run is not finished, or its weights are damaged.
    """
    if not folder.finished:
        raise RunError(f"{folder.path}: not finished; continue it with 'convnet resume {folder.path}'")
    data, weights_file = folder.read_json("data.json"), folder.file("model.safetensors")
    shape = ImageShape(*data["shape"])
    outputs = data.get("outputs", len(data["classes"]))
    try:
        weights = load_file(weights_file)
        network = build_model(recipe.model.name, shape, outputs, **recipe.model.options)
        model = assemble(Normalize(weights["0.mean"], weights["0.std"]), network)
        model.load_state_dict(with_current_names(weights, list(model.state_dict())))
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise RunError(f"{weights_file}: cannot be loaded: {in_one_line(error)}") from error
    return model.eval()


def require_code(folder: RunFolder, recipe: Recipe, model: nn.Module) -> None:
    """Refuse a network that makes maps and has no encoder: it represents no sample as a whole.

    Raises:
        RunError: it is one.
    """
    if task_of(recipe).target.dense and encoder_of(model) is None:
        raise RunError(
            f"{folder.path}: a run of {recipe.task.name}, whose network has no code of a whole sample"
        )


class EncoderFeature(nn.Module):
    """What a trained network makes of a sample, its weights as they are: N×C×H×W → N×D.

    Images are 0…1, as features take them; `scale` makes what the network was trained on of them.
    """

    def __init__(self, model: nn.Sequential, shape: ImageShape, scale: float) -> None:
        super().__init__()
        self.encoder, self.scale = Encoder(model.requires_grad_(False)), scale
        with torch.no_grad():
            self.out_features = self.encoder(torch.zeros(1, *shape)).shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """N×C×H×W → N×D."""
        self.encoder.eval()  # its norms keep what they learnt, also while others train
        out: Tensor = self.encoder(images * self.scale)
        return out


@FEATURES.register("encoder")
def encoder(in_channels: int, image_size: tuple[int, int], *, run: str) -> nn.Module:
    """The code of an autoencoder, the last hidden layer of a classifier; for short: "RUN:encoder"."""
    folder = RunFolder.open(as_path(run))
    shape = ImageShape(*folder.read_json("data.json")["shape"])
    if shape != (in_channels, *image_size):
        here = ImageShape(in_channels, *image_size)
        raise ModelError(f"{run}: its network takes {shape} images, these are {here}; train both on one size")
    recipe = recipe_of(folder)
    model = trained_network(folder, recipe)
    require_code(folder, recipe, model)
    images = folder.read_json("data.json").get("form", "images") == "images"
    return EncoderFeature(model, shape, 255.0 if images else 1.0)
