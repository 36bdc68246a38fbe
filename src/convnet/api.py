"""The verbs of Python: `train`, `compare`, `baselines`, `retrieve`, with a user's words as arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convnet.data import Preprocess, list_data
from convnet.data.audit.audit import Audit
from convnet.data.audit.audit import audit as audit_listing
from convnet.data.datasets.adapters import as_dataset
from convnet.layers import Metric
from convnet.recipes import Recipe, override, split_data
from convnet.recipes.defaults import dataset_recipe
from convnet.recipes.resolve import choose_recipe, resolve
from convnet.registry import validate
from convnet.runs import Baselines
from convnet.training import Listener
from convnet.workflows.baselines import baselines as fit_baselines
from convnet.workflows.compare import Comparison
from convnet.workflows.compare import compare as compare_variants
from convnet.workflows.embed import embed_data
from convnet.workflows.retrieve import Retrieval, Space
from convnet.workflows.retrieve import retrieve as find_nearest
from convnet.workflows.run import Run, load_run
from convnet.workflows.train import train as train_recipe


def train(
    data_or_recipe: Any = "digits",
    *,
    out: str | Path | None = None,
    listeners: Sequence[Listener] = (),
    **overrides: Any,
) -> Run:
    """Train a network and return its run.

        >>> import convnet
        >>> run = convnet.train("digits", epochs=3, optimizer={"name": "adam", "lr": 0.003})  # doctest: +SKIP
        >>> run.result["test"]["accuracy"]  # doctest: +SKIP

    Args:
        data_or_recipe: A named recipe, a data set, a folder of images, a recipe file or a `Recipe`; or data
            that is open already: a `torch.utils.data.Dataset`, a pair of arrays (images, labels), a Hugging
            Face dataset, or a pandas or pyarrow table of paths and labels.
        out: The run's folder. Default: runs/NAME-1, -2, ….
        listeners: Told of every event of the loop.
        overrides: Fields of the recipe; nested ones are dictionaries.

    Raises:
        ConvnetError: bad recipe, data or folder, a diverging loss, an interrupt; the message says what to do.
    """
    changes = _dotted(overrides)
    if isinstance(data_or_recipe, str | Path | Recipe):
        found = resolve(_word(data_or_recipe), changes)
        return train_recipe(found.recipe, _path(out), data=found.data, listeners=listeners)
    preprocess = validate(Preprocess, dict(overrides.get("preprocess", {})), "preprocess")
    dataset = as_dataset(data_or_recipe, preprocess)
    recipe = override(dataset_recipe(dataset.info, preprocess), changes)
    return train_recipe(
        recipe, _path(out), data=split_data(recipe, dataset), listeners=listeners, reopens=False
    )


def compare(
    data_or_recipe: str | Path | Recipe,
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 1,
    out: str | Path | None = None,
    listeners: Sequence[Listener] = (),
    **overrides: Any,
) -> Comparison:
    """Train variants of a recipe side by side and return their runs, figures and page.

        >>> import convnet
        >>> done = convnet.compare("digits", {"optimizer": ["adam", "sgd"]}, epochs=3)  # doctest: +SKIP
        >>> done.summary[0]["test.accuracy"]["mean"]  # doctest: +SKIP

    Raises:
        ConvnetError: as `train`; all variants are checked before the first is trained.
    """
    return compare_variants(
        choose_recipe(_word(data_or_recipe), _dotted(overrides)),
        vary,
        seeds=seeds,
        out=_path(out),
        listeners=listeners,
    )


def baselines(
    data: str | Path,
    /,
    *,
    minutes: float = 2.0,
    out: str | Path | None = None,
    **overrides: Any,
) -> tuple[Baselines, Path]:
    """Fit simple models to the same samples and the same split; their table, and the folder of their runs.

    `overrides` are fields that all rows share: `data`, `split`, `seed`, the image size in `preprocess`.

    Raises:
        ConvnetError: as `train`; a field that is not common to all rows.
    """
    return fit_baselines(
        str(data),
        minutes=minutes,
        overrides=_dotted(overrides),
        out=_path(out),
    )


def audit(
    data: str | Path,
    *,
    label: str | None = None,
    task: Literal["classification", "multi-label"] | None = None,
    doubt_labels: bool = True,
) -> Audit:
    """What is wrong with the images of a folder, an archive, a table, shards or a named set.

    `label` is the column of a table that holds the labels; of multi-label data
    an image may have several.
    `doubt_labels`: a cross-validated classifier looks for labels that may be wrong.

        >>> import convnet
        >>> convnet.audit("digits").findings  # doctest: +SKIP

    Raises:
        ConvnetError: the data cannot be listed, or holds no images with labels.
    """
    manifest = list_data(str(data), label=label, multi_label=task == "multi-label")
    return audit_listing(manifest, doubt_labels=doubt_labels)


def retrieve(
    run: Run | str | Path,
    image: str | Path,
    *,
    top: int = 10,
    space: Space = "embedding",
    metric: Metric = "l2",
    data: str | Path | None = None,
) -> Retrieval:
    """The `top` images of the run's data, or of other `data`, that are nearest to `image` in a `space`.

    Raises:
        ConvnetError: the image or the data cannot be read, or the network does not have that space.
    """
    other = None if data is None else str(data)
    run = run if isinstance(run, Run) else load_run(run)
    return find_nearest(run, str(image), top=top, space=space, metric=metric, data=other)


def embed(
    run: Run | str | Path,
    data: str | Path | None = None,
    /,
    *,
    out: str | Path,
) -> NDArray[np.float32]:
    """Write what a run's encoder makes of its own or other `data` to a .parquet, .csv or .npz file; N×D.

    Raises:
        ConvnetError: the data cannot be read, or the network represents no sample as a whole.
    """
    run = run if isinstance(run, Run) else load_run(run)
    other = None if data is None else str(data)
    return embed_data(run, other, Path(out))


def _word(value: str | Path | Recipe) -> str | Recipe:
    return value if isinstance(value, Recipe) else str(value)


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _dotted(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """{"optimizer": {"name": "sgd", "lr": 1}} → {"optimizer.name": "sgd", "optimizer.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": content for inner, content in value.items()}
        else:
            flat[key] = value
    return flat
