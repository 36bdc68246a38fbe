"""Attribution maps: definitions, planted evidence, another implementation, random weights."""

from __future__ import annotations

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convnet.errors import ModelError
from convnet.explain.attribution import NAMES, attribute
from convnet.explain.cam import choose_layer, grad_cam, normalized
from convnet.explain.capture import capture
from convnet.explain.faithfulness import measure_faithfulness, with_random_weights
from convnet.explain.ranks import rank_correlation
from convnet.explain.visualize import Limits, dream, visualize

SIDE, MARKER = 32, 12
DECILE = SIDE * SIDE // 10


def marked(n: int, seed: int) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """Noisy images; those of class 1 have a bright square somewhere."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.randn(n, 1, SIDE, SIDE, generator=generator)
    targets = torch.arange(n) % 2
    places = torch.randint(0, (SIDE - MARKER) // 4 + 1, (n, 2), generator=generator) * 4
    for image, target, (top, left) in zip(images, targets, places.tolist(), strict=True):
        if target:
            image[0, top : top + MARKER, left : left + MARKER] += 2
    return images, targets, [tuple(place) for place in places.tolist()]


@pytest.fixture(scope="module")
def detector() -> nn.Module:
    """A small network that finds the square."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(60):
        images, targets, _ = marked(64, step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), targets).backward()
        optimizer.step()
    images, targets, _ = marked(200, 999)
    assert float((model(images).argmax(1) == targets).double().mean()) > 0.97
    return model.eval()


def test_saliency_of_a_linear_model_is_its_weights() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 4, 6))
    weights = model[1].weight.detach().view(6, 3, 5, 4)
    image = torch.randn(1, 3, 5, 4)
    for target in (0, 5):
        found = attribute(model, image, target, "saliency")
        assert torch.allclose(found.values, weights[target].abs().amax(0))
        smooth = attribute(model, image, target, "smooth-grad")
        assert torch.allclose(smooth.values, found.values, atol=1e-6)
        integrated = attribute(model, image, target, "integrated-gradients")
        assert torch.allclose(integrated.values, (weights[target] * image[0]).sum(0), atol=1e-4)


def test_occlusion_of_a_linear_model_is_what_the_window_contributes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(10 * 10, 2))
    image = torch.randn(1, 1, 10, 10)
    product = (model[1].weight[1].detach().view(10, 10) * image[0, 0]).numpy()
    total, counts = np.zeros((10, 10)), np.zeros((10, 10))
    for top in range(9):
        for left in range(9):
            window = slice(top, top + 2), slice(left, left + 2)
            total[window] += product[window].sum()
            counts[window] += 1
    found = attribute(model, image, 1, "occlusion").values.numpy()
    assert np.allclose(found, total / counts, atol=1e-5)


@pytest.mark.parametrize(
    "method, share",
    [
        ("grad-cam", 0.8),
        ("layer-cam", 0.4),
        ("saliency", 0.45),
        ("smooth-grad", 0.6),
        ("integrated-gradients", 0.8),
        ("guided-backprop", 0.8),
        ("occlusion", 0.8),
    ],
)
def test_planted_evidence_is_found(detector: nn.Module, method: str, share: float) -> None:
    """So much of the strongest tenth of the pixels lies on the marker, a seventh of the image."""
    images, targets, places = marked(40, 7)
    shares = []
    for image, target, (top, left) in zip(images, targets, places, strict=True):
        if not target:
            continue
        values = attribute(detector, image[None], 1, method).values
        strongest = values.flatten().argsort(descending=True)[:DECILE]
        rows, columns = strongest // SIDE, strongest % SIDE
        inside = (rows >= top) & (rows < top + MARKER) & (columns >= left) & (columns < left + MARKER)
        shares.append(float(inside.double().mean()))
    assert np.mean(shares) >= share


@pytest.mark.parametrize("method", NAMES)
def test_random_weights_change_the_map(detector: nn.Module, method: str) -> None:
    image = marked(2, 3)[0][1:]
    found = attribute(detector, image, 1, method)
    other = attribute(with_random_weights(detector), image, 1, method, found.layer)
    trust = measure_faithfulness(lambda x: detector(x).softmax(1), image, 1, found, other)
    assert trust.random_similarity == rank_correlation(found.values, other.values) < 0.9
    assert trust.deletion < trust.insertion


def test_grad_cam_is_that_of_the_package(detector: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("pytorch_grad_cam") is None:
        pytest.skip("the grad-cam package is not installed")
    # The package imports torchvision for functions that it does not use here.
    for module in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        stand_in = types.ModuleType(module)
        for name in ("Compose", "Normalize", "ToTensor", "resize"):
            setattr(stand_in, name, None)
        monkeypatch.setitem(sys.modules, module, stand_in)
    import pytorch_grad_cam as package
    from pytorch_grad_cam.utils import model_targets as targets

    model = nn.Sequential(*(nn.ReLU() if isinstance(part, nn.ReLU) else part for part in detector))
    image = marked(2, 5)[0][1:]
    with package.GradCAM(model=model, target_layers=[model[4]]) as cam:
        expected = cam(input_tensor=image, targets=[targets.ClassifierOutputTarget(1)])[0]
    found = capture(model, image, gradient_of=1)
    assert choose_layer(found).name == "4"
    own, made = grad_cam(found["4"]), attribute(detector, image, 1, "grad-cam", "4")
    import cv2

    enlarged = cv2.resize(normalized(own).numpy(), (SIDE, SIDE))  # the package scales again afterwards
    assert np.allclose(normalized(torch.from_numpy(enlarged)).numpy(), expected, atol=1e-4)
    assert np.allclose(cv2.resize(own.numpy(), (SIDE, SIDE)), made.values.numpy(), atol=1e-4)


def test_methods_and_layers_that_there_are_not(detector: nn.Module) -> None:
    image = marked(1, 0)[0]
    with pytest.raises(ModelError, match="no attribution method 'gradcam'; did you mean 'grad-cam'"):
        attribute(detector, image, 1, "gradcam")
    with pytest.raises(ModelError, match="no layer 'conv1'"):
        attribute(detector, image, 1, "grad-cam", "conv1")
    with pytest.raises(ModelError, match="needs ReLUs"):
        attribute(nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 2)), image, 1, "guided-backprop")


def test_the_network_is_unchanged(detector: nn.Module) -> None:
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    image = marked(2, 1)[0][1:]
    for method in NAMES:
        attribute(detector, image, 1, method)
    assert detector[1].inplace and not detector.training
    assert not any(part._forward_hooks or part._backward_hooks for part in detector.modules())
    assert all(torch.equal(before[name], value) for name, value in detector.state_dict().items())


def test_gradient_ascent_raises_the_score(detector: nn.Module) -> None:
    limits = Limits(torch.full((1, 1, 1, 1), -1.0), torch.full((1, 1, 1, 1), 2.0))
    made = visualize(detector, (1, SIDE, SIDE), limits, [0, 1])
    assert made.shape == (2, 1, SIDE, SIDE) and float(made.min()) >= -1 and float(made.max()) <= 2
    assert detector(made).argmax(1).tolist() == [0, 1]
    excited = visualize(detector, (1, SIDE, SIDE), limits, [3], layer="3")
    before, after = (detector[:4](x)[0, 3].mean().item() for x in (torch.zeros_like(excited), excited))
    assert after > before
    with pytest.raises(ModelError, match="has 16 channels, 0 to 15"):
        visualize(detector, (1, SIDE, SIDE), limits, [16], layer="3")


def test_a_dream_amplifies_the_layer(detector: nn.Module) -> None:
    limits = Limits(torch.full((1, 1, 1, 1), -1.0), torch.full((1, 1, 1, 1), 2.0))
    image = marked(2, 4)[0][1:]
    found = dream(detector, image, limits, "3")
    before, after = (detector[:4](x).square().mean().item() for x in (image, found))
    assert found.shape == image.shape and after > 2 * before


class Scaled(nn.Module):
    """A layer of one bare parameter, which cannot be reset."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.arange(1.0, 9.0).view(1, 8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def test_all_weights_are_drawn_again_but_those_of_norms() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), Scaled())
    random = with_random_weights(model)
    changed = {
        name for (name, own), other in zip(model.named_parameters(), random.parameters(), strict=True)
        if not torch.equal(own, other)
    }  # fmt: skip
    assert changed == {"0.weight", "0.bias", "2.scale"}
