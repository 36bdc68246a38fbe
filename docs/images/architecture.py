"""Draws architecture.png: the layers of the package and of data/."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

LAYERS = [
    ("cli", "one thin module per command"),
    ("api", "the same verbs for Python"),
    ("workflows   |   serving", "train, compare, explain, export   |   HTTP"),
    ("reports", "pages and figures: views of a run folder"),
    ("recipes   |   export", "the document of a run   |   bundles, ONNX"),
    ("prediction  |  evaluation  |  concepts", "Predictor  |  diagnosis  |  worked examples"),
    ("tasks", "metrics, losses and predictions of each task"),
    ("training   |   analysis   |   explain", "loop   |   layer table   |   units, attribution"),
    ("models   |   data   |   runs", "networks   |   from files to batches   |   run folders"),
    ("features", "HoG, color histograms, visual words"),
    ("layers", "what networks are made of"),
    ("outputs · device · registry · targets · types · errors", "shared by all"),
]
DATA_LAYERS = ["batches  |  splits", "datasets", "audit", "files", "images"]


def box(axes: plt.Axes, x: float, y: float, width: float, text: str, note: str = "") -> None:
    shape = FancyBboxPatch(
        (x, y), width, 0.72, "round,pad=0.02,rounding_size=0.1", fc="#eef3fb", ec="#3566b8"
    )
    axes.add_patch(shape)
    axes.text(x + 0.2, y + 0.36, text, va="center", fontsize=10, fontweight="bold", color="#23272e")
    axes.text(x + width - 0.2, y + 0.36, note, va="center", ha="right", fontsize=8.5, color="#5b616a")


def main() -> None:
    figure, axes = plt.subplots(figsize=(11.5, 7))
    for i, (name, note) in enumerate(reversed(LAYERS)):
        box(axes, 0, i, 9.4, name, note)
    for i, name in enumerate(reversed(DATA_LAYERS)):
        box(axes, 10.6, 1.5 + i, 2.6, name)
    axes.text(10.6, 6.75, "inside data/", fontsize=10, color="#5b616a")
    axes.plot([9.4, 10.55], [3.36, 3.36], color="#3566b8", lw=1)
    axes.annotate("", (-0.4, 0.2), (-0.4, 11.5), arrowprops={"arrowstyle": "->", "color": "#5b616a"})
    axes.text(-0.62, 5.9, "imports", rotation=90, va="center", fontsize=9, color="#5b616a")
    axes.set(xlim=(-0.9, 13.4), ylim=(-0.2, 12))
    axes.axis("off")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=130, bbox_inches="tight")


if __name__ == "__main__":
    main()
