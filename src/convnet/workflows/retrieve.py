"""Image retrieval: the images of a data set nearest to a given image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from convnet.atomic import write_atomically
from convnet.data import (
    Dataset,
    Preprocess,
    as_path,
    class_names,
    location,
    open_searchable,
    read_sample,
)
from convnet.data.images.read import read_image_file
from convnet.errors import DataError, RecipeError
from convnet.explain import embed
from convnet.features import Features
from convnet.layers import Metric, nearest
from convnet.recipes.imagenet import load_published
from convnet.recipes.load import require_embedding
from convnet.recipes.pretrained import BACKBONE
from convnet.targets import MASK
from convnet.tasks import as_picture
from convnet.workflows.embed import images_of
from convnet.workflows.run import Run
from convnet.workflows.run_data import open_like_own, open_own_data

Space = Literal["embedding", "features", "pixels"]


@dataclass(frozen=True)
class Match:
    """A sample of the searched data: index, path, class and distance."""

    index: int
    path: str
    label: str
    distance: float


@dataclass(frozen=True)
class Retrieval:
    """The result of a search.

    Attributes:
        query: The path of the query image.
        pixels: Its pixels as the network takes them, uint8 C×H×W.
        matches: The nearest samples, nearest first.
        dataset: The searched data.
        metric: The distance.
    """

    query: str
    pixels: Tensor
    matches: tuple[Match, ...]
    dataset: Dataset
    metric: Metric

    def draw(self, path: Path) -> None:
        """Write a picture of the query and the matches.

        Raises:
            RunError: The disk is full or the folder is not writable.
        """
        from convnet.reports.grids import image_grid, pictures
        from convnet.reports.style import to_png

        images = [as_picture(self.pixels), *pictures(self.dataset, [m.index for m in self.matches])]
        captions = [f"? {Path(self.query).name}"[:24]]
        captions += [f"{m.label}\n{m.distance:.3g}" for m in self.matches]
        title = f"The {len(self.matches)} nearest of {len(self.dataset):,}"
        write_atomically(path, to_png(image_grid(images, captions, min(len(images), 11), title)))


def retrieve(
    run: Run,
    image: str,
    *,
    top: int = 10,
    space: Space = "embedding",
    metric: Metric = "l2",
    data: str | None = None,
) -> Retrieval:
    """Search all splits of the run's own data, or other data, for the images nearest to `image`.

    Args:
        run: A classification run on images.
        image: A file, or the path of a sample as in predictions.csv ("t10k-images-idx3-ubyte.gz[5]").
        top: The number of matches.
        space: "embedding" (the input of the network's last dense layer), "features" (the output of a
            pipeline's features) or "pixels" (the resized pixels divided by 255).
        metric: The distance.
        data: The data to search. Default: the run's own.

    Returns:
        The matches, nearest first.

    Raises:
        DataError: The image or the data cannot be read, or the run is not on images.
        RecipeError: The network does not have that space.
    """
    _require_valid(top, space, metric)
    if run.modality != "images" or run.task.target is MASK:
        what = {"table": "a table of numbers", "series": "series"}.get(run.modality, run.task.name)
        raise DataError(
            f"{run.path}: this is a run of {what}, but retrieve needs an image classification run"
        )
    if space == "embedding":
        require_embedding(run.folder, run.recipe, run.model)
    dataset = open_own_data(run) if data is None else open_like_own(run, data)
    pixels = _query(image, dataset, run.recipe.preprocess)
    kept: list[Tensor] = []
    vectors = _vectors(run, space, images_of(dataset, kept))
    asked = _vectors(run, space, [pixels[None]])
    distances, found = nearest(asked, vectors, min(top, len(vectors)), metric)
    indices = torch.cat(kept)[found]
    if space == "pixels" and metric != "cosine":
        distances = distances / 255
    folder = as_path(data or run.recipe.data.source)
    return Retrieval(image, pixels, _matches(folder, dataset, indices[0], distances[0]), dataset, metric)


def _require_valid(top: int, space: str, metric: str) -> None:
    if top < 1 or space not in get_args(Space) or metric not in get_args(Metric):
        raise RecipeError(
            f"retrieve: top is at least 1, space one of {get_args(Space)}, metric one of {get_args(Metric)}; "
            f"got {top}, '{space}', '{metric}'"
        )


def retrieve_photos(data: str, image: str, *, top: int = 10, metric: Metric = "cosine") -> Retrieval:
    """Search photos, with or without classes, by the embedding of a network with ImageNet weights.

    Args:
        data: A data set or a folder of images.
        image: A file, or the path of a sample in the data.
        top: The number of matches.
        metric: The distance.

    Returns:
        The matches, nearest first.

    Raises:
        DataError: The image or the data cannot be read.
    """
    _require_valid(top, "embedding", metric)
    network = load_published(BACKBONE, whole=True)
    dataset = open_searchable(data, network.preprocess, network.shape)
    pixels = _query(image, dataset, network.preprocess)
    embedded = network.embeddings(dataset)
    kept = embedded.known.nonzero()[:, 0]
    asked = embed(network.model, [pixels[None]])
    distances, found = nearest(asked, embedded.vectors[kept], min(top, len(kept)), metric)
    matches = _matches(as_path(data), dataset, kept[found[0]], distances[0])
    return Retrieval(image, pixels, matches, dataset, metric)


def _matches(folder: Path, dataset: Dataset, indices: Tensor, distances: Tensor) -> tuple[Match, ...]:
    labels = class_names(dataset)
    return tuple(
        Match(i, _path(folder, location(dataset, i)), labels[i], distance)
        for i, distance in zip(indices.tolist(), distances.tolist(), strict=True)
    )


def _query(image: str, dataset: Dataset, preprocess: Preprocess) -> Tensor:
    """The pixels of a file in the shape of the searched data, or of a sample of it."""
    places = [location(dataset, i) for i in range(len(dataset))]
    if not Path(image).exists() and image in places:
        return read_sample(dataset, places.index(image)).images[0]
    return torch.tensor(read_image_file(Path(image), dataset.info.shape, preprocess))


def _vectors(run: Run, space: Space, batches: Iterable[Tensor]) -> Tensor:
    """Batches of C×H×W uint8 → N×D in the space."""
    if space == "pixels":
        return torch.cat([images.flatten(1) for images in batches])
    if space == "embedding":
        return embed(run.model, batches)
    stages = list(run.model)
    places = [i for i, stage in enumerate(stages) if isinstance(stage, Features)]
    if not places:
        raise RecipeError(f"{run.path}: {run.recipe.model.name} computes no features; use --space embedding")
    return torch.cat(list(_computed(nn.Sequential(*stages[: places[0] + 1]), batches)))


@torch.no_grad()
def _computed(stages: nn.Module, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    for images in batches:
        yield stages(images).flatten(1)


def _path(folder: Path, place: str) -> str:
    """The path of a sample's file; its location in the data set if it has no file of its own."""
    return str(folder / place) if (folder / place).is_file() else place
