"""Pipelines written down: features -> classifier (M08)."""

from __future__ import annotations

import pytest
import torch

from convnet.errors import ConvnetError, RecipeError
from convnet.features import Features
from convnet.layers import Classifier, Standardize
from convnet.models import Pipeline, build_model, parse_pipeline
from convnet.models.knn import NearestNeighbors
from convnet.types import ImageShape

SHAPE = ImageShape(3, 32, 32)


def test_stages() -> None:
    model = build_model("hog(cell_size=8, block=1)+color(bins=4) -> linear", SHAPE, 10)
    assert isinstance(model, Pipeline)
    assert [type(stage) for stage in model] == [Features, Standardize, Classifier]
    assert model[0].out_features == 16 * 9 + 64
    assert [type(stage) for stage in build_model("hog -> knn(k=3)", SHAPE, 10)] == [
        Features,
        NearestNeighbors,
    ]
    deep = build_model("hog->mlp(hidden=[20, 10],dropout=0.1)", SHAPE, 10)
    assert [m.out_features for m in deep.modules() if isinstance(m, torch.nn.Linear)] == [20, 10, 10]


def test_the_complete_text_says_every_option_and_is_read_back() -> None:
    stages = parse_pipeline("visual-words(words=50) + hog -> linear")
    assert "encoding=triangle" in str(stages)
    assert "cell_size=null" in str(stages)
    assert parse_pipeline(str(stages)) == stages
    assert stages.label == "visual-words+hog-linear"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hog+colr -> linear", "unknown feature 'colr'; did you mean 'color'"),
        ("hog -> liner", "did you mean 'linear'"),
        ("hog(cells=3) -> linear", "'cells' is not an option of feature hog"),
        ("hog(cell_size=0) -> linear", "greater than or equal to 1, got 0"),
        ("hog(8) -> linear", "expected option=value, got '8'"),
        ("hog(cell_size=[) -> linear", "expected 'features -> classifier'"),
        ("hog -> color -> linear", "expected 'features -> classifier'"),
        (" -> linear", "is not a feature"),
        ("hog -> pipeline", "cannot follow features"),
        ("hog(cell_size=20) -> linear", "at least 40×40 pixels"),
        ("polar -> linear", "points in the plane"),
        ("hog -> lenet5", "lenet5 needs images of at least"),
    ],
)
def test_what_does_not_fit_is_said(text: str, message: str) -> None:
    with pytest.raises(ConvnetError, match=message):
        build_model(text, SHAPE, 10)


def test_a_pipeline_is_not_given_twice() -> None:
    with pytest.raises(RecipeError, match="already set in the text"):
        build_model("hog -> linear", SHAPE, 10, stages="color -> linear")
