"""Recipes: typed documents that describe a run completely; how they are resolved, stored and built."""

from convnet.data import Data
from convnet.recipes import load
from convnet.recipes.build import Opened, TrainingSetup, build, open_recipe_data, split_data
from convnet.recipes.catalog import RECIPES, NamedRecipe, named_recipe
from convnet.recipes.components import Component
from convnet.recipes.defaults import baseline_recipe, default_recipe
from convnet.recipes.network import task_of
from convnet.recipes.overrides import override, parse_assignments
from convnet.recipes.recipe import EarlyStopping, Recipe

__all__ = [
    "RECIPES",
    "Component",
    "Data",
    "EarlyStopping",
    "NamedRecipe",
    "Opened",
    "Recipe",
    "TrainingSetup",
    "baseline_recipe",
    "build",
    "default_recipe",
    "load",
    "named_recipe",
    "open_recipe_data",
    "override",
    "parse_assignments",
    "split_data",
    "task_of",
]
