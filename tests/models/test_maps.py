"""U-Net, classifiers as convolutions, series: what their papers and the lectures say of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnet.analysis import summary
from convnet.errors import ModelError
from convnet.models import MODELS, build_model, fully_convolutional
from convnet.types import ImageShape


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_unet_of_the_paper() -> None:
    """M68: 572×572 pixels give 388×388, with 31,030,658 parameters and no norms."""
    with torch.device("meta"):
        model = build_model("unet", ImageShape(1, 572, 572), 2, convolutions="valid", norm=False)
        assert parameters(model) == 31_030_658
        assert model(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)


def test_a_residual_unet_begins_with_what_it_is_given() -> None:
    for convolutions in ("same", "valid"):
        model = build_model("unet", ImageShape(3, 40, 40), 3, depth=1, width=4, residual=True,
                            convolutions=convolutions).eval()  # fmt: skip
        x = torch.rand(1, 3, 40, 40)
        inner = x if convolutions == "same" else x[:, :, 8:-8, 8:-8]
        assert torch.equal(model(x), inner)


CLASSIFIERS = [
    n for n in MODELS if "class" in MODELS.facts(n).targets and 0 < MODELS.facts(n).parameters < 3e7
]
WITHOUT_FORM = {"pipeline", "temporal"}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_as_convolutions(name: str) -> None:
    """M31: over one window it is the classifier; over an image all windows at once, unless it pads."""
    side = max(MODELS.facts(name).smallest_for(), min(32, MODELS.facts(name).native.height))
    shape = ImageShape(MODELS.facts(name).native.channels, side, side)
    torch.manual_seed(0)
    model = build_model(name, shape, 5).eval()
    if name in WITHOUT_FORM:
        with pytest.raises(ModelError, match="cannot become a convolution"):
            fully_convolutional(model, shape)
        return
    dense = fully_convolutional(model, shape)
    assert dense.window == (side, side)
    step = dense.stride
    image = torch.randn(1, shape.channels, side + 2 * step, side + step)
    with torch.no_grad():
        single = model(image[:, :, :side, :side])
        found = dense.network(image[:, :, :side, :side])
        assert found.shape == (1, 5, 1, 1)
        torch.testing.assert_close(found[:, :, 0, 0], single, rtol=1e-3, atol=1e-4)
        maps = dense.network(image)
        assert maps.shape == (1, 5, 3, 2)
        if not dense.padded:
            windows = [
                model(image[:, :, i * step : i * step + side, j * step : j * step + side])
                for i in range(3)
                for j in range(2)
            ]
            torch.testing.assert_close(maps, torch.stack(windows, 2).view(1, 5, 3, 2), rtol=1e-4, atol=1e-4)


def test_a_padded_classifier_agrees_where_its_windows_see_no_border() -> None:
    """A place of the map depends on nothing but its surroundings, also in a network that pads."""
    torch.manual_seed(0)
    shape = ImageShape(3, 32, 32)
    dense = fully_convolutional(build_model("lecture-picture", shape, 4).eval(), shape)
    image = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        whole, part = dense.network(image), dense.network(image[:, :, 16:144, 16:144])
    torch.testing.assert_close(whole[:, :, 6:-6, 6:-6], part[:, :, 4:-4, 4:-4], rtol=1e-4, atol=1e-4)


def test_every_classifier_becomes_a_segmentation_network() -> None:
    for name in ("alexnet", "googlenet", "lenet5", "resnet18", "resnet20", "small-convnet", "vgg-a"):
        with torch.device("meta"):
            model = build_model("fcn", ImageShape(3, 96, 160), 4, encoder=name).eval()
            assert model(torch.empty(1, 3, 96, 160)).shape == (1, 4, 96, 160)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_padded_series_are_masked(causal: bool, training: bool) -> None:
    """M34: what lies behind the end of a series changes nothing, in evaluation and in training."""
    torch.manual_seed(0)
    model = build_model("temporal", ImageShape(2, 1, 40), 3, width=8, depth=2, causal=causal, dropout=0.0)
    model.train(training)
    series = torch.randn(4, 2, 1, 25)
    longer = torch.cat([series, torch.full((4, 2, 1, 15), torch.nan)], 3)
    torch.testing.assert_close(model(longer), model(series), rtol=1e-5, atol=1e-5)
    model.per_step = True
    torch.testing.assert_close(model(longer)[..., :25], model(series), rtol=1e-5, atol=1e-5)


def test_causal_convolutions_see_no_later_step_and_dilated_ones_far_back() -> None:
    """M34: the receptive field grows exponentially; the layer table and gradients agree about it."""
    options = {"width": 4, "depth": 3, "kernel_size": 3, "per_step": True, "dropout": 0.0}
    torch.manual_seed(0)
    model = build_model("temporal", ImageShape(1, 1, 64), 2, causal=True, **options).eval()
    series = torch.randn(1, 1, 1, 64, requires_grad=True)
    model(series)[0, 0, 0, 40].backward()
    seen = series.grad[0, 0, 0].nonzero()[:, 0]
    reach = 1 + 2 * (3 - 1) * (1 + 2 + 4)
    assert seen.max() == 40 and seen.min() == 40 - reach + 1
    rows = summary(model, (1, 1, 64)).to_dict()["layers"]
    assert rows[-1]["receptive_field"] == [1, reach]
