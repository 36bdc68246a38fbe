"""The inside of a run: from the workbench through the loop to the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from convnet.data import Dataset, Split
from convnet.errors import DivergedError, InterruptedRunError, RecipeError, RunError, in_one_line
from convnet.recipes import Recipe, TrainingSetup, build
from convnet.runs import RunFolder, load_checkpoint, save_checkpoint
from convnet.tasks import Evaluation
from convnet.training import Event, Listener, StopTraining, fit
from convnet.workflows.recorder import Recorder, stop_on_signal
from convnet.workflows.results import write_results
from convnet.workflows.run import Run


def run_training(
    folder: RunFolder,
    recipe: Recipe,
    dataset: Dataset,
    split: Split,
    device: str,
    listeners: Sequence[Listener],
    on_start: Callable[[TrainingSetup], object],
    say: Callable[[str], object],
    network: nn.Sequential | None = None,
) -> Run:
    """Train from the last checkpoint, or the start, to the end; the caller holds the folder's lock.

    `network` is the recipe's, where it was built already, untrained.
    """
    setup = _build(folder, recipe, dataset, split, device, say, network)
    identity = _identity(recipe)
    if folder.checkpoint.exists():
        _restore(setup, folder.checkpoint, identity)
    on_start(setup)

    def validate() -> Evaluation:
        held_out = setup.evaluate("val")
        assert held_out is not None, "asked for only where there is validation data"
        return held_out

    patience = recipe.early_stopping.patience if recipe.early_stopping else None
    with stop_on_signal() as stop_asked:
        score = setup.task.score.key
        recorder = Recorder(folder, setup.training, score, patience, stop_asked, identity)
        audience: list[Listener] = [*listeners, recorder]

        def tell(event: Event) -> None:
            """All hear the event, also those behind one that ends training."""
            stop = None
            for listener in audience:
                try:
                    listener(event)
                except StopTraining as asked:
                    stop = asked
            if stop is not None:
                raise stop

        try:
            early = (
                patience is not None and recorder.metrics.rows and recorder.epochs_since_best() >= patience
            )
            if recipe.epochs and not early:
                fit(
                    setup.training,
                    setup.batches,
                    epochs=recipe.epochs,
                    fabric=setup.fabric,
                    validate=validate if len(split.val) else None,
                    on_event=tell,
                )
        except DivergedError as error:
            raise DivergedError(f"{error}; {_way_out(folder)}") from None
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise RecipeError("batch norm needs more than one image per batch; raise batch_size") from error
        finally:
            recorder.steps.close()
        if recipe.epochs and not recorder.metrics.rows:
            raise InterruptedRunError(f"{folder.path}: stopped before the end of the first epoch")
        if patience is not None:
            _restore(setup, folder.best_checkpoint, identity)
        write_results(folder, setup, recorder.metrics.rows)
    return Run(folder)


def _build(
    folder: RunFolder,
    recipe: Recipe,
    dataset: Dataset,
    split: Split,
    device: str,
    say: Callable[[str], object],
    network: nn.Sequential | None,
) -> TrainingSetup:
    """The workbench; what its fitted stages learn is kept, so that a resumed run need not learn it again."""
    identity = _identity(recipe)
    if folder.learnt_checkpoint.exists():
        kept = load_checkpoint(folder.learnt_checkpoint)
        _require_same(folder.learnt_checkpoint, kept.get("recipe"), identity)
        setup = build(
            recipe, device=device, dataset=dataset, split=split, fitted_state=kept["model"], say=say
        )
        return replace(setup, fit_seconds=kept["seconds"])
    started = folder.checkpoint.exists()
    setup = build(
        recipe, device=device, dataset=dataset, split=split, network=network, load=not started, say=say
    )
    if setup.fit_seconds and recipe.epochs:
        content = {"model": setup.model.state_dict(), "seconds": setup.fit_seconds, "recipe": identity}
        save_checkpoint(folder.learnt_checkpoint, content)
    return setup


def _identity(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe may not change while its run goes on. Whether data is the same, split.csv knows."""
    content = recipe.to_dict()
    del content["name"], content["epochs"], content["data"]["source"]
    return content


def _restore(setup: TrainingSetup, checkpoint: Path, identity: dict[str, Any]) -> None:
    """Go on from a checkpoint of the same recipe."""
    content = load_checkpoint(checkpoint)
    _require_same(checkpoint, content.pop("recipe", None), identity)
    try:
        setup.training.restore(content)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{checkpoint}: does not fit the run: {in_one_line(error)}") from error


def _require_same(checkpoint: Path, then: dict[str, Any] | None, identity: dict[str, Any]) -> None:
    if then != identity:
        changed = [key for key, value in identity.items() if not then or then.get(key) != value]
        raise RunError(
            f"{checkpoint.parent.parent}: recipe.yaml was changed since the checkpoint "
            f"({', '.join(changed)}); restore it, or train the changed recipe as a new run"
        )


def _way_out(folder: RunFolder) -> str:
    good = (
        f"the last good checkpoint is {folder.checkpoint}"
        if folder.checkpoint.exists()
        else "it came before the first checkpoint"
    )
    return f"{good}; train again with a lower rate (--set optimizer.lr=…) or with clip_norm=1"
