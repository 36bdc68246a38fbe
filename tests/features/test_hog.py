"""Histograms of oriented gradients against scikit-image (M06)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import hog as skimage_hog

from convnet.errors import ModelError
from convnet.features import FEATURES

NORMS = {"l1": "L1", "l1-sqrt": "L1-sqrt", "l2": "L2", "l2-hys": "L2-Hys"}


@settings(max_examples=40)
@given(st.data())
def test_equal_to_scikit_image(data: st.DataObject) -> None:
    orientations, cell = data.draw(st.integers(1, 12)), data.draw(st.integers(2, 9))
    block, norm = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(sorted(NORMS)))
    least = max(cell * block, 3)
    height, width = (data.draw(st.integers(least, least + 30)) for _ in range(2))
    channels = data.draw(st.sampled_from([1, 3]))
    image = np.random.default_rng(data.draw(st.integers(0, 99))).random((height, width, channels))
    feature = FEATURES.build(
        "hog", channels, (height, width), orientations=orientations, cell_size=cell, block=block, norm=norm
    )
    found = feature(torch.from_numpy(image).permute(2, 0, 1)[None])[0].numpy()
    expected = skimage_hog(
        image if channels == 3 else image[:, :, 0],
        orientations,
        (cell, cell),
        (block, block),
        NORMS[norm],
        channel_axis=2 if channels == 3 else None,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_the_count_of_the_lectures() -> None:
    """M06: 320×240 pixels give 30×40×9 = 10,800 numbers without blocks."""
    feature = FEATURES.build("hog", 1, (240, 320), block=0)
    cells = feature.cells(torch.rand(1, 1, 240, 320))
    assert cells.shape == (1, 30, 40, 9)
    assert feature(torch.rand(2, 1, 240, 320)).shape == (2, 10_800)


def test_an_edge_votes_for_its_direction() -> None:
    """A step to the right has gradients along 0°, in the first bin; a step downwards along 90°."""
    step = torch.zeros(1, 1, 16, 16)
    step[..., 8:] = 1
    across = FEATURES.build("hog", 1, (16, 16), block=0, cell_size=8).cells(step)[0]
    down = FEATURES.build("hog", 1, (16, 16), block=0, cell_size=8).cells(step.transpose(2, 3))[0]
    assert across.sum((0, 1)).argmax() == 0
    assert down.sum((0, 1)).argmax() == 4
    # 6 of 8 rows of each cell beside the step have a gradient of 1 in one of its columns; the outermost too.
    assert across[..., 1:].sum() == 0


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_a_shifted_image_gives_a_shifted_grid(down: int, right: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 3, 48, 48, generator=generator)
    moved = image.roll((4 * down, 4 * right), (2, 3))
    feature = FEATURES.build("hog", 3, (48, 48), cell_size=4, block=0)
    before, after = feature.cells(image)[0], feature.cells(moved)[0]
    # Without the cells at the border and at the seam, whose pixels have other neighbors.
    inner = before[1 : 11 - down, 1 : 11 - right]
    torch.testing.assert_close(after[1 + down : 11, 1 + right : 11], inner, rtol=1e-4, atol=1e-5)


def test_images_smaller_than_a_cell() -> None:
    with pytest.raises(ModelError, match=r"at least 16×16 pixels \(2×2 cells of 8×8\), got 15×40"):
        FEATURES.build("hog", 1, (15, 40), cell_size=8)
    with pytest.raises(ModelError, match="one cell of 8×8"):
        FEATURES.build("hog", 1, (7, 40), cell_size=8, block=0)
