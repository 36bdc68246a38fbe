"""The pages of comparisons, layer tables, series and masks, parsed; and the data of figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import convnet
from convnet.reports import figures
from convnet.tasks import Score
from tests.conftest import Cli
from tests.reports.page import Page


def test_a_comparison(tmp_path: Path) -> None:
    done = convnet.compare(
        "digits", {"optimizer": ["adam", "sgd"]}, epochs=1, model="linear", out=tmp_path / "compared"
    )
    page = Page(done.page.read_text())
    assert page.headings == ["Training curves", "Results", "Differences between the recipes", "Runs"]
    results, _, runs = page.rows
    assert results == runs == 1 + 2
    links = [address for address in page.addresses if not address.startswith(("data:", "#"))]
    assert len(links) == 2 and all((done.page.parent / link).is_file() for link in links)


def test_a_layer_table(call: Cli, tmp_path: Path) -> None:
    assert call("summary", "lenet5", "--html", "lenet5.html").returncode == 0
    page = Page((tmp_path / "lenet5.html").read_text())
    assert page.headings == ["Volumes", "Layers"]
    assert all(address.startswith(("data:", "#")) for address in page.addresses)


def test_series_are_called_samples(tmp_path: Path) -> None:
    time = np.arange(30)
    x = np.array([np.sin(time * (0.3 if i % 2 else 0.6) + i) for i in range(40)])
    np.savez(tmp_path / "waves.npz", x=x, y=np.array(["slow" if i % 2 else "fast" for i in range(40)]))
    run = convnet.train(str(tmp_path / "waves.npz"), out=tmp_path / "run", epochs=2)
    page = Page((run.path / "report.html").read_text())
    assert "Training samples" in page.headings and "Misclassified samples" in page.headings


def test_the_curves_are_the_rows_of_the_metrics() -> None:
    rows = [
        {
            "epoch": e,
            "train_loss": 1 / e,
            "val_loss": 2 / e,
            "train_accuracy": 0.1 * e,
            "val_accuracy": 0.05 * e,
        }
        for e in (1, 2, 3)
    ]
    test, score = {"loss": 0.5, "accuracy": 0.3}, Score("accuracy", "accuracy")
    (loss,), (accuracy,) = (figures.curve(kind, rows, test, score).axes for kind in ("loss", "accuracy"))
    drawn = {line.get_label(): list(line.get_ydata()) for line in loss.lines}
    assert list(drawn.values())[:2] == [[1, 1 / 2, 1 / 3], [2, 1, 2 / 3]]
    assert any(np.allclose(line.get_ydata(), 0.3) for line in accuracy.lines)
    (one,) = figures.curve("loss", rows[:1], None, score).axes
    assert one.get_xticks().tolist() == [1]


@pytest.mark.parametrize("classes", [("a", "b"), tuple(f"class {i}" for i in range(30))])
def test_the_confusion_matrix_shows_fractions_of_each_true_class(classes: tuple[str, ...]) -> None:
    counts = np.diag(np.full(len(classes), 3))
    counts[0, 1] = 1
    picture = figures.confusion(counts, classes, "Confusion")
    shown = np.asarray(picture.axes[0].images[0].get_array())
    names = [label.get_text() for label in picture.axes[0].get_yticklabels()]
    first, second = names.index(classes[0]), names.index(classes[1])
    assert abs(first - second) == 1  # confused classes are neighbors
    assert (shown[first, first], shown[first, second], shown[second, second]) == (0.75, 0.25, 1)
