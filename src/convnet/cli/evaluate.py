"""`convnet evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convnet.cli.options import DataDir, Json, print_json
from convnet.types import SplitName


def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    data: Annotated[
        str | None, typer.Argument(help="Other data: a set or a folder. Default: the run's own.")
    ] = None,
    split: Annotated[
        SplitName | None, typer.Option(help="train, val or test; default: what was held out.")
    ] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Measure a trained network: loss, accuracy, and precision, recall and F1 per class."""
    from convnet.experiments import load_run

    loaded = load_run(run)
    evaluation = loaded.evaluate(data, split=split, data_dir=data_dir)
    curve = evaluation.roc()
    per_class = dict(zip(loaded.classes, evaluation.per_class(), strict=True))
    samples = len(evaluation.targets)
    if as_json:
        print_json(
            {
                "run": str(loaded.path),
                "data": data or loaded.data["name"],
                "samples": samples,
                "loss": evaluation.loss,
                "accuracy": evaluation.accuracy,
                "classes": per_class,
                **({"roc_auc": curve[2]} if curve else {}),
            }
        )
        return
    print(f"accuracy {evaluation.accuracy:.2%}   loss {evaluation.loss:.4f}   (n = {samples:,})\n")
    width = max(map(len, per_class))
    print(f"{'':<{width}}  precision  recall     f1  support")
    for name, row in per_class.items():
        figures = f"{row['precision']:>9.3f}  {row['recall']:>6.3f}  {row['f1']:>5.3f}  {row['support']:>7,}"
        print(f"{name:<{width}}  {figures}")
    if curve:
        print(f"\narea under the ROC curve of {loaded.classes[1]}: {curve[2]:.4f}")
