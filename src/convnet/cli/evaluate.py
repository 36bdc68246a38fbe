"""`convnet evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convnet.cli.options import DataDir, Json, Label, print_json
from convnet.types import SplitName

if TYPE_CHECKING:
    from convnet.tasks import Evaluation, Score


def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    data: Annotated[
        str | None, typer.Argument(help="Other data: a data set or a folder. Default: the run's own.")
    ] = None,
    split: Annotated[
        SplitName | None, typer.Option(help="train, val or test. Default: test, or val if there is none.")
    ] = None,
    label: Label = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for a page, evaluation.json and predictions.csv."),
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Evaluate a trained network: loss and metrics, per class where there are classes.

    Other data is read as the run's own was: with its label column, classes, colors and preprocessing.
    """
    from convnet.workflows import load_run
    from convnet.workflows.evaluate import evaluate_run

    loaded = load_run(run)
    measured = evaluate_run(loaded, data, split=split, label=label)
    figures = measured.figures()
    page = measured.write(out) if out is not None else None
    if as_json:
        print_json(figures)
        return
    evaluation, score = measured.evaluation, loaded.task.score
    print(_headline(evaluation, score))
    if measured.trained:
        count = f"{measured.trained:,} of these {len(evaluation):,} were used for training"
        others = "" if measured.others is None else f"; on the others: {_headline(measured.others, score)}"
        print(f"{count}{others}")
    for line in measured.left_out:
        print(f"left out: {line}")
    for name, value in evaluation.extra.items():
        print(f"{name} {value:.4f}")
    print()
    if "classes" in figures:
        _print_classes(figures["classes"])
    else:
        _print_scores(evaluation.scores())
    if "roc_auc" in figures:
        print(f"\narea under the ROC curve of {loaded.classes[1]}: {figures['roc_auc']:.4f}")
    if page is not None:
        print(f"\npage  {page}")


def _headline(evaluation: Evaluation, score: Score) -> str:
    balanced = evaluation.scores().get("balanced_accuracy")
    beside = f"   balanced accuracy {balanced:.2%}" if balanced is not None else ""
    loss = "–" if evaluation.loss is None else f"{evaluation.loss:.4f}"
    return f"{score.label} {score.show(evaluation.score)}{beside}   loss {loss}   (n = {len(evaluation):,})"


def _print_classes(per_class: Mapping[str, Mapping[str, float | None]]) -> None:
    width = max(map(len, per_class))
    print(f"{'':<{width}}  precision  recall     f1  support")
    for name, row in per_class.items():
        precision, recall, f1 = (_share(row[key]) for key in ("precision", "recall", "f1"))
        print(f"{name:<{width}}  {precision:>9}  {recall:>6}  {f1:>5}  {row['support']:>7,}")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


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
