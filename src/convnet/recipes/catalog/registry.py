"""The table of named recipes: functions that return complete documents, and what they are known to reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from convnet.errors import UnknownNameError
from convnet.recipes.recipe import Recipe
from convnet.registry import nearest

Builder = Callable[[], Recipe]


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe of the catalogue: its builder, one line about it, and its measured test accuracy."""

    build: Builder
    summary: str
    expected: str


RECIPES: dict[str, NamedRecipe] = {}


def named(name: str, *, expected: str, summary: str | None = None) -> Callable[[Builder], Builder]:
    """File a builder under `name`; `expected` is mean ± standard deviation of test accuracy over seeds.

    `summary` is the builder's docstring unless given.
    """

    def add(builder: Builder) -> Builder:
        RECIPES[name] = NamedRecipe(builder, summary or (builder.__doc__ or "").splitlines()[0], expected)
        return builder

    return add


def named_recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        UnknownNameError: no such recipe.
    """
    if name not in RECIPES:
        raise UnknownNameError(f"unknown recipe '{name}'{nearest(name, RECIPES)}")
    return RECIPES[name].build()
