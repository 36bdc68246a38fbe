"""Train models on points in the plane and draw their decision regions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from convnet.atomic import require_picture, write_atomically
from convnet.data import all_images
from convnet.device import make_compute, set_threads
from convnet.errors import DataError, RecipeError
from convnet.features import Features
from convnet.layers import Classifier, FlattenLinear, layers_of
from convnet.recipes import Recipe, TrainingSetup, build
from convnet.recipes.resolve import choose_recipe
from convnet.training import fit

STEPS = {"epochs": 150, "regularizers.l2": 0.0}
"""Defaults of training on points: many epochs, no regularization."""


@dataclass(frozen=True)
class PlaneModel:
    """A trained model, the label of its panel, and its accuracy on the held-out points."""

    label: str
    recipe: Recipe
    setup: TrainingSetup
    accuracy: float


def plane(
    data: str = "moons",
    *,
    overrides: Mapping[str, Any] | None = None,
    vary: Mapping[str, Sequence[Any]] | None = None,
    warp: bool = False,
    out: Path = Path("plane.png"),
) -> tuple[PlaneModel, ...]:
    """Train a model on points, or one for every combination of the values in `vary`, and draw the results.

    Args:
        data: circles, moons, spiral, corner, blobs, or a table with two columns of numbers and a class.
        overrides: Fields of the recipe.
        vary: The values of each varied field; one panel per combination.
        warp: Whether to also draw the points as the last hidden layer, which must have two units, maps them.
        out: The PNG file to write.

    Returns:
        The trained models.

    Raises:
        DataError: The data does not have two columns.
        RecipeError: A field does not exist or apply, or the hidden layer does not have two units.
    """
    from convnet.reports.plane_figure import plane_figure  # matplotlib, once all is trained
    from convnet.reports.style import to_png

    set_threads(1)  # a step takes microseconds; threads would wait for each other
    vary = vary or {}
    require_picture(out)
    if any(key.startswith("data") for key in vary) or not all(vary.values()):
        raise RecipeError("--vary takes fields of the model and its training, with their values")
    models: list[PlaneModel] = []
    for values in itertools.product(*vary.values()):
        chosen = dict(zip(vary, values, strict=True))
        recipe = _recipe(data, {**(overrides or {}), **chosen})
        setup = build(recipe, make_compute("cpu", recipe.precision))
        if setup.dataset.info.shape != (2, 1, 1):
            raise DataError(
                f"{data}: a plane has two columns of numbers, this has {setup.dataset.info.shape}"
            )
        if recipe.epochs:
            fit(setup.training, setup.batches, epochs=recipe.epochs)
        setup.training.model.eval()
        held_out = setup.evaluate("test") or setup.evaluate("val") or setup.evaluate("train")
        assert held_out is not None, "there is something to train on"
        label = ", ".join(f"{key.rpartition('.')[2]} = {value}" for key, value in chosen.items())
        models.append(PlaneModel(label or recipe.model.name, recipe, setup, held_out.score or 0.0))
    dataset = models[0].setup.dataset
    panels = [_panel(model, warp) for model in models]
    points = all_images(dataset).flatten(1)
    write_atomically(out, to_png(plane_figure(panels, points, dataset.targets, dataset.info.classes)))
    return tuple(models)


def _recipe(data: str, overrides: dict[str, Any]) -> Recipe:
    """The default recipe for the data and the model, with `STEPS` if it is trained in steps."""
    recipe = choose_recipe(data, overrides)
    if not recipe.epochs:
        return recipe
    return choose_recipe(data, {**STEPS, **overrides})


def _panel(model: PlaneModel, warp: bool) -> Any:
    from convnet.reports.plane_figure import Panel

    network = model.setup.model.eval()
    title = f"{model.label}: {model.accuracy:.1%}"
    linear = not len(network.features) and _is_linear(network.network)
    if not warp:
        return Panel(title, network, hyperplanes=linear)
    hidden, head = _cut(network)
    if hidden is None:
        return Panel(title, network, hyperplanes=linear)
    return Panel(title, network, hidden, head)


def _is_linear(network: nn.Module) -> bool:
    """Whether a classifier is a single dense layer."""
    return [type(layer) for layer in layers_of(network)] == [nn.Identity, FlattenLinear]


def _cut(network: nn.Sequential) -> tuple[nn.Sequential | None, nn.Sequential | None]:
    """The layers up to a hidden layer of two units, and the layers after it."""
    stages = list(network)
    if any(isinstance(stage, Features) for stage in stages):
        place = next(i for i, stage in enumerate(stages) if isinstance(stage, Features)) + 1
        width = getattr(stages[place - 1], "out_features", 0)
        hidden, head = stages[:place], stages[place:]
    elif isinstance(stages[-1], Classifier) and not _is_linear(stages[-1]):
        *layers, last = stages[-1].sequence()
        width = getattr(last, "in_features", 0)
        hidden, head = [*stages[:-1], *layers], [nn.Flatten(), last]
    else:
        return None, None
    if width != 2:
        raise RecipeError(
            f"--warp needs a hidden layer of 2 units, got {width}; use --set 'model.hidden=[2]'"
        )
    return nn.Sequential(*hidden), nn.Sequential(*head)
