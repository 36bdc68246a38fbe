"""Find a learning rate for data or a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convnet.atomic import write_atomically
from convnet.data import DataSpec
from convnet.device import default_device, keep_freed_memory, make_compute, set_threads
from convnet.errors import RecipeError
from convnet.recipes import Opened, Recipe, build
from convnet.settings import settings
from convnet.training.rate_finder import HIGHEST, LOWEST, STEPS, RateCurve, find_rate
from convnet.workflows.train import require_buildable, resolve_environment


@dataclass(frozen=True)
class FoundRate:
    """The result of a learning-rate range test.

    Attributes:
        recipe: The recipe.
        curve: The loss by rate.
        own: The rate of the recipe.
    """

    recipe: Recipe
    curve: RateCurve
    own: float

    def as_dict(self) -> dict[str, Any]:
        """The result as plain values, for JSON."""
        return {
            "recipe": self.recipe.name,
            "suggested": self.curve.suggested,
            "steepest": self.curve.steepest,
            "recipe_rate": self.own,
            "rates": self.curve.rates.tolist(),
            "losses": self.curve.losses.tolist(),
        }

    def draw(self, path: Path) -> None:
        """Write the curve as a PNG file.

        Raises:
            RunError: The file cannot be written.
        """
        from convnet.reports.figures import rate_curve  # it imports matplotlib
        from convnet.reports.style import to_png

        write_atomically(path, to_png(rate_curve(self.curve, self.own)))


def lr_find(
    recipe: Recipe,
    *,
    data: DataSpec | Opened | None = None,
    steps: int = STEPS,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
) -> FoundRate:
    """Train a few steps of a recipe at growing rates; nothing is stored.

    Args:
        recipe: The recipe.
        data: The recipe's data, if it is already identified or open.
        steps: The largest number of steps.
        lowest: The first rate.
        highest: The last rate.

    Raises:
        RecipeError: The recipe trains in one pass, so it has no rate, or the loss is never finite.
        ConvnetError: As for `train`.
    """
    keep_freed_memory()
    set_threads(settings().threads)
    device = settings().device or default_device()
    settled, dataset, split, network = require_buildable(recipe, data)
    if not settled.epochs:
        what = "only the head is fitted" if settled.weights else f"{settled.model.name} is fitted in one pass"
        raise RecipeError(f"{settled.name}: {what}, so there is no learning rate to find; set --epochs")
    settled = resolve_environment(settled, device, Path("runs"))
    compute = make_compute(device, settled.precision)
    setup = build(settled, compute, data=(dataset, split), network=network)
    own = setup.training.initial_lr
    try:
        curve = find_rate(setup.training, setup.batches.epoch, steps=steps, lowest=lowest, highest=highest)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise RecipeError("batch norm needs more than one image per batch; change batch_size") from error
    return FoundRate(settled, curve, own)
