"""The pattern grammar (M66)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from convnet.errors import ConvnetError, ModelError, RecipeError
from convnet.layers import layers_of
from convnet.models import build_model
from convnet.models.grammar.parse_pattern import NAMES, is_pattern, parse
from convnet.recipes import Recipe
from convnet.types import ImageShape

LECTURE = "[(CONV-RELU)*2-POOL]*3-(FC-RELU)*1-SOFTMAX"


def build(layers: str, size: int = 32) -> nn.Module:
    return build_model("pattern", ImageShape(3, size, size), 10, layers=layers)


def test_the_pattern_of_the_lectures() -> None:
    kinds = [type(layer).__name__ for layer in layers_of(build(LECTURE))]
    stage = ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d"]
    assert kinds == [*stage * 3, "FlattenLinear", "ReLU", "Linear"]


def test_widths() -> None:
    model = build("CONV-POOL-CONV-POOL-CONV7-FC-FC30-SOFTMAX")
    assert [m.out_channels for m in layers_of(model) if isinstance(m, nn.Conv2d)] == [32, 64, 7]
    assert [m.out_features for m in layers_of(model) if isinstance(m, nn.Linear)] == [256, 30, 10]
    deep = build("[CONV-POOL?]*9-SOFTMAX")
    assert [m.out_channels for m in layers_of(deep) if isinstance(m, nn.Conv2d)] == [
        32,
        64,
        128,
        256,
        256,
        256,
        256,
        256,
        256,
    ]
    assert sum(isinstance(m, nn.MaxPool2d) for m in layers_of(deep)) == 5


def test_sizes_strides_and_padding() -> None:
    first, pool = (
        layer for layer in layers_of(build("CONV10x5s2p1-POOL3s2-SOFTMAX")) if hasattr(layer, "stride")
    )
    assert (first.out_channels, first.kernel_size, first.stride, first.padding) == (
        10,
        (5, 5),
        (2, 2),
        (1, 1),
    )
    assert (pool.kernel_size, pool.stride) == (3, 2)
    with torch.no_grad():
        assert build("CONVx4s3-POOL?-SOFTMAX", 33)(torch.rand(2, 3, 33, 33)).shape == (2, 10)


@given(kernel=st.integers(1, 9), stride=st.integers(1, 4), padding=st.integers(0, 4), size=st.integers(9, 24))
def test_the_dense_layer_fits_any_window(kernel: int, stride: int, padding: int, size: int) -> None:
    model = build(f"CONV2x{kernel}s{stride}p{padding}-SOFTMAX", size)
    with torch.no_grad():
        assert model(torch.rand(1, 3, size, size)).shape == (1, 10)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("[(CONV-RELU*2-POOL]*3-SOFTMAX", 18, r"expected '-', '\*' or '\)' to close the '\(' at position 2"),
        ("(CONV-RELU)*-SOFTMAX", 12, "expected a number of repetitions"),
        ("CONV-KONV-SOFTMAX", 5, "unknown layer 'KONV'; did you mean 'CONV'"),
        ("CONV--SOFTMAX", 5, "expected a layer, got '-'"),
        ("CONV-SOFTMAX]", 12, "']' is not expected here"),
        ("CONV-RELU", 9, "it must end in -SOFTMAX"),
        ("SOFTMAX-FC-SOFTMAX", 0, "SOFTMAX can only be the last layer"),
        ("CONV-RELU3-SOFTMAX", 5, "'3' does not apply to RELU"),
        ("CONV-FC8x5-SOFTMAX", 5, "'x5' does not apply to FC, only to CONV"),
        ("CONV8x0-SOFTMAX", 0, "CONV takes a number from 1 to 1,000 after 'x', not 0"),
        ("CONV8s2s3-SOFTMAX", 0, "CONV has two numbers after 's'"),
        ("CONV10z5-SOFTMAX", 0, "unknown layer 'CONV10z5'"),
        ("CONV0-SOFTMAX", 0, "CONV takes a number from 1 to 1,000,000, not 0"),
        ("conv–relu-softmax", 4, "'–' is not expected here"),
        ("KONV-RELU-SOFTMAX", 0, "unknown layer 'KONV'"),
        ("CONV?-SOFTMAX", 0, r"'\?' does not apply to CONV"),
        ("(CONV)*99999-SOFTMAX", 7, "over 1,000 layers"),
        ("SOFTMAX*0", 9, "it must end in -SOFTMAX"),
    ],
)
def test_a_syntax_error_points_at_its_place(text: str, place: int, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        build(text)
    _, shown, mark = str(caught.value).splitlines()
    assert shown == f"  {text}"
    assert mark.index("^") == place + 2


def test_layers_that_cannot_follow_each_other() -> None:
    with pytest.raises(ModelError, match="CONV cannot follow FC"):
        build("FC-CONV-SOFTMAX")
    with pytest.raises(ModelError, match=r"images of 4×4 are reduced to 1×1 here.*at least 8×8"):
        build("[CONV-POOL]*3-SOFTMAX", size=4)


def test_a_recipe_takes_a_pattern_for_a_model() -> None:
    recipe = Recipe.from_dict({"name": "x", "data": {"source": "digits"}, "model": LECTURE})
    assert recipe.model.name == "pattern" and recipe.model.options["layers"] == LECTURE
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert not any(map(is_pattern, ("lenet5", "my_nets:CONV", "linear", "convnetjs-mnist", "fc2:net")))
    assert all(map(is_pattern, (LECTURE, "CONV64-SOFTMAX", "FC", "(FC-RELU)*2-SOFTMAX", "SOFTMAX")))


WORDS = ("CONV", "CONV8", "FC9", "POOL?", "RELU", "BN", "(CONV-RELU)*2", "[CONV-POOL]*2")


@given(
    st.lists(st.sampled_from([*NAMES, "(", ")", "[", "]", "*2", "-", "?", "64", " ", "*"])).map("".join)
    | st.lists(st.sampled_from(WORDS), max_size=4).map(lambda words: "-".join([*words, "SOFTMAX"]))
)
def test_any_text_gives_layers_or_a_message(text: str) -> None:
    try:
        layers = parse(text)
        model = build_model("pattern", ImageShape(1, 8, 8), 3, layers=text)
    except ConvnetError:
        return
    assert layers[-1].name == "SOFTMAX"
    if len(layers) < 6:
        assert model.eval()(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
