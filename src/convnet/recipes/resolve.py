"""Resolve the first argument of a command: a named recipe, a recipe file, a data set, a folder or a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convnet.data import DATASETS, DataSpec, as_path, identify_source
from convnet.data.datasets.identify import local_images
from convnet.data.files.shards import names_shards
from convnet.errors import DataError, UnknownNameError
from convnet.models import MODELS, has_weights
from convnet.recipes.catalog import RECIPES, named_recipe
from convnet.recipes.defaults import default_recipe, is_baseline
from convnet.recipes.overrides import in_full, override, set_once
from convnet.recipes.pretrained import is_local
from convnet.recipes.pretrained_fields import component_named, with_weights
from convnet.recipes.recipe import Recipe
from convnet.registry import nearest


@dataclass(frozen=True)
class Resolved:
    """A recipe, and its data if it has been identified."""

    recipe: Recipe
    data: DataSpec | None = None


def resolve(data_or_recipe: str | Recipe, overrides: Mapping[str, Any] | None = None) -> Resolved:
    """Find the recipe for `data_or_recipe` and apply `overrides`.

    Args:
        data_or_recipe: A recipe, the name of one, a recipe file, a data set, a folder or a table. Data gets
            the default recipe for it and for the model and task in `overrides`.
        overrides: New values by dotted field.

    Returns:
        The recipe, and its data if it was identified on the way.

    Raises:
        UnknownNameError: There is no such recipe, data set, folder or table.
        RecipeError: An override does not apply.
    """
    changes = _flat(overrides or {})
    given = data_or_recipe
    found = Resolved(given) if isinstance(given, Recipe) else _find(given, changes)
    if not changes:
        return found
    recipe = found.recipe
    own_model = found.data is not None or (isinstance(given, str) and given in DATASETS)
    changes = with_weights(recipe, in_full(recipe, changes), own_model=own_model)
    changed = override(recipe, changes)
    named_after_model = recipe.name.endswith(f"-{recipe.model.name}") and "name" not in changes
    if changed.model.name != recipe.model.name and named_after_model:
        stem = recipe.name.removesuffix(recipe.model.name)  # mnist-small-convnet → mnist-lenet5
        changed = override(changed, {"name": stem + changed.model.name.replace(":", ".")})
    same_data = found.data is not None and changed.data.source == found.data.source
    return Resolved(changed, found.data if same_data else None)


def choose_recipe(data_or_recipe: str | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe only; see `resolve`."""
    return resolve(data_or_recipe, overrides).recipe


def _flat(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides, with one field of `weights` and `preprocess` each."""
    found: dict[str, Any] = {}
    for name, value in changes.items():
        if name in ("weights", "preprocess") and isinstance(value, Mapping):
            for field, content in value.items():
                set_once(found, f"{name}.{field}", content)
        else:
            set_once(found, name, value)
    return found


def _find(word: str, changes: Mapping[str, Any]) -> Resolved:
    model, task, label = (
        value if isinstance(value := changes.get(key), str) else None
        for key in ("model", "task", "data.label")
    )
    pretrained = _wants_weights(changes)
    spec = local_images(word) if word in {*RECIPES, *DATASETS} else None
    if spec is not None:
        return Resolved(default_recipe(spec, model, task, label, pretrained=pretrained), spec)
    own_default = task is not None or (model is not None and is_baseline(model))
    if word in RECIPES and not (own_default and word in DATASETS):
        return Resolved(named_recipe(word))
    path = as_path(word)
    if word not in DATASETS and path.suffix in (".yaml", ".yml"):
        return Resolved(Recipe.from_file(path))
    if word not in DATASETS and (path / "run.json").exists():
        raise DataError(f"{path}: this is a run, not data. Use {path / 'recipe.yaml'}, or 'convnet resume'")
    if word not in DATASETS and not names_shards(word) and not path.exists():
        if "/" in word or path.suffix:
            raise DataError(f"{path}: no such {'file' if path.suffix else 'folder'}")
        raise UnknownNameError(
            f"'{word}' is neither a recipe, a data set nor a folder{nearest(word, {*RECIPES, *DATASETS})}"
        )
    spec = identify_source(word)
    return Resolved(default_recipe(spec, model, task, label, pretrained=pretrained), spec)


def _wants_weights(changes: Mapping[str, Any]) -> bool | None:
    """Whether overrides ask for ImageNet weights, or for none or others; None if they do not say.

    A file for a network with public weights, other than a run, is taken for one of these.
    """
    if "weights" in changes and changes["weights"] is None:
        return False
    source, model = changes.get("weights.source"), component_named(changes, "model", "model.name")
    if source is None:
        return None if "model" not in changes and "model.name" not in changes else False
    published = model is not None and has_weights(MODELS.canonical(model))
    run = isinstance(source, str) and is_local(source) and (as_path(source) / "run.json").exists()
    return source == "imagenet" or (published and not run)
