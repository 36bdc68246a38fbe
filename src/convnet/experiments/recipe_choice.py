"""What a user's first word means: a named recipe, a recipe file, a data set, or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convnet.data import DATASETS, as_path
from convnet.errors import DataError, UnknownNameError
from convnet.recipes import RECIPES, Recipe, default_recipe, named_recipe, override
from convnet.schema import nearest


def choose_recipe(data_or_recipe: str | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe that `data_or_recipe` stands for, with `overrides` applied.

    Raises:
        UnknownNameError: it is no recipe, no data set and no folder.
        RecipeError: an override does not apply.
    """
    recipe = data_or_recipe if isinstance(data_or_recipe, Recipe) else _find(data_or_recipe)
    if not overrides:
        return recipe
    changed = override(recipe, overrides)
    named_after_model = recipe.name.endswith(f"-{recipe.model.name}") and "name" not in overrides
    if changed.model.name != recipe.model.name and named_after_model:
        stem = recipe.name.removesuffix(recipe.model.name)  # mnist-small-convnet → mnist-lenet5
        changed = override(changed, {"name": stem + changed.model.name.replace(":", ".")})
    return changed


def _find(word: str) -> Recipe:
    if word in RECIPES:
        return named_recipe(word)
    if word in DATASETS:
        return default_recipe(word)
    path = as_path(word)
    if path.suffix in (".yaml", ".yml"):
        return Recipe.from_file(path)
    if path.is_dir():
        if (path / "run.json").exists():
            raise DataError(f"{path}: a run, not data; use its {path / 'recipe.yaml'}, or 'convnet resume'")
        return default_recipe(word)
    if path.exists():
        raise DataError(
            f"{path}: a file; give a recipe (.yaml) or a folder with one subfolder of images per class"
        )
    if "/" in word:
        raise DataError(f"{path}: no such folder")
    raise UnknownNameError(
        f"'{word}' is neither a recipe, a data set nor a folder{nearest(word, {*RECIPES, *DATASETS})}"
    )
