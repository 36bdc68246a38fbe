"""The functions of the Python API: `train`, `compare`, `audit`, `explain`, …"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convnet.data import Data, Dataset, Preprocess, as_path
from convnet.data.audit.audit import Audit
from convnet.data.datasets.adapters import as_dataset
from convnet.errors import RecipeError
from convnet.export import Bundle
from convnet.layers import Metric
from convnet.recipes import Recipe, override, split_data
from convnet.recipes.defaults import ANNOTATION_FOR, dataset_recipe
from convnet.recipes.overrides import dotted
from convnet.recipes.own import adopt_object, adopt_objects
from convnet.recipes.resolve import choose_recipe, resolve
from convnet.registry import validate
from convnet.runs import Baselines, read_changes
from convnet.settings import use_settings
from convnet.training import Listener
from convnet.workflows.audit import audit_images
from convnet.workflows.baselines import baselines as fit_baselines
from convnet.workflows.compare import compare as compare_variants
from convnet.workflows.comparison import Comparison
from convnet.workflows.control import Control
from convnet.workflows.embed import embed_data
from convnet.workflows.explain import explain_image
from convnet.workflows.explanation import Explanation
from convnet.workflows.progress import shown_progress
from convnet.workflows.retrieve import Retrieval, Space, retrieve_photos
from convnet.workflows.retrieve import retrieve as find_nearest
from convnet.workflows.run import Run, load_run
from convnet.workflows.train import resume as resume_run
from convnet.workflows.train import train as train_recipe


def train(
    data_or_recipe: Any = "digits",
    *,
    out: str | Path | None = None,
    listeners: Sequence[Listener] = (),
    progress: bool = True,
    keep_checkpoints: bool = False,
    replay: str | Path | None = None,
    **overrides: Any,
) -> Run:
    """Train a network and return its run.

        >>> import convnet
        >>> run = convnet.train("digits", epochs=3, optimizer={"name": "adam", "lr": 0.003})  # doctest: +SKIP
        >>> run.result["test"]["accuracy"]  # doctest: +SKIP

    Args:
        data_or_recipe: A named recipe, a data set, a folder of images, a recipe file or a `Recipe`; or
            data in memory: a `torch.utils.data.Dataset`, a pair of arrays (images, labels), a Hugging Face
            dataset, or a pandas or pyarrow table of paths and labels.
        out: The run folder. Default: runs/NAME-1, runs/NAME-2, ….
        listeners: Callables that receive every event of training.
        progress: Whether to show progress and log messages on standard error, or in a notebook.
        keep_checkpoints: Whether the finished run keeps what is needed to train it longer.
        replay: The `events.csv` of a run that was changed during training; its changes are made again.
        **overrides: Fields of the recipe; nested fields are dictionaries. Objects may stand for names: see
            `convnet.recipes.own.adopt_objects`.

    Returns:
        The finished run, stored in its folder.

    Raises:
        ConvnetError: The recipe, the data or the folder is invalid, the loss diverged, or the user
            interrupted training; the message says what to do.
    """
    overrides = adopt_objects(overrides)
    control = Control(read_changes(Path(replay)) if replay is not None else ())
    if isinstance(data_or_recipe, str | Path | Recipe):
        with shown_progress(progress) as shown, use_settings(keep_checkpoints=keep_checkpoints):
            found = resolve(_word(data_or_recipe), dotted(overrides))
            return train_recipe(
                found.recipe, _path(out), data=found.data, listeners=[*shown, *listeners], control=control
            )
    recipe, dataset = _in_memory(data_or_recipe, overrides)
    with shown_progress(progress) as shown, use_settings(keep_checkpoints=keep_checkpoints):
        return train_recipe(
            recipe,
            _path(out),
            data=split_data(recipe, dataset),
            listeners=[*shown, *listeners],
            control=control,
            reopens=False,
        )


def resume(
    run: Run | str | Path,
    *,
    epochs: int | None = None,
    listeners: Sequence[Listener] = (),
    progress: bool = True,
) -> Run:
    """Resume an interrupted run exactly where it stopped, or train a finished run longer.

    Args:
        run: A run or its folder.
        epochs: The new total number of epochs.
        listeners: Callables that receive every event of training.
        progress: As for `train`.

    Returns:
        The finished run.

    Raises:
        ConvnetError: The folder holds no run, or as for `train`.
    """
    path = run.path if isinstance(run, Run) else Path(run)
    with shown_progress(progress) as shown:
        return resume_run(path, epochs=epochs, listeners=[*shown, *listeners])


def compare(
    data_or_recipe: Any,
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 1,
    out: str | Path | None = None,
    listeners: Sequence[Listener] = (),
    progress: bool = True,
    **overrides: Any,
) -> Comparison:
    """Train variants of a recipe side by side and return their runs, figures and page.

        >>> import convnet
        >>> done = convnet.compare("digits", {"optimizer": ["adam", "sgd"]}, epochs=3)  # doctest: +SKIP
        >>> done.summary[0]["test.accuracy"]["mean"]  # doctest: +SKIP

    Args:
        data_or_recipe: As for `train`.
        vary: The values to compare for each field of the recipe; every combination is a variant.
        seeds: Runs per variant, with seeds 0, 1, ….
        out: The folder of the comparison. Default: runs/NAME-compare-N.
        listeners: Callables that receive every event of training.
        progress: As for `train`.
        **overrides: Fields of the recipe that all variants share.

    Returns:
        The runs, a summary per variant (mean and standard deviation over seeds) and the path of the page.

    Raises:
        ConvnetError: As for `train`. All variants are checked before the first is trained.
    """
    overrides = adopt_objects(overrides)
    values = {field: [adopt_object(field, value) for value in several] for field, several in vary.items()}
    with shown_progress(progress) as shown:
        if isinstance(data_or_recipe, str | Path | Recipe):
            recipe, dataset = choose_recipe(_word(data_or_recipe), dotted(overrides)), None
        else:
            recipe, dataset = _in_memory(data_or_recipe, overrides)
        return compare_variants(
            recipe, values, seeds=seeds, out=_path(out), dataset=dataset, listeners=[*shown, *listeners]
        )


def baselines(
    data: str | Path,
    /,
    *,
    minutes: float = 2.0,
    out: str | Path | None = None,
    **overrides: Any,
) -> tuple[Baselines, Path]:
    """Fit simple models (majority, k-NN, linear, HoG, visual words, MLP) to the same split.

    Color photos have a further one: a linear classifier on a frozen network with ImageNet weights.

    Args:
        data: A data set, a folder of images or a table.
        minutes: Approximate time limit; models that would take longer get fewer samples or are left out.
        out: The folder of the runs. Default: runs/NAME-baselines.
        **overrides: Recipe fields that all models share: `data`, `split`, `seed`, the image size in
            `preprocess`.

    Returns:
        The table of results, and the folder that holds it with one run per row.

    Raises:
        ConvnetError: As for `train`, or a field is not common to all models.
    """
    return fit_baselines(
        str(data),
        minutes=minutes,
        overrides=dotted(overrides),
        out=_path(out),
    )


def audit(
    data: str | Path,
    *,
    label: str | None = None,
    task: Literal["classification", "multi-label", "segmentation", "image-to-image"] | None = None,
    check_labels: bool = True,
    **options: Any,
) -> Audit:
    """Check the images of a folder, an archive, a table, shards or a data set for problems.

        >>> import convnet
        >>> convnet.audit("digits").findings  # doctest: +SKIP

    Args:
        data: A path or the name of a data set.
        label: The column of a table that holds the labels.
        task: What belongs to an image: a class, labels, a mask or another image. Default: found.
        check_labels: Whether to look for wrong labels with a cross-validated classifier.
        **options: Fields of the `data` section of a recipe: colors, ignore_index, ….

    Returns:
        The findings: unreadable and truncated files, duplicates, odd sizes, suspicious labels; of masks and
        pairs also unpaired files, sizes that differ, unknown values, near-empty masks, and tiles of one
        picture in several splits.

    Raises:
        ConvnetError: The data cannot be listed or holds no images with labels.
    """
    chosen = validate(Data, {"source": str(data), "label": label, **options}, "data")
    return audit_images(chosen, ANNOTATION_FOR.get(task), check_labels=check_labels)


def retrieve(
    run: Run | str | Path,
    image: str | Path,
    *,
    top: int = 10,
    space: Space = "embedding",
    metric: Metric | None = None,
    data: str | Path | None = None,
) -> Retrieval:
    """Find the images nearest to a given one.

    Args:
        run: A run or its folder; or photos, which are compared by the embedding of a network with ImageNet
            weights: a data set, or a folder with or without classes.
        image: An image file, or the path of a sample as in the run's predictions.csv.
        top: The number of images.
        space: "embedding" (the input of the last layer), "features" (of a pipeline) or "pixels".
        metric: The distance: "l1", "l2" or "cosine". Default: "l2" with a run, "cosine" without one.
        data: The data to search. Default: the run's own.

    Returns:
        The matches in order of distance; `draw` writes them as a picture.

    Raises:
        ConvnetError: The image or the data cannot be read, or the network does not have that space.
    """
    if isinstance(run, Run) or (as_path(str(run)) / "run.json").exists():
        loaded, other = run if isinstance(run, Run) else load_run(run), None if data is None else str(data)
        return find_nearest(loaded, str(image), top=top, space=space, metric=metric or "l2", data=other)
    if space != "embedding" or data is not None:
        option = "space" if space != "embedding" else "data"
        raise RecipeError(
            f"{run}: is not a run, so {option} does not apply; only its own images are searched"
        )
    return retrieve_photos(str(run), str(image), top=top, metric=metric or "cosine")


def explain(
    run: Run | str | Path,
    image: str | Path,
    *,
    layer: str | None = None,
    target: str | None = None,
    unit: Sequence[int] | None = None,
    methods: Sequence[str] | None = None,
    neighbors: int = 0,
    visualization: bool | int = False,
) -> Explanation:
    """Explain what a network does with one image.

        >>> found = convnet.explain("runs/mnist-1", "seven.png", layer="features.0")  # doctest: +SKIP
        >>> found.unit.patch, found.unit.kernel, found.unit.value  # doctest: +SKIP
        >>> found.write("seven")  # the page  # doctest: +SKIP

    Args:
        run: A run or its folder, or the name of a network with ImageNet weights.
        image: An image file; a table for runs on tables.
        layer: The layer that is shown. Default: the last one with maps of at least 4×4.
        target: The class that is explained. Default: the predicted one.
        unit: The unit of the layer whose arithmetic is shown: channel, row, column. Default: the largest.
        methods: Attribution methods (`convnet.explain.attribution.NAMES`) or "all". Default: Grad-CAM,
            Layer-CAM and saliency.
        neighbors: The number of nearest training samples to find.
        visualization: Whether to make an image that excites the class by gradient ascent; or a channel of
            the layer, for an image that excites it.

    Returns:
        Prediction, activations, gradients, arithmetic and attribution; `write` makes a page.

    Raises:
        ConvnetError: The image cannot be read, or there is no such layer, class, unit or method.
    """
    return explain_image(
        run,
        image,
        layer=layer,
        target=target,
        unit=unit,
        methods=methods,
        neighbors=neighbors,
        visualization=visualization,
    )


def export(
    run: Run | str | Path,
    *,
    out: str | Path | None = None,
    data: Any = None,
    formats: Sequence[str] = (),
    quantize: Literal["int8"] | None = None,
    max_drop: float = 0.01,
    with_resize: bool = False,
    **facts: str,
) -> Bundle:
    """Export a run as a bundle: a folder that predicts the same everywhere.

        >>> bundle = convnet.export("runs/mnist-1", formats=["onnx"])  # doctest: +SKIP
        >>> bundle.predict("seven.png")  # doctest: +SKIP

    Args:
        run: A run or its folder.
        out: The folder to write. Default: bundles/NAME of the run.
        data: The data of a run that was trained on data in memory.
        formats: Further formats: "onnx", "pt2" (torch.export).
        quantize: "int8" for a further model in int8 arithmetic.
        max_drop: The largest loss of the main metric by int8.
        with_resize: Whether to write an ONNX model of whole images as well.
        **facts: `name`, `version` and `license` of the model.

    Returns:
        The bundle. Every format was compared with the network on held-out samples.

    Raises:
        ConvnetError: The run is not finished, its data is missing, a format cannot express the network or
            predicts differently, or int8 costs too much. Then nothing is written.
    """
    if unknown := facts.keys() - {"name", "version", "license"}:
        raise RecipeError(f"{min(unknown)}: is not a fact of a model; expected name, version or license")
    from convnet.workflows.export import export_run  # imported here because torch.export takes a while

    return export_run(
        run if isinstance(run, Run) else load_run(run),
        _path(out),
        data=data,
        formats=formats,
        quantize=quantize is not None,
        max_drop=max_drop,
        with_resize=with_resize,
        facts=dict(facts),
    ).bundle


def embed(
    run: Run | str | Path,
    data: str | Path | None = None,
    /,
    *,
    out: str | Path,
) -> NDArray[np.float32]:
    """Compute the embeddings of a data set with a run's network and write them to a file.

    Args:
        run: A run or its folder.
        data: The data to embed. Default: the run's own.
        out: A .parquet, .csv or .npz file.

    Returns:
        The embeddings, float32 N×D: an autoencoder's codes, or the input of a classifier's last layer.

    Raises:
        ConvnetError: The data cannot be read, or the network has no embedding of whole samples.
    """
    run = run if isinstance(run, Run) else load_run(run)
    return embed_data(run, None if data is None else str(data), Path(out))


def _word(value: str | Path | Recipe) -> str | Recipe:
    return value if isinstance(value, Recipe) else str(value)


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _in_memory(data: Any, overrides: Mapping[str, Any]) -> tuple[Recipe, Dataset]:
    """The default recipe of data in memory, with `overrides`, and the data."""
    preprocess = validate(Preprocess, dict(overrides.get("preprocess", {})), "preprocess")
    dataset = as_dataset(data, preprocess)
    return override(dataset_recipe(dataset.info, preprocess), dotted(overrides)), dataset
