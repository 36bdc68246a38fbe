"""Overrides: `--set optimizer.lr=0.01` replaces one field of a recipe."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from convnet.errors import RecipeError
from convnet.recipes.components import as_component
from convnet.recipes.recipe import EarlyStopping, Recipe
from convnet.recipes.weights import Weights
from convnet.registry import Section, nearest

ALIASES = {"learning_rate": "lr", "rate": "lr", "size": "image_size", "resolution": "image_size"}
"""Words for fields that other tools use."""


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """["epochs=3", "optimizer.name=sgd"] → {"epochs": 3, "optimizer.name": "sgd"}; values are YAML.

    The last assignment of a field applies, so that one can be added to a command.

    Raises:
        RecipeError: An assignment has no '=', or a value is not YAML.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise RecipeError(f"'{assignment}': expected key=value, e.g. optimizer.lr=0.01")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            raise RecipeError(
                f"'{assignment}': the value is not YAML: {' '.join(str(error).split())}"
            ) from error
        values[key.strip()] = value
    return values


def dotted(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """{"optimizer": {"name": "sgd", "lr": 1}} → {"optimizer.name": "sgd", "optimizer.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": content for inner, content in value.items()}
        else:
            flat[key] = value
    return flat


def set_once(values: dict[str, Any], field: str, value: Any) -> None:
    """Add the value of a field to those that were set.

    Raises:
        RecipeError: The field was set to another value.
    """
    if field in values and values[field] != value:
        raise RecipeError(f"'{field}' is set to {values[field]} and to {value}; set it once")
    values[field] = value


def override(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Replace fields of a recipe and validate the result.

    Args:
        recipe: The recipe.
        values: New values by dotted field. A name for a component ("optimizer": "sgd") replaces the whole
            component with that one at its defaults; "optimizer.lr" changes one option. The last part of a
            field is enough where no other field has it: "lr".

    Returns:
        The changed recipe.

    Raises:
        RecipeError: A field or option does not exist, or a value is out of range.
        UnknownNameError: A component is not registered.
    """
    values = in_full(recipe, values)
    short = {key: value for key, value in values.items() if _is_short(recipe, key)}
    if short:
        rest = {key: value for key, value in values.items() if key not in short}
        recipe = override(recipe, rest) if rest else recipe
        found: dict[str, Any] = {}
        for key, value in short.items():
            name = full_name(recipe, key)
            set_once(found, name, value)
            set_once(dict(rest), name, value)
        return override(recipe, found)
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
    if isinstance(content["weights"], dict) and "source" not in content["weights"]:
        raise RecipeError(
            "weights.source is not set, and the other fields of weights need it; set it with --weights "
            "(imagenet, a file or a run)"
        )
    return Recipe.from_dict(content)


def _names_first(item: tuple[str, Any]) -> tuple[int, bool]:
    """Sort key: components are chosen before their options are set."""
    key = item[0]
    return key.count("."), not key.endswith(".name")


def in_full(recipe: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by the full names of their fields.

    Short names remain if the recipe, with the components that are set, has no such field, or several.

    Raises:
        RecipeError: A field is set to two values, by its short and by its full name.
    """
    found: dict[str, Any] = {}
    fields = _fields(recipe, values)
    for key, value in values.items():
        names = _full_names(fields, key) if _is_short(recipe, key) else []
        set_once(found, names[0] if len(names) == 1 else key, value)
    return found


def _is_short(recipe: Recipe, key: str) -> bool:
    """Whether a key is the last part of a field below the top."""
    return "." not in key and key not in type(recipe).model_fields


def full_name(recipe: Recipe, key: str) -> str:
    """The dotted name of the field whose last part is `key`.

    Raises:
        RecipeError: There is none, or there are several.
    """
    fields = _fields(recipe)
    found = _full_names(fields, key)
    if len(found) == 1:
        return found[0]
    if found:
        raise RecipeError(f"'{key}' may be {' or '.join(sorted(found))}; write one of them")
    raise RecipeError(_no_field(key, key, [*fields, *recipe.to_dict()]))


def _full_names(fields: Iterable[str], key: str) -> list[str]:
    wanted = ALIASES.get(key, key)
    return [name for name in fields if name.rpartition(".")[2] == wanted]


def _fields(recipe: Recipe, values: Mapping[str, Any] | None = None) -> list[str]:
    """The dotted names of all fields below the top, also of sections that are not set.

    Args:
        recipe: The recipe.
        values: Overrides, whose components are taken in place of those of the recipe.
    """
    content: dict[str, Any] = recipe.to_dict()
    for section, registry in Recipe.registries.items():
        chosen = (values or {}).get(section, (values or {}).get(f"{section}.name"))
        name = chosen.get("name") if isinstance(chosen, Mapping) else chosen
        if isinstance(name, str) and name in registry:
            content[section] = registry.options(name, {})
    names = [
        f"{section}.{name}"
        for section, fields in content.items()
        if isinstance(fields, dict)
        for name in fields
        if name != "name"
    ]
    optional: dict[str, type[Section]] = {"weights": Weights, "early_stopping": EarlyStopping}
    return [
        *names,
        *(
            f"{section}.{name}"
            for section, document in optional.items()
            if content[section] is None
            for name in document.model_fields
        ),
    ]


def _no_field(path: str, name: str, place: Iterable[str]) -> str:
    """A message with the nearest field, by the last part of its name."""
    by_last = {known.rpartition(".")[2]: known for known in place}
    owner = path.rpartition(".")[0] or "a recipe"
    alias = ALIASES.get(name)
    if alias in by_last:
        return f"'{name}' is not a field of {owner}; did you mean '{by_last[alias]}'?"
    close = difflib.get_close_matches(name, by_last, n=1, cutoff=0.6)
    if close:
        return f"'{name}' is not a field of {owner}; did you mean '{by_last[close[0]]}'?"
    return f"'{name}' is not a field of {owner}{nearest(name, by_last)}"
