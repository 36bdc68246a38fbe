"""Recipes for baselines: nearest neighbors, linear models and classical features."""

from __future__ import annotations

from typing import Any

from convnet.data import SplitOptions
from convnet.models import named_model
from convnet.recipes.catalog.registry import named
from convnet.recipes.defaults import baseline_recipe, default_recipe
from convnet.recipes.recipe import Recipe

ALL_IMAGES = SplitOptions(val=0.0)
"""No validation split, because nothing is chosen on it."""


@named("knn-mnist", expected="0.969")
def knn_mnist() -> Recipe:
    """1-nearest neighbor among all 60,000 digits by pixel distance."""
    return _named("knn-mnist", "mnist", {"name": "knn", "k": 1}, split=ALL_IMAGES)


@named("linear-mnist", expected="0.926 ± 0.001 (n=3 seeds)")
def linear_mnist() -> Recipe:
    """Softmax regression on pixels: one template per digit."""
    return _named("linear-mnist", "mnist", named_model("linear"))


@named("svm-mnist", expected="0.923 ± 0.001 (n=3 seeds)")
def svm_mnist() -> Recipe:
    """A linear classifier on pixels with the multiclass SVM loss."""
    return _named("svm-mnist", "mnist", named_model("linear"), loss="hinge")


@named("perceptron-mnist", expected="0.908 ± 0.003 (n=3 seeds)")
def perceptron_mnist() -> Recipe:
    """Rosenblatt's perceptron rule on single digits, with averaged weights."""
    return _named("perceptron-mnist", "mnist", named_model("perceptron"))


@named("hog-mnist", expected="0.982 ± 0.000 (n=3 seeds)")
def hog_mnist() -> Recipe:
    """Softmax regression on HoG of two cell sizes."""
    model = named_model("hog(cell_size=4)+hog(cell_size=7) -> linear")
    return _named("hog-mnist", "mnist", model)


@named("knn-cifar10", expected="0.386")
def knn_cifar10() -> Recipe:
    """1-nearest neighbor among all 50,000 photos by the L1 distance of pixels."""
    return _named("knn-cifar10", "cifar10", {"name": "knn", "k": 1, "metric": "l1"}, split=ALL_IMAGES)


@named("linear-cifar10", expected="0.403 ± 0.001 (n=3 seeds)")
def linear_cifar10() -> Recipe:
    """Softmax regression on pixels, 10×3072 weights."""
    return _named("linear-cifar10", "cifar10", named_model("linear"))


@named("hog-color-cifar10", expected="0.590 ± 0.001 (n=3 seeds)")
def hog_color_cifar10() -> Recipe:
    """Softmax regression on HoG and a color histogram."""
    return _named("hog-color-cifar10", "cifar10", named_model("hog+color -> linear"))


@named("hog-color-mlp-cifar10", expected="0.669 ± 0.001 (n=3 seeds)")
def hog_color_mlp_cifar10() -> Recipe:
    """A two-layer network on HoG and a color histogram."""
    model = named_model("hog+color -> mlp(hidden=[512], dropout=0.5)")
    return _named("hog-color-mlp-cifar10", "cifar10", model)


@named("visual-words-cifar10", expected="0.716 ± 0.003 (n=3 seeds)")
def visual_words_cifar10() -> Recipe:
    """Softmax regression on 800 visual words per quadrant."""
    model = named_model("visual-words(words=800) -> linear")
    return _named("visual-words-cifar10", "cifar10", model)


@named("tumours", expected="0.975 ± 0.001 (n=3 seeds, 5-fold)")
def tumours() -> Recipe:
    """A two-layer network that classifies tumors by 30 measurements of their cells."""
    return default_recipe("tumours").model_copy(update={"name": "tumours"})


def _named(name: str, data: str, model: dict[str, Any], **fields: Any) -> Recipe:
    return baseline_recipe(data, model, **fields).model_copy(update={"name": name})
