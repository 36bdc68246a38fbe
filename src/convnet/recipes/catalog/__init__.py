"""The named recipes. Importing this package registers them."""

from convnet.recipes.catalog import classical, classification, dense, zoo
from convnet.recipes.catalog.registry import RECIPES, NamedRecipe, named_recipe

__all__ = ["RECIPES", "NamedRecipe", "classical", "classification", "dense", "named_recipe", "zoo"]
