"""The registry of named recipes with their measured test metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from convnet.errors import UnknownNameError
from convnet.recipes.recipe import Recipe
from convnet.registry import nearest

Builder = Callable[[], Recipe]


@dataclass(frozen=True)
class NamedRecipe:
    """A named recipe: its builder, a one-line summary, and the measured test metric."""

    build: Builder
    summary: str
    expected: str


RECIPES: dict[str, NamedRecipe] = {}


def named(name: str, *, expected: str, summary: str | None = None) -> Callable[[Builder], Builder]:
    """Decorator that registers a builder.

    Args:
        name: The name of the recipe.
        expected: The test metric, mean ± standard deviation over seeds, or the reason why it is not measured.
        summary: One line about the recipe. Default: the first line of the builder's docstring.
    """

    def add(builder: Builder) -> Builder:
        RECIPES[name] = NamedRecipe(builder, summary or (builder.__doc__ or "").splitlines()[0], expected)
        return builder

    return add


def named_recipe(name: str) -> Recipe:
    """Build a recipe by name.

    Raises:
        UnknownNameError: There is no such recipe.
    """
    if name not in RECIPES:
        raise UnknownNameError(f"unknown recipe '{name}'{nearest(name, RECIPES)}")
    return RECIPES[name].build()
