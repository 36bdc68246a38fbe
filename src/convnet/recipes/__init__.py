"""A recipe says everything about a run; it is checked, stored, and turned into objects here."""

from convnet.recipes import zoo
from convnet.recipes.build import Workbench, build
from convnet.recipes.catalog import RECIPES, NamedRecipe, default_recipe, named_recipe
from convnet.recipes.overrides import override, parse_assignments
from convnet.recipes.recipe import Choice, Data, EarlyStopping, Recipe

__all__ = [
    "RECIPES",
    "Choice",
    "Data",
    "EarlyStopping",
    "NamedRecipe",
    "Recipe",
    "Workbench",
    "build",
    "default_recipe",
    "named_recipe",
    "override",
    "parse_assignments",
    "zoo",
]
