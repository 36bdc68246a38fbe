"""What Python shows of results fits a screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import convnet
from convnet.data import SplitOptions, make_split


def test_results_show_their_main_figures(tmp_path: Path) -> None:
    data = convnet.open_data("digits")
    run = convnet.train("digits", model="linear", epochs=1, out=tmp_path / "run")
    zero = np.zeros((8, 8), np.uint8)
    result = run.result["test"]
    shown = {
        repr(run): f"test accuracy {result['accuracy']:.2%}",
        repr(run.evaluate()): f"accuracy {result['accuracy']:.4g}, balanced_accuracy",
        repr(run.predict(zero)[0]): "ClassPrediction: image 0  ",
        repr(data): "1,797 images of 1×8×8, 10 classes",
        repr(make_split(data, SplitOptions())): "1,458/160/179 samples",
        repr(convnet.audit("digits")): "Audit of digits: 1,797 images; nothing found",
        repr(data.info): "ImageShape(channels=1, height=8, width=8)",
    }
    for text, part in shown.items():
        assert part in text and len(text) < 400, text
