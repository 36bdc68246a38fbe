"""`convnet evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from convnet.cli.options import DataDir, Json, print_json
from convnet.types import SplitName


def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    data: Annotated[
        str | None, typer.Argument(help="Other data: a data set or a folder. Default: the run's own.")
    ] = None,
    split: Annotated[
        SplitName | None, typer.Option(help="train, val or test. Default: test, or val if there is none.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Evaluate a trained network: loss and metrics, per class where there are classes."""
    from convnet.tasks import ClassificationResult
    from convnet.workflows import load_run

    loaded = load_run(run)
    evaluation = loaded.evaluate(data, split=split)
    figures = {"loss": evaluation.loss, **evaluation.scores()}
    per_class: dict[str, Any] = {}
    if isinstance(evaluation, ClassificationResult):
        per_class = dict(zip(loaded.classes, evaluation.per_class(), strict=True))
        curve = evaluation.roc()
        figures |= {"classes": per_class, **({"roc_auc": curve[2]} if curve else {})}
    if as_json:
        name = data or loaded.data["name"]
        print_json({"run": str(loaded.path), "data": name, "samples": len(evaluation), **figures})
        return
    score = loaded.task.score
    print(
        f"{score.label} {score.show(evaluation.score)}   loss {evaluation.loss:.4f}   "
        f"(n = {len(evaluation):,})\n"
    )
    if per_class:
        _print_classes(per_class)
    else:
        _print_scores(evaluation.scores())
    if "roc_auc" in figures:
        print(f"\narea under the ROC curve of {loaded.classes[1]}: {figures['roc_auc']:.4f}")


def _print_classes(per_class: Mapping[str, Mapping[str, float]]) -> None:
    width = max(map(len, per_class))
    print(f"{'':<{width}}  precision  recall     f1  support")
    for name, row in per_class.items():
        figures = f"{row['precision']:>9.3f}  {row['recall']:>6.3f}  {row['f1']:>5.3f}  {row['support']:>7,}"
        print(f"{name:<{width}}  {figures}")


def _print_scores(scores: Mapping[str, Any]) -> None:
    """Print a line per metric and a table of the per-class metrics."""
    tables = {key: value for key, value in scores.items() if isinstance(value, dict)}
    for key, value in scores.items():
        if key not in tables:
            print(f"{key.replace('_', ' '):<16} {'–' if value is None else f'{value:.4f}'}")
    names = next(iter(tables.values()), {})
    if names:
        width = max(map(len, names))
        print(f"\n{'':<{width}}  " + "  ".join(f"{key:>7}" for key in tables))
        for name in names:
            cells = ("–" if table[name] is None else f"{table[name]:.2%}" for table in tables.values())
            print(f"{name:<{width}}  " + "  ".join(f"{cell:>7}" for cell in cells))
