"""Maps of images of any size: whole, and in tiles."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convnet.errors import ModelError
from convnet.layers import Sizes, sizes_of, tiled_outputs
from convnet.models import build_model
from convnet.types import ImageShape

NETWORKS = [
    {"depth": 2, "width": 2},
    {"depth": 1, "width": 2, "convolutions": "valid"},
    {"depth": 2, "width": 2, "convolutions": "valid"},
    {"depth": 2, "width": 2, "upsampling": "resize"},
    {"depth": 2, "width": 2, "upsampling": "resize", "convolutions": "valid"},
]


@pytest.mark.parametrize("options", NETWORKS, ids=str)
def test_tiles_give_what_the_whole_image_gives(options: dict[str, object]) -> None:
    """M68: everywhere, to float tolerance; so there are no seams, and nothing is lost at the borders."""
    torch.manual_seed(0)
    model = build_model("unet", ImageShape(1, 64, 64), 2, **options).eval()
    images = torch.randn(2, 1, 97, 61)
    whole = tiled_outputs(model, images, sizes_of(model))
    assert whole.shape == (2, 2, 97, 61)
    for tile in (17, 32):
        tiled = tiled_outputs(model, images, sizes_of(model), tile=tile)
        torch.testing.assert_close(tiled, whole, atol=1e-4, rtol=1e-4)


@settings(max_examples=60)
@given(st.integers(1, 90), st.integers(1, 70), st.integers(1, 40), st.sampled_from([1, 2, 8]))
def test_any_size_is_taken(height: int, width: int, tile: int, multiple: int) -> None:
    """A network that gives back the middle of what it is given, and takes only some sizes."""
    sizes = Sizes(multiple=multiple, remainder=3 % multiple, shrink=4, context=0)

    def middle(x: torch.Tensor) -> torch.Tensor:
        assert all(side % multiple == 3 % multiple for side in x.shape[2:])
        return x[:, :, 2:-2, 2:-2]

    images = torch.arange(float(height * width)).view(1, 1, height, width)
    assert torch.equal(tiled_outputs(middle, images, sizes, tile), images)
    padded = Sizes(multiple=multiple, context=5)
    assert torch.equal(tiled_outputs(lambda x: x, images, padded, tile), images)


def test_large_images_are_tiled_by_themselves() -> None:
    sides: list[int] = []

    def run(x: torch.Tensor) -> torch.Tensor:
        sides.append(max(x.shape[2:]))
        return x

    images = torch.rand(1, 1, 30, 1500)
    assert torch.equal(tiled_outputs(run, images, Sizes(context=0)), images)
    assert max(sides) == 512
    assert torch.equal(tiled_outputs(run, images, Sizes()), images)
    assert max(sides) == 1500  # how far it sees is not known


def test_what_a_network_does_not_take_is_refused() -> None:
    with pytest.raises(ModelError, match="could show seams"):
        tiled_outputs(lambda x: x, torch.zeros(1, 1, 8, 8), Sizes(), tile=4)
    with pytest.raises(ModelError, match="takes 8×6 images only, this one is 8×8"):
        tiled_outputs(lambda x: x, torch.zeros(1, 1, 8, 8), Sizes(fixed=(6, 8)))
