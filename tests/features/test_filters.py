"""Fixed filters and point operations against the lectures (M20–M22)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from convnet.errors import RecipeError, UnknownNameError
from convnet.features import FILTERS, POINT_OPERATIONS, FixedFilter
from convnet.layers import reference

PICTURE = torch.rand(2, 3, 12, 15, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize("name", list(FILTERS))
@pytest.mark.parametrize("border", ["zeros", "replicate", "reflect"])
def test_every_filter_keeps_the_shape(name: str, border: str) -> None:
    out = FILTERS.build(name, border=border)(PICTURE)
    assert out.shape == PICTURE.shape
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("name", [n for n in FILTERS if isinstance(FILTERS.build(n), FixedFilter)])
def test_filters_are_true_convolutions(name: str) -> None:
    """M22: against the definition, with an asymmetric shift among them."""
    options = {"right": 2, "down": -1} if name == "shift" else {}
    module = FILTERS.build(name, **options)
    plane, kernel = PICTURE[0, 0].double().numpy(), module.kernel.double().numpy()
    padding = tuple(size // 2 for size in kernel.shape)
    expected = reference.convolve2d(plane, kernel, padding=padding)
    np.testing.assert_allclose(module(PICTURE)[0, 0], expected, rtol=1e-4, atol=1e-3)


def test_the_box_filter_of_the_lectures() -> None:
    """M22: the first non-zero row over the 10×10 picture of 0 and 90 is 10 20 30 30 …."""
    picture = torch.zeros(1, 1, 10, 10)
    picture[0, 0, 2:7, 3:8] = 90
    rows = FILTERS.build("box")(picture)[0, 0]
    torch.testing.assert_close(rows[1], torch.tensor([0, 0, 10, 20, 30, 30, 30, 20, 10, 0.0]))


def test_what_filters_do() -> None:
    shifted = FILTERS.build("shift", right=1)(PICTURE)
    torch.testing.assert_close(shifted[..., 1:], PICTURE[..., :-1])
    identity = FILTERS.build("identity")(PICTURE)
    sharp, box = FILTERS.build("sharpen")(PICTURE), FILTERS.build("box")(PICTURE)
    torch.testing.assert_close(sharp, 2 * identity - box, rtol=1e-4, atol=1e-3)
    smooth = FILTERS.build("gaussian", sigma=1.5, border="reflect")(PICTURE)
    truth = ndimage.gaussian_filter(PICTURE[0, 0].numpy(), 1.5, mode="mirror", radius=5)
    np.testing.assert_allclose(smooth[0, 0], truth, rtol=1e-4, atol=1e-2)
    edges = ndimage.sobel(PICTURE[0, 0].numpy(), axis=1, mode="constant")
    np.testing.assert_allclose(FILTERS.build("sobel-x")(PICTURE)[0, 0], edges, rtol=1e-4, atol=1e-2)
    down = ndimage.sobel(PICTURE[0, 0].numpy(), axis=0, mode="constant")
    np.testing.assert_allclose(
        FILTERS.build("sobel")(PICTURE)[0, 0], np.hypot(edges, down), rtol=1e-4, atol=1e-2
    )


def test_point_operations_of_the_lectures() -> None:
    """M20, at x = 64."""
    found = {name: float(POINT_OPERATIONS[name](torch.tensor(64.0))) for name in POINT_OPERATIONS}
    assert found == pytest.approx(
        {
            "darken": -64, "lower-contrast": 32, "lower-contrast-nonlinear": (64 / 255) ** (1 / 3) * 255,
            "invert": 191, "lighten": 192, "raise-contrast": 128, "raise-contrast-nonlinear": 64**2 / 255,
        }
    )  # fmt: skip


def test_kernels_and_options_that_do_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'sharpen'"):
        FILTERS.build("sharpn")
    with pytest.raises(RecipeError, match="kernel box: size: must be odd, got 4"):
        FILTERS.build("box", size=4)
