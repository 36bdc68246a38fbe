"""The pixels of maps, filters and receptive fields."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from convnet.reports.map_sheets import color_table, filter_sheet, levels, map_sheet, map_strip
from convnet.reports.unit_figure import field_picture


def pixels(uri: str) -> np.ndarray:
    """The pixels H×W×3 of a data URI."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))


MAPS = arrays.arrays(np.float32, (3, 4, 5), elements=st.floats(-100, 100, width=32))
ORANGE = (217, 114, 46)


@given(MAPS)
def test_colors_follow_the_values(maps: np.ndarray) -> None:
    common, own = levels(maps, "layer"), levels(maps, "map")
    order = np.argsort(maps, axis=None, kind="stable")
    assert (np.diff(common.ravel()[order].astype(int)) >= 0).all()
    for one, colors in zip(maps, own, strict=True):
        order = np.argsort(one, axis=None, kind="stable")
        assert (np.diff(colors.ravel()[order].astype(int)) >= 0).all()


@given(MAPS)
def test_zero_is_white_in_the_middle_of_signed_scales(maps: np.ndarray) -> None:
    maps[0, 0, :2] = -1, 0
    assert levels(maps, "layer")[0, 0, 1] == 127
    assert color_table(True)[127].min() > 240 and color_table(True)[255].min() == 255


def test_a_shared_limit_gives_equal_values_equal_colors() -> None:
    small, large = np.full((1, 2, 2), 1.0, np.float32), np.full((1, 2, 2), 4.0, np.float32)
    small[0, 0, 0] = large[0, 0, 0] = 0
    assert levels(small, "shared", 4.0).max() == round(254 / 4) and levels(large, "shared", 4.0).max() == 254


def test_a_strip_has_every_map_and_white_between() -> None:
    strip = pixels(map_strip(torch.stack([torch.zeros(8, 8), torch.ones(8, 8)]), "layer"))
    assert strip.shape == (64, 64 + 3 + 64, 3)
    first, gap, second = strip[:, :64], strip[:, 64:67], strip[:, 67:]
    assert (first == color_table(False)[0]).all() and (gap == 255).all()
    assert np.abs(second.astype(int) - color_table(False)[254]).max() < 10


@pytest.mark.parametrize("shape", [(1, 5, 5), (9, 1, 30), (40, 7, 4), (70, 120, 120)])
def test_a_sheet_has_every_map_once(shape: tuple[int, int, int]) -> None:
    """Maps of one value each, which is their number."""
    count = min(shape[0], 64)
    values = torch.arange(shape[0]).view(-1, 1, 1).expand(shape).float()
    sheet = map_sheet(values, "layer")
    found = pixels(sheet.picture).astype(int)
    colors = color_table(False)[levels(values[:count].numpy(), "layer")[:, 0, 0]].astype(int)
    for color in colors:
        assert (np.abs(found - color).max(2) < 12).sum() >= 24 * 24 / (4 if shape[1] == 1 else 1)
    assert sheet.limits == (0, count - 1)
    assert sheet.note == ("The first 64 of 70 maps." if shape[0] == 70 else "")


@pytest.mark.parametrize(
    ("rows", "columns", "padding"),
    [((2, 5), (3, 9), (0, 0)), ((-2, 5), (3, 9), (3, 0)), ((-3, 12), (-1, 9), (4, 2))],
)
def test_the_frame_surrounds_the_receptive_field(
    rows: tuple[int, int], columns: tuple[int, int], padding: tuple[int, int]
) -> None:
    """The image is 20×20; rows and columns outside it are gray, at most 30% of its side."""
    image = np.zeros((20, 20, 1), np.uint8)
    picture = field_picture(image, {"rows": list(rows), "columns": list(columns)})
    above, before = padding
    scale = int((picture == 0).all(2).any(0).sum()) // 20
    frame = (picture == ORANGE).all(2)
    there = np.argwhere(frame)
    top, left = there.min(0) // scale
    bottom, right = there.max(0) // scale
    assert (top - above, bottom - above) == rows and (left - before, right - before) == columns


def test_of_a_field_far_beyond_the_image_only_the_inner_part_is_drawn() -> None:
    picture = field_picture(np.zeros((20, 20, 1), np.uint8), {"rows": [-50, 60], "columns": [3, 60]})
    frame = (picture == ORANGE).all(2)
    columns = np.flatnonzero(frame.all(0)) * 26 // picture.shape[1]
    assert set(columns) == {3} and not frame.all(1).any()
    assert picture.shape[0] / picture.shape[1] == pytest.approx(32 / 26)


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        ((8, 1, 3, 3), ""),
        ((16, 6, 5, 5), "One column per filter, one row per input channel."),
        ((1280, 40, 1, 1), "The first 32 of 1,280 filters and 24 of 40 channels."),
    ],
)
def test_what_is_left_out_of_a_figure_of_filters_is_said(shape: tuple[int, ...], note: str) -> None:
    assert filter_sheet(torch.zeros(shape)).note.endswith(note)
