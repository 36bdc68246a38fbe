"""`convnet train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convnet.cli.baselines import print_baselines
from convnet.cli.options import Json, Out, configured, print_json
from convnet.cli.recipe_options import with_recipe_options

if TYPE_CHECKING:
    from convnet.workflows import CrossValidation, Run


_SPLITS = {"train": "training", "val": "validation", "test": "test"}
"""The names of splits in results, and in text."""


@with_recipe_options
def train(
    data_or_recipe: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Recipe name, data set, folder of images, table (.csv) or recipe file (.yaml).",
        ),
    ] = "digits",
    folds: Annotated[
        int | None,
        typer.Option(
            min=2, help="Cross-validate: train this many times, each time holding out a different part."
        ),
    ] = None,
    keep_checkpoints: Annotated[
        bool,
        typer.Option(
            "--keep-checkpoints",
            callback=configured("keep_checkpoints"),
            help="Keep what is needed to train the finished run longer ('convnet resume --epochs').",
        ),
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(help="The events.csv of a run; make the changes to it during training again."),
    ] = None,
    out: Out = None,
    as_json: Json = False,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Train a network and write a run folder: recipe, weights, metrics, predictions, report.

    Without a named recipe, settings are chosen from the data, printed and stored with the run.
    """
    from convnet.errors import RecipeError
    from convnet.runs import read_changes
    from convnet.workflows import cross_validate, resolve
    from convnet.workflows import train as train_recipe
    from convnet.workflows.control import Control
    from convnet.workflows.progress import TrainingProgress

    found = resolve(data_or_recipe, changes)
    if folds is not None:
        if replay is not None:
            raise RecipeError("--replay and --folds exclude each other; use one of them")
        with TrainingProgress() as progress:
            validated = cross_validate(found.recipe, folds, out=out, listeners=[progress])
        _print_folds(validated, as_json)
        return
    control = Control([] if replay is None else read_changes(replay))
    with TrainingProgress() as progress:
        run = train_recipe(found.recipe, out, data=found.data, listeners=[progress], control=control)
    print_result(run, as_json)
    if not as_json:
        print_next_steps(run)


def print_next_steps(run: Run) -> None:
    """What to do with the run, on standard error."""
    import logging

    logger = logging.getLogger("convnet.cli.train")
    images = run.modality == "images"
    logger.info("next:")
    logger.info("  convnet predict %s %s", run.path, "PHOTOS" if images else "FILE")
    if run.recipe.weights is not None and run.recipe.weights.finetune == "head":
        recipe = run.path / "recipe.yaml"
        logger.info("  convnet train %s --epochs 10  (fine-tunes the whole network)", recipe)
    if images and run.task.target.exclusive and not run.data.get("opened"):
        logger.info("  convnet data audit %s", run.recipe.data.source)
    logger.info("  to improve it, see the page 'Improve accuracy' of the documentation")


def print_result(run: Run, as_json: bool) -> None:
    """Print the final metrics, the paths of the run and its report, and the baselines."""
    result = run.result
    if as_json:
        print_json(result)
        return
    score = run.task.score
    width = max(20, len(f"validation {score.label}"))
    for name, label in _SPLITS.items():
        if scores := result[name]:
            n = f"  (n = {scores['samples']:,})" if scores.get("samples") else ""
            shown = score.show(scores[score.key])
            print(
                f"{f'{label} {score.label}':<{width}} {shown}{_beside(scores)}   loss {scores['loss']:.4f}{n}"
            )
            for own in run.recipe.metrics.keys() & scores.keys():
                print(f"{f'{label} {own}':<{width}} {scores[own]:.4f}")
    if "best_epoch" in result and not (result.get("head") or {}).get("kept"):
        best, last = result["best_epoch"], result["epochs"]
        stopped = "" if last == run.recipe.epochs else f", stopped early after {last} of {run.recipe.epochs}"
        print(f"{'best epoch':<{width}} {best}{stopped}; its weights are kept")
    if (head := result.get("head")) is not None:
        print(f"{'stages':<{width}} {_stages(run, head)}")
    speed = result["images_per_second"]
    print(f"{'time':<{width}} {result['seconds']:.1f} s" + (f", {speed:,.0f} {run.noun}/s" if speed else ""))
    for finding in result.get("diagnosis", []):
        print(f"{'diagnosis':<{width}} {finding['text']}")
    print(f"{'run':<{width}} {run.path}")
    print(f"{'report':<{width}} {run.path / 'report.html'}")
    if not run.task.target.exclusive:
        return
    accuracies = [result[name] and result[name]["accuracy"] for name in ("val", "test")]
    if (beside := run.baselines) is not None:
        print()
        print_baselines(beside, (run.recipe.model.label, *accuracies))
    elif run.baselines_command is not None:
        print(f"{'baselines':<{width}} not measured on this split yet; run: {run.baselines_command}")
    else:
        print(f"{'baselines':<{width}} need series of equal length")


def _stages(run: Run, head: Mapping[str, Any]) -> str:
    """The metric of the fitted head beside that of the fine-tuned network."""
    score, split = run.task.score, "val" if head["val"] else "test"
    if not head[split]:
        return "no held-out samples to compare the head and the fine-tuned network on"
    first = score.show(head[split][score.key])
    if head["kept"]:
        reached = [value for row in run.metrics if (value := row[f"val_{score.key}"]) is not None]
        tuned = score.show(max(reached)) if reached else "not measured"
        return f"head only {first}, fine-tuned {tuned} ({_SPLITS[split]}); the fitted head is kept"
    tuned = score.show(run.result[split][score.key])
    return f"head only {first}, fine-tuned {tuned} ({_SPLITS[split]})"


def _print_folds(done: CrossValidation, as_json: bool) -> None:
    """Print a line per fold, then the mean and standard deviation."""
    if as_json:
        print_json(done.summary)
        return
    score = done.score
    for fold, row in enumerate(done.summary["folds"]):
        print(f"fold {fold}  {score.show(row[score.key])}{_beside(row)}   (n = {row['samples']:,})")
    mean, spread = (done.summary[score.key][part] for part in ("mean", "std"))
    print(f"{score.label} {score.show(mean)} ± {score.show(spread)} over {len(done.summary['folds'])} folds")
    print(f"predictions for all {done.summary['samples']:,} samples  {done.predictions}")


def _beside(scores: Mapping[str, Any]) -> str:
    """The task's other metrics, as a suffix to the line of the main one."""
    shown = {
        "balanced_accuracy": "balanced accuracy {:.2%}",
        "map": "mAP {:.2%}",
        "tuned_f1": "at tuned thresholds {:.2%}",
        "mean_iou": "mean IoU {:.2%}",
        "input_psnr": "before {:.2f} dB",
        "ssim": "SSIM {:.4f}",
    }
    return "".join(
        f"   {text.format(scores[key])}" for key, text in shown.items() if scores.get(key) is not None
    )
