"""`convnet evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convnet.cli.options import DataDir, Json, Label, Precision, print_json
from convnet.types import SplitName

if TYPE_CHECKING:
    from convnet.evaluation import PairedComparison, UnknownData
    from convnet.tasks import Evaluation, Score

FIVE = 5
SHOWN = 10
"""The largest number of samples whose prediction differs between two runs that are printed."""
SIGNIFICANT = 0.05


def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN|BUNDLE", help="The folder of a finished run or a bundle.")
    ],
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
    against: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Another run to compare with on the same samples (McNemar's test)."),
    ] = None,
    unknown: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGES", help="A folder of images of other classes: how many are recognized as unknown."
        ),
    ] = None,
    backend: Annotated[
        Literal["onnxruntime", "openvino", "torch"] | None,
        typer.Option(help="What computes a bundle. Default: torch, as for the run."),
    ] = None,
    precision: Precision = "fp32",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Evaluate a trained network: loss and metrics, per class where there are classes.

    Other data is read as the run's own was: with its label column, classes, colors and preprocessing. The
    page of --out also shows robustness, accuracy by properties of the images, and a map of the embeddings.
    """
    from convnet.workflows.bundle_run import load_any_run
    from convnet.workflows.details import details_of
    from convnet.workflows.evaluate import evaluate_run

    loaded = load_any_run(run, backend=backend, precision=precision)
    measured = evaluate_run(loaded, data, split=split, label=label)
    other = None if against is None else evaluate_run(load_any_run(against), data, split=split, label=label)
    details = details_of(measured, full=out is not None, against=other, unknown=unknown)
    figures = {**measured.figures(), **details.as_dict()}
    page = measured.write(out, details) if out is not None else None
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
    if "ece" in figures:
        _print_trust(figures)
    if details.unknown is not None:
        _print_unknown(details.unknown)
    if details.against is not None:
        _print_against(details.against)
    if page is not None:
        print(f"\npage  {page}")


def _headline(evaluation: Evaluation, score: Score) -> str:
    balanced = evaluation.scores().get("balanced_accuracy")
    beside = f"   balanced accuracy {balanced:.2%}" if balanced is not None else ""
    loss = "–" if evaluation.loss is None else f"{evaluation.loss:.4f}"
    ends = evaluation.intervals().get(score.key)
    interval = f" (95% interval {score.show_interval(ends)})" if ends else ""
    figures = f"{score.label} {score.show(evaluation.score)}{interval}{beside}"
    return f"{figures}   loss {loss}   (n = {len(evaluation):,})"


def _print_trust(figures: Mapping[str, Any]) -> None:
    """Print top-5 accuracy, calibration and the threshold of unknown samples."""
    print()
    if len(figures["classes"]) > FIVE:
        print(f"top-5 accuracy     {figures['top5']:.2%}")
    before, after = figures["ece_uncalibrated"], figures["ece"]
    if figures["unknown_threshold"] is None and figures["temperature"] == 1:
        print(f"calibration error  {after:.4f} (not calibrated: the run has stored no calibration)")
        return
    print(f"calibration error  {after:.4f}, {before:.4f} without temperature {figures['temperature']:.3f}")
    if figures["unknown_threshold"] is not None:
        rule = f"{figures['unknown_score']} below {figures['unknown_threshold']:.4g}"
        print(f"unknown            {rule}; {figures['accepted']:.2%} of these samples are accepted")


def _print_unknown(found: UnknownData) -> None:
    area = found.auroc[found.score or "max-probability"]
    noun = "image" if found.samples == 1 else "images"
    print(f"\n{found.data}: {found.samples:,} {noun} of other classes, AUROC {area:.4f}", end="")
    if found.rejected is not None and found.rejected_interval is not None:
        low, high = found.rejected_interval
        print(f"; {found.rejected:.2%} ({100 * low:.2f}–{100 * high:.2f}%) are called unknown", end="")
    print(f"; {found.unreadable:,} files could not be read" if found.unreadable else "")


def _print_against(found: PairedComparison) -> None:
    own, other = found.accuracies
    print(
        f"\nagainst {found.other}: accuracy {own:.2%} and {other:.2%}, difference {100 * (own - other):+.2f} "
        f"points (n = {found.samples:,})"
    )
    if found.trained:
        print(f"{found.trained:,} samples are left out because one of the runs was trained on them")
    verdict = "larger than chance explains" if found.p_value < SIGNIFICANT else "it can be chance"
    print(
        f"correct only here: {len(found.gained):,}, only there: {len(found.lost):,}; "
        f"McNemar's p = {found.p_value:.3g}: {verdict}"
    )
    for change in found.changes[:SHOWN]:
        print(f"  {change.path}: {change.label}; here {change.first}, there {change.second}")
    if len(found.changes) > SHOWN:
        print(f"  … {len(found.changes) - SHOWN:,} more with --json or --out")


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
