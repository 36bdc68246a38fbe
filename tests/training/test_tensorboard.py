"""The listener of the examples, against the real library."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import convnet

EXAMPLE = Path(__file__).parents[2] / "examples" / "tensorboard_listener.py"


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")
def test_curves_for_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    listener = runpy.run_path(str(EXAMPLE))["TensorBoard"](tmp_path / "log", every=3)
    run = convnet.train(
        "digits", model="linear", epochs=2, out=tmp_path / "run", listeners=[listener], progress=False
    )
    listener.close()
    log = accumulator.EventAccumulator(str(tmp_path / "log"))
    log.Reload()
    for name in ("train_loss", "val_loss", "train_score", "val_score"):
        written = [event.value for event in log.Scalars(name.replace("_", "/"))]
        key = name.replace("score", run.task.score.key)
        assert written == pytest.approx([row[key] for row in run.metrics], rel=1e-3), name
    steps = [event.step for event in log.Scalars("step/loss")]
    assert steps and all(step % 3 == 0 for step in steps)
    weights = {name for name, _ in run.model.named_parameters()}
    assert set(log.Tags()["histograms"]) == weights
