"""What a user's first word means: a named recipe, a recipe file, a data set, a folder or a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convnet.data import DATASETS, as_path, holds_files, holds_images, holds_series, is_shards, is_table
from convnet.errors import DataError, RecipeError, UnknownNameError
from convnet.models import named_model
from convnet.models.published import IMAGENET
from convnet.recipes.catalog import RECIPES, named_recipe
from convnet.recipes.defaults import BASELINES, default_recipe
from convnet.recipes.overrides import override
from convnet.recipes.recipe import Recipe
from convnet.registry import nearest


def choose_recipe(data_or_recipe: str | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe that `data_or_recipe` stands for, with `overrides` applied.

    Data that no recipe is named after gets sensible choices, also for the model that `overrides` name.

    Raises:
        UnknownNameError: it is no recipe, no data set, no folder and no table.
        RecipeError: an override does not apply.
    """
    changes = dict(overrides or {})
    recipe = data_or_recipe if isinstance(data_or_recipe, Recipe) else _find(data_or_recipe, changes)
    if not changes:
        return recipe
    if changes.get("weights.source") == "imagenet":
        changes = _as_published(changes.get("model", recipe.model.name)) | changes
    changed = override(recipe, changes)
    named_after_model = recipe.name.endswith(f"-{recipe.model.name}") and "name" not in changes
    if changed.model.name != recipe.model.name and named_after_model:
        stem = recipe.name.removesuffix(recipe.model.name)  # mnist-small-convnet → mnist-lenet5
        changed = override(changed, {"name": stem + changed.model.name.replace(":", ".")})
    return changed


def _as_published(model: str) -> dict[str, Any]:
    """The options and the normalisation that the public weights of the chosen network need."""
    if model not in IMAGENET:
        known = ", ".join(IMAGENET)
        raise RecipeError(f"--weights imagenet: name a network that has public weights with --model: {known}")
    published = IMAGENET[model]
    options = {f"model.{name}": value for name, value in published.options.items()}
    return {**options, "preprocess.normalize": published.normalize}


def _find(word: str, changes: Mapping[str, Any]) -> Recipe:
    chosen, wanted, label = (
        value if isinstance(value := changes.get(key), str) else None
        for key in ("model", "task", "data.label")
    )
    own_default = wanted is not None or (chosen is not None and named_model(chosen)["name"] in BASELINES)
    if word in RECIPES and not (own_default and word in DATASETS):
        return named_recipe(word)
    if word in DATASETS:
        return default_recipe(word, chosen, wanted, label)
    path = as_path(word)
    if path.suffix in (".yaml", ".yml"):
        return Recipe.from_file(path)
    if is_shards(word):
        return default_recipe(word, chosen, wanted, label)
    if path.is_dir():
        if (path / "run.json").exists():
            raise DataError(f"{path}: a run, not data; use its {path / 'recipe.yaml'}, or 'convnet resume'")
        return default_recipe(word, chosen, wanted, label)
    if path.exists():
        if is_table(word) or holds_series(word) or holds_files(word) or holds_images(path):
            return default_recipe(word, chosen, wanted, label)
        raise DataError(
            f"{path}: a file of no known kind; give a recipe (.yaml), a folder or .zip of images, a table "
            "(.csv, .tsv, .parquet), arrays (.npz), COCO annotations (.json), or series (.arff, .txt)"
        )
    if "/" in word or is_table(word) or holds_series(word):
        raise DataError(f"{path}: no such {'file' if path.suffix else 'folder'}")
    raise UnknownNameError(
        f"'{word}' is neither a recipe, a data set nor a folder{nearest(word, {*RECIPES, *DATASETS})}"
    )
