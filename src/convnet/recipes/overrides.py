"""Overrides: `--set optimizer.lr=0.01` replaces one field of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from convnet.errors import RecipeError
from convnet.recipes.components import as_component
from convnet.recipes.recipe import Recipe
from convnet.registry import nearest


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """["epochs=3", "optimizer.name=sgd"] → {"epochs": 3, "optimizer.name": "sgd"}; values are YAML.

    Raises:
        RecipeError: An assignment has no '=', or a value is not YAML.
    """
    values = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise RecipeError(f"'{assignment}': expected key=value, e.g. optimizer.lr=0.01")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise RecipeError(
                f"'{assignment}': the value is not YAML: {' '.join(str(error).split())}"
            ) from error
    return values


def override(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Replace fields of a recipe and validate the result.

    Args:
        recipe: The recipe.
        values: New values by dotted field. A name for a component ("optimizer": "sgd") replaces the whole
            component with that one at its defaults; "optimizer.lr" changes one option.

    Returns:
        The changed recipe.

    Raises:
        RecipeError: A field or option does not exist, or a value is out of range.
        UnknownNameError: A component is not registered.
    """
    content = recipe.to_dict()
    if {"task", "task.name"} & values.keys() and not {"loss", "loss.name"} & values.keys():
        del content["loss"]  # the new task has its own
    for key, value in sorted(values.items(), key=_names_first):
        *parents, last = key.split(".")
        place = content
        for depth, parent in enumerate(parents):
            if parent not in place:
                raise RecipeError(_no_field(".".join(parents[: depth + 1]), parent, place))
            if place[parent] is None:
                place[parent] = {}
            if not isinstance(place[parent], dict):
                raise RecipeError(f"'{key}': {'.'.join(parents[: depth + 1])} is a value and has no fields")
            place = place[parent]
        if not parents and last not in place:
            raise RecipeError(_no_field(key, last, place))
        if parents == [] and last in Recipe.registries and isinstance(value, str):
            value = as_component(last, value)
        if last == "name" and parents and parents[0] in Recipe.registries:
            place.clear()  # another entry's options would not apply
        place[last] = value
    return Recipe.from_dict(content)


def _names_first(item: tuple[str, Any]) -> tuple[int, bool]:
    """Sort key: components are chosen before their options are set."""
    key = item[0]
    return key.count("."), not key.endswith(".name")


def _no_field(path: str, name: str, place: Mapping[str, Any]) -> str:
    owner = path.rpartition(".")[0] or "a recipe"
    return f"'{name}' is not a field of {owner}{nearest(name, place)}"
