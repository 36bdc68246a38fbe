"""Values as reports show them."""

from __future__ import annotations

import pytest

from convnet.reports.compare_page import Variant
from convnet.reports.html import figure


@pytest.mark.parametrize(
    ("value", "key", "text"),
    [
        (21.234, "input_psnr", "21.23 dB"),
        (0.98765, "accuracy", "98.77%"),
        (0.5, "mean_iou", "50.00%"),
        (1234567, "parameters", "1,234,567"),
        (0.000123456, "loss", "0.0001235"),
        (None, "accuracy", "–"),
    ],
)
def test_figures(value: float | int | None, key: str, text: str) -> None:
    assert figure(value, key) == text


def test_mean_and_deviation_over_seeds() -> None:
    results = [{"test": {"accuracy": 0.5}}, {"test": {"accuracy": 0.7}}]
    mean, deviation = Variant("adam", results, [], {}).spread("test", "accuracy") or (0, 0)
    assert mean == pytest.approx(0.6) and deviation == pytest.approx(0.1414, abs=1e-4)
    assert Variant("adam", results[:1], [], {}).spread("test", "accuracy") == (0.5, None)
    assert Variant("adam", [*results, {"test": None}], [], {}).spread("test", "accuracy") is None
