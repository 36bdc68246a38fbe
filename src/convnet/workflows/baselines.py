"""Baselines: nearest neighbors, linear models and classical features within a time limit."""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from convnet.data import Dataset, DataSpec, Split, identify, look_at_spec, make_split, write_split
from convnet.device import keep_freed_memory, set_threads
from convnet.errors import DataError, InterruptedRunError, ModelError, RecipeError
from convnet.models import MODELS, build_model, named_model, parse_call
from convnet.recipes import (
    Opened,
    Recipe,
    baseline_recipe,
    default_recipe,
    open_recipe_data,
    override,
    split_data,
)
from convnet.recipes.applicable import head_only
from convnet.recipes.defaults import transfer_recipe
from convnet.recipes.pretrained import BACKBONE
from convnet.runs import BaselineRow, Baselines, RunFolder, as_file_name, split_fingerprint
from convnet.settings import settings, use_settings
from convnet.tasks.intervals import wilson
from convnet.workflows.baseline_sizes import MEMORY, epochs_within, neighbors_within, words_within
from convnet.workflows.run import Run
from convnet.workflows.train import resolve_environment, train

logger = logging.getLogger(__name__)

OWN_FIELDS = ("data", "split", "preprocess.image_size", "preprocess.channels", "preprocess.resize", "seed")
"""The fields that may be overridden, because all rows share them."""
TIMED_IMAGES = 256
LONGEST = 24 * 60
"""The largest time limit in minutes."""


@dataclass(frozen=True)
class BaselineSpec:
    """A planned row: its name, its model, its share of the time, its loss."""

    name: str
    model: str
    share: int
    loss: str = "cross-entropy"


IMAGES = (
    BaselineSpec("majority class", "majority", 1),
    BaselineSpec("k-NN, pixels", "knn", 20),
    BaselineSpec("softmax, pixels", "linear", 10),
    BaselineSpec("SVM, pixels", "linear", 10, "hinge"),
    BaselineSpec("k-NN, color + HoG", "color+hog -> knn", 20),
    BaselineSpec("softmax, color + HoG", "color+hog -> linear", 10),
    BaselineSpec("SVM, color + HoG", "color+hog -> linear", 10, "hinge"),
    BaselineSpec("softmax, visual words", "visual-words -> linear", 40),
    BaselineSpec("MLP, pixels", "mlp", 15),
)
FROZEN = BaselineSpec("frozen EfficientNet-Lite0, linear", BACKBONE, 20)
"""The row for photos: the embedding of a network with ImageNet weights."""
TABLE = (
    BaselineSpec("majority class", "majority", 1),
    BaselineSpec("k-NN", "knn", 10),
    BaselineSpec("softmax", "linear", 10),
    BaselineSpec("SVM", "linear", 10, "hinge"),
    BaselineSpec("MLP", "mlp", 10),
)


def baselines(
    data: str,
    *,
    minutes: float = 2.0,
    overrides: dict[str, Any] | None = None,
    out: Path | None = None,
    on_row: Callable[[BaselineRow], object] = lambda row: None,
) -> tuple[Baselines, Path]:
    """Fit simple models to the same samples and the same split.

    For large data, k-NN stores fewer images, the codebook has fewer words and training ends earlier, so that
    the time limit holds. An existing run of exactly the same recipe is reused.

    Args:
        data: A path or the name of a data set.
        minutes: Approximate time limit for all models.
        overrides: Recipe fields for data, split, image size and seed, which all models share.
        out: The folder for one run per row and one table per split. Default: runs/NAME-baselines.
        on_row: Called with each finished row.

    Returns:
        The table and its folder.

    Raises:
        RecipeError: An override is not common to all rows.
        ConvnetError: As for `train`.
    """
    started = time.perf_counter()
    keep_freed_memory()
    set_threads(settings().threads)
    spec = identify(data)
    base = _base(spec, overrides or {})
    dataset = open_recipe_data(base, spec)
    if not dataset.info.target.exclusive:
        raise DataError(f"{dataset.info.name}: baselines need exactly one class per sample")
    split = make_split(dataset, base.split)
    folder = (out or Path("runs") / f"{as_file_name(Path(dataset.info.name).stem)}-baselines").absolute()
    plans = list(TABLE if dataset.info.modality != "images" else IMAGES)
    for plan in plans:
        if not plan.model.startswith("visual-words"):  # their patches fit the images
            build_model(plan.model, dataset.info.shape, len(dataset.info.classes))
    look = look_at_spec(spec, base.data.label)
    if look is not None and look.photos:
        plans.append(FROZEN)
    rows: list[BaselineRow] = []
    fingerprint = split_fingerprint(write_split(split, dataset))
    for place, plan in enumerate(plans):
        left = started + 60 * min(minutes, LONGEST) - time.perf_counter()
        seconds = max(1.0, left * plan.share / sum(p.share for p in plans[place:]))
        try:
            if plan is FROZEN:
                row = _frozen_row(spec, base, folder, fingerprint, seconds)
            else:
                name, recipe, limited = _affordable(plan, base, dataset, split, seconds)
                run = _run_of(recipe, (dataset, split), folder, fingerprint)
                row = replace(_row(name, run, dataset, split), limited=limited)
        except InterruptedRunError:
            raise InterruptedRunError(
                f"stopped after {place} of {len(plans)} models; run the same command to continue"
            ) from None
        if row is not None:
            rows.append(row)
            on_row(row)
    table = Baselines(dataset.info.name, fingerprint, tuple(rows))
    table.write(folder)
    return table, folder


def _run_of(
    recipe: Recipe, data: Opened, folder: Path, fingerprint: str, seconds: float | None = None
) -> Run:
    """A finished run of the recipe, or a new one within the time limit."""
    recipe = resolve_environment(recipe, "cpu", folder)
    with use_settings(device="cpu"):
        found = _finished(recipe, folder, fingerprint)
        if found is not None:
            return found
        limited = recipe if seconds is None else override(recipe, {"minutes": seconds / 60})
        return train(limited, data=data, below=folder, report=False)


def _frozen_row(
    spec: DataSpec, base: Recipe, folder: Path, fingerprint: str, seconds: float
) -> BaselineRow | None:
    """The row of a frozen network with ImageNet weights; None if it takes too long or cannot be loaded."""
    recipe = _frozen(spec, base)
    data = split_data(recipe, open_recipe_data(recipe, spec))
    try:
        run = _run_of(recipe, data, folder, fingerprint, seconds)
    except (RecipeError, DataError, ModelError) as error:
        logger.info("%s is left out: %s", FROZEN.name, error)
        return None
    return _row(FROZEN.name, run, *data)


def _frozen(spec: DataSpec, base: Recipe) -> Recipe:
    """The recipe of the row for photos: only the head is fitted, on the images that the weights expect."""
    recipe = transfer_recipe(spec, {"name": BACKBONE}, "classification")
    shared = recipe.model_copy(update={"data": base.data, "split": base.split, "seed": base.seed})
    return override(shared, head_only(shared))


def _base(spec: DataSpec, overrides: dict[str, Any]) -> Recipe:
    for field in overrides:
        if not any(field == own or field.startswith(f"{own}.") for own in OWN_FIELDS):
            raise RecipeError(
                f"'{field}' is not common to all baselines; those are {', '.join(OWN_FIELDS)}; "
                "train one model with 'convnet train'"
            )
    return override(default_recipe(spec, pretrained=False), overrides)


def _affordable(
    plan: BaselineSpec, base: Recipe, dataset: Dataset, split: Split, seconds: float
) -> tuple[str, Recipe, bool]:
    """The row's name and recipe, reduced to what fits into the time, and whether they were reduced."""
    name, model, limited = plan.name, plan.model, False
    if model.endswith("knn"):
        queries = 2 * len(split.val) + len(split.test)
        vectors = _vectors(model, dataset, split)
        most = neighbors_within(vectors, len(split.train), queries, seconds)
        if most is not None:
            name, limited = f"{name} ({most:,} stored)", True
        options = {"k": None if len(split.val) else 1, "most": most}
        written = ", ".join(f"{key}={value}" for key, value in options.items() if value is not None)
        model = f"{model}({written})" if written else model
    elif model.startswith("visual-words"):
        chosen = words_within(dataset, len(split.train), seconds)
        limited = chosen != words_within(dataset, len(split.train), math.inf)
        model = model.replace("visual-words", chosen)
    recipe = baseline_recipe(base.data.source, _choice(model), loss=plan.loss)
    own = base.preprocess.model_copy(update={"normalize": recipe.preprocess.normalize})
    shared = {"data": base.data, "split": base.split, "preprocess": own, "seed": base.seed}
    title = f"{recipe.name}-svm" if plan.loss == "hinge" else recipe.name
    recipe = recipe.model_copy(update={**shared, "name": title})
    if recipe.epochs and not model.startswith("visual-words"):
        epochs = epochs_within(recipe, dataset, split, seconds)
        limited = epochs < recipe.epochs
        recipe = override(recipe, {"epochs": epochs})
    return name, recipe, limited


def _choice(model: str) -> dict[str, Any]:
    """The model field for a name, a name with options in brackets, or a pipeline."""
    if "->" in model:
        return named_model(model)
    call = parse_call(model, MODELS, "model")
    return {"name": call.name, **call.options}


def _vectors(model: str, dataset: Dataset, split: Split) -> torch.Tensor:
    """The vectors N×D that k-NN compares, for some training samples."""
    images = dataset.read(split.train[:MEMORY]).images
    if "->" not in model:
        return images.flatten(1).float()
    pipeline = build_model(model, dataset.info.shape, len(dataset.info.classes))
    features: torch.Tensor = pipeline.get_submodule("0")(images.float() / 255)
    return features.flatten(1)


def _finished(recipe: Recipe, folder: Path, fingerprint: str) -> Run | None:
    """A finished run of the same recipe on the same split; None if there is none."""
    for there in sorted(folder.glob(f"{as_file_name(recipe.name)}-*/result.json"), reverse=True):
        run = Run(RunFolder(there.parent))
        same = run.recipe.model_copy(update={"minutes": recipe.minutes}) == recipe
        if same and split_fingerprint(run.folder.read("split.csv")) == fingerprint:
            return run
    return None


def _row(name: str, run: Run, dataset: Dataset, split: Split) -> BaselineRow:
    result = run.result
    val, test = result["val"], result["test"]
    interval = None
    if test:
        interval = wilson(round(test["accuracy"] * test["samples"]), test["samples"])
    return BaselineRow(
        name,
        val["accuracy"] if val else None,
        test["accuracy"] if test else None,
        interval,
        result["seconds"],
        _ms_per_image(run, dataset, split),
        run.folder.file("model.safetensors").stat().st_size,
        run.path.name,
        result["epochs"],
    )


@torch.no_grad()
def _ms_per_image(run: Run, dataset: Dataset, split: Split) -> float:
    """Milliseconds per image from pixels to logits, the median of three batches."""
    held_out: Sequence[torch.Tensor] = [part for part in (split.test, split.val, split.train) if len(part)]
    images = dataset.read(held_out[0][:TIMED_IMAGES]).images
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        run.model(images)
        times.append(time.perf_counter() - begun)
    return 1000 * statistics.median(times) / len(images)
