"""Data that is open in Python already: every form trains, and what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

import convnet
from convnet.data import Preprocess, labels_of
from convnet.data.datasets.adapters import as_dataset
from convnet.errors import DataError
from tests.conftest import PHOTOS

PATHS = sorted(PHOTOS.glob("*/*.jpg"))
LABELS = [path.parent.name for path in PATHS]


class Photos(Dataset[tuple[Image.Image, int]]):
    classes = ("flower", "temple")

    def __len__(self) -> int:
        return len(PATHS)

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        return Image.open(PATHS[i]), self.classes.index(LABELS[i])


class ClassLabel:
    names = ("flower", "temple")


class HuggingFace:
    """The part of `datasets.Dataset` that is used: features by class name, and rows as dictionaries."""

    features = {"image": type("Image", (), {})(), "label": ClassLabel()}  # noqa: RUF012
    column_names = ("image", "label")

    def __iter__(self) -> Any:
        return ({"image": image, "label": label} for image, label in (Photos()[i] for i in range(20)))


def arrays() -> tuple[np.ndarray, list[str]]:
    return np.stack([np.asarray(Image.open(p).resize((64, 64))) for p in PATHS]), LABELS


def table() -> pa.Table:
    return pa.table({"path": [str(p) for p in PATHS], "label": LABELS})


class ArrowExporter:
    """The part of polars' and other tables that is used: columns, and their export to Arrow."""

    columns = ("path", "label")

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return table().__arrow_c_stream__(requested_schema)


FORMS: dict[str, Callable[[], Any]] = {
    "arrays": arrays, "torch": Photos, "hugging face": HuggingFace, "table": table,
    "arrow": ArrowExporter,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_samples(form: str) -> None:
    dataset = as_dataset(FORMS[form](), Preprocess(image_size=32))
    assert dataset.info.shape == (3, 32, 32) and dataset.info.classes == ("flower", "temple")
    names = [dataset.info.classes[i] for i in labels_of(dataset).tolist()]
    assert names == LABELS
    assert dataset.read(torch.arange(20)).images.float().std() > 10


@pytest.mark.parametrize("form", ["arrays", "torch", "table"])
def test_a_run_on_open_data_trains_and_evaluates_again(form: str, tmp_path: Path) -> None:
    data = FORMS[form]()
    run = convnet.train(
        data, out=tmp_path / "run", epochs=1, batch_size=4, preprocess={"image_size": 32}, split={"val": 0.3}
    )
    assert len(run.evaluate(data)) == 20
    with pytest.raises(DataError, match="opened in Python; pass it again"):
        run.evaluate()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "data of type int cannot be trained on"),
        ({"train": Photos(), "test": Photos()}, "dictionary with the keys train, test; pass one dataset"),
        ((np.zeros((4, 8, 8), np.uint8), [0, 1]), "4 images and labels of shape"),
        ((np.full((4, 8, 8), 7.5), [0, 1, 0, 1]), "floats from 0 to 1"),
        (TensorDataset(torch.zeros(3, 1, 8, 8)), "expected a pair"),
        ([(np.zeros((8, 8), np.int32), 0)], "pixels of int32"),
        ([(np.zeros((8, 8), np.uint8), "cat")], "'cat' is not a class index"),
        ([(np.zeros((8, 8), np.uint8), 1.5)], "sample 0: the label 1.5 is not a class index"),
        ((np.zeros((4, 8, 8), np.uint8), [0.5, 1, 0, 1]), "the label 0.5 of image 0 is not a class"),
        ((np.zeros((4, 8, 8), np.uint8), [0, 1, 0, np.nan]), "the label of image 3 is missing"),
        ((np.zeros((4, 8, 8), np.uint8), ["a", None, "a", "b"]), "the label of image 1 is missing"),
        (
            pa.table({"path": [*map(str, PATHS)], "label": [None, *LABELS[1:]]}),
            "line 1.*the label is missing",
        ),
        (
            pa.table({"path": [*map(str, PATHS)], "label": [*map(float, range(19)), np.nan]}),
            "label is missing",
        ),
    ],
)
def test_what_is_wrong_is_named(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_dataset(data, Preprocess())
