"""Networks with their public ImageNet weights, as classifiers and as embeddings."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from convnet.data import Dataset, DatasetInfo, ImageDataset, Preprocess
from convnet.data.datasets.statistics import fixed_statistics
from convnet.data.files.image_reader import ImageReader
from convnet.data.files.manifest import Manifest
from convnet.errors import ConvnetError
from convnet.layers import Network, Normalize
from convnet.models import MODELS, build_model, public_weights, transfer_options
from convnet.models.imagenet import imagenet_classes
from convnet.outputs import Labels
from convnet.prediction import InputSpec, NetworkPredictor
from convnet.recipes.embeddings import Embeddings, embedding_identity, embeddings
from convnet.recipes.pretrained import BACKBONE, checksum, locate
from convnet.recipes.weights import Weights, load_pretrained
from convnet.registry import validate
from convnet.tasks import TASKS
from convnet.types import ImageShape

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedNetwork:
    """A network with its public weights.

    Attributes:
        name: Its name.
        model: Pixels uint8 N×C×H×W → logits of the ImageNet classes, in evaluation mode.
        preprocess: How images are prepared for it.
        shape: The shape of its images.
        sha256: The checksum of its weights.
    """

    name: str
    model: Network
    preprocess: Preprocess
    shape: ImageShape
    sha256: str

    def embeddings(self, dataset: Dataset) -> Embeddings:
        """The embeddings of all samples, cached for image files; see `embeddings`."""
        options = MODELS.options(self.name, transfer_options(self.name))
        identity = embedding_identity(
            self.model, self.name, options, self.sha256, self.shape, self.preprocess, "cpu"
        )
        return embeddings(self.model, dataset, identity)


def load_published(name: str, *, whole: bool = False) -> PublishedNetwork:
    """Build a network and load its public weights, with the head.

    Args:
        name: The name of a network with public weights.
        whole: Whether images are cropped only to a square, as for own photos, and not to their center.

    Returns:
        The network and the preparation of its images.

    Raises:
        RecipeError: No public weights are known for it.
        DataError: The weights cannot be found, downloaded or read.
    """
    name = MODELS.canonical(name)
    published = public_weights(name)
    fields = published.input.fields(whole=whole)
    options = {key.removeprefix("preprocess."): value for key, value in fields.items()}
    preprocess = validate(Preprocess, options, "preprocess")
    side = published.input.image_size
    shape = ImageShape(3, side, side)
    path = locate("imagenet", name)
    with torch.random.fork_rng():
        network = build_model(name, shape, len(imagenet_classes()), **published.options)
    model = Network(Normalize(*fixed_statistics(preprocess.normalize, 3)), network)
    load_pretrained(model, name, Weights(source="imagenet"), head=True)
    model.eval()
    return PublishedNetwork(name, model, preprocess, shape, checksum(path))


def imagenet_predictor(name: str) -> NetworkPredictor:
    """A network with public weights as a predictor of the ImageNet classes.

    Raises:
        ConvnetError: As for `load_published`.
    """
    found = load_published(name)
    spec = InputSpec("images", found.shape, found.preprocess, model=name)
    return NetworkPredictor.of(
        found.name, found.model, TASKS.build("classification"), spec, Labels(imagenet_classes())
    )


def embed_files(
    manifest: Manifest, places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
    """Embeddings of some image files by the network for photos.

    Args:
        manifest: The files.
        places: The positions of some of them.

    Returns:
        The positions N of those that can be read, and their embeddings N×D; None if the weights are not
        installed, or damaged.
    """
    try:
        network = load_published(BACKBONE, whole=True)
    except ConvnetError as error:
        logger.info("images are compared without embeddings: %s", error)
        return None
    files = ImageReader(manifest, network.preprocess, network.shape)
    names = [manifest.samples[place].entry.name for place in places.tolist()]
    info = DatasetInfo(manifest.name, network.shape, manifest.classes, names, in_memory=False)
    nothing = torch.zeros(len(places), dtype=torch.int64)
    dataset = ImageDataset(info, files, torch.from_numpy(places), nothing)
    found = network.embeddings(dataset)
    known = found.known.numpy()
    return places[known], found.vectors.numpy()[known]
