"""Translation equivariance (M30)."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from convnet import equivariance
from convnet.errors import DataError
from convnet.reports.figures import draw_equivariance

IMAGES = torch.rand(3, 2, 32, 40, generator=torch.Generator().manual_seed(0))


def network(*, pooling: bool) -> nn.Sequential:
    torch.manual_seed(0)
    pool = [nn.MaxPool2d(2)] if pooling else []
    convolutions = [
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        *pool,
        nn.Conv2d(4, 4, 3, padding=1),
    ]
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def test_convolutions_are_equivariant_and_pools_to_multiples_of_their_stride() -> None:
    plain = equivariance(network(pooling=False), IMAGES, (1, 2, (3, -2)))
    assert plain.error == pytest.approx(0, abs=1e-6) and plain.maps.is_interior
    pooled = equivariance(network(pooling=True), IMAGES, (1, 2, 3, (2, 4)))
    assert pooled.maps.errors is not None
    odd, even, odd_again, both = pooled.maps.errors
    assert even == pytest.approx(0, abs=1e-6) and both == pytest.approx(0, abs=1e-6)
    assert min(odd, odd_again) > 0.05
    assert pooled.maps.jump == (2, 2)


def test_pooling_makes_the_output_stable() -> None:
    """The same convolution: maps change with a shift, their mean over all places nearly does not."""
    found = equivariance(network(pooling=True), IMAGES, (1,))
    changes = {layer.type: layer.changes[0] for layer in found.layers}
    assert changes["AdaptiveAvgPool2d"] < 0.3 * changes["Conv2d"]
    assert found.change == changes["Linear"]
    assert equivariance(network(pooling=True), IMAGES, (0,)).change == 0


def test_padding_breaks_it_where_fields_reach_over_the_border() -> None:
    """A network that sees more than the image: no place is free of the border, and the result says so."""
    wide = nn.Sequential(nn.Conv2d(2, 2, 31, padding=15), nn.Conv2d(2, 2, 31, padding=15))
    found = equivariance(wide, IMAGES, (4,))
    assert not found.maps.is_interior and found.error > 0
    *_, marked, _, note = str(found).splitlines()
    assert "*" in marked and "extend beyond the border" in note


def test_the_model_is_left_as_it_was_and_its_table_reads() -> None:
    model = network(pooling=True).train()
    model[0].eval()
    found = equivariance(model, IMAGES, (1, (0, 2)))
    assert model.training and not model[0].training and not model[1]._forward_hooks
    assert "0 Conv2d" in str(found) and len(str(found).splitlines()) == len(found.layers) + 2
    assert len(draw_equivariance({"net": found}).axes) == 2


@pytest.mark.parametrize(
    ("images", "shifts", "message"),
    [
        (IMAGES, (40,), "too large for images"),
        (IMAGES, 3, "shifts are integers"),
        (IMAGES, (1.5,), "shifts are integers"),
        (IMAGES, (), "shifts are integers"),
        (IMAGES[0], (1,), "images are N×C×H×W and float, got 2×32×40"),
        (IMAGES.byte(), (1,), "got 3×2×32×40 and torch.uint8"),
    ],
)
def test_wrong_images_and_shifts(images: torch.Tensor, shifts: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        equivariance(network(pooling=False), images, shifts)  # type: ignore[arg-type]
