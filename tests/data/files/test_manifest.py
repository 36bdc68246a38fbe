from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convnet.data import (
    Preprocess,
    SplitOptions,
    all_images,
    class_names,
    labels_of,
    list_data,
    make_split,
    open_data,
)
from convnet.data.datasets.npz import open_arrays
from convnet.data.files.storage import FileStorage, open_storage
from convnet.errors import DataError


def picture(path: Path, color: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), color).save(path)
    return path


def table(path: Path, rows: list[list[str]]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


def test_folders_that_hold_only_folders_are_part_of_the_names(tmp_path: Path) -> None:
    for name in ("animals/cat/1.png", "animals/dog/2.png", "plants/3.png", "plants/old/4.png"):
        picture(tmp_path / name)
    listed = list_data(str(tmp_path))
    assert listed.classes == ("animals/cat", "animals/dog", "plants")
    assert [sample.labels[0] for sample in listed.samples][-2:] == ["plants", "plants"]


def test_what_is_passed_over_is_listed_with_its_reason(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png", "a/.hidden.png", ".cache/3.png", "beside.png"):
        picture(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "b" / "Thumbs.db").write_text("x")
    (tmp_path / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    reasons = {ignored.name: ignored.reason for ignored in list_data(str(tmp_path)).ignored}
    assert set(reasons) == {
        "a/.hidden.png", ".cache", "beside.png", "a/notes.txt", "b/Thumbs.db", "b/up", "b/gone.png"
    }  # fmt: skip
    assert "a folder that it is in" in reasons["b/up"] and "cannot be read" in reasons["b/gone.png"]


def test_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png"):
        picture(tmp_path / name)
    shutil.copy(tmp_path / "a/1.png", bytes(tmp_path / "a") + b"/\xff.png")
    assert [i.name for i in open_storage(tmp_path).contents().ignored] == ["a/\\udcff.png"]


def test_an_archive_is_read_in_place(tmp_path: Path) -> None:
    for name in ("set/train/a/1.png", "set/train/b/2.png", "set/val/a/3.png", "set/val/b/4.png"):
        picture(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path))
        archive.writestr("__MACOSX/set/._1.png", b"x")
        archive.writestr("../../evil.png", b"x")
    dataset = open_data(str(tmp_path / "set.zip"))
    assert (dataset.info.classes, dataset.info.given_split) == (("a", "b"), ["train", "train", "val", "val"])
    assert torch.equal(all_images(dataset), all_images(open_data(str(tmp_path / "set"))))
    assert len(list_data(str(tmp_path / "set.zip")).ignored) == 2
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match=r"bad\.zip: not a readable zip archive"):
        open_data(str(tmp_path / "bad.zip"))


def test_an_archive_with_a_table(tmp_path: Path) -> None:
    rows = [["file", "label"], ["img/1.png", "x"], ["img/2.png", "y"]]
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.write(table(tmp_path / "list.csv", rows), "list.csv")
        for i in (1, 2):
            archive.write(picture(tmp_path / f"{i}.png"), f"img/{i}.png")
    assert list_data(str(tmp_path / "t.zip")).counts() == {"x": 1, "y": 1}


@pytest.mark.parametrize("name", ["photos.csv", "photos.tsv", "photos.parquet", "dir/metadata.csv"])
def test_tables_of_paths(tmp_path: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / name
    for i in range(4):
        picture(path.parent / f"img/{i}.png")
    columns = {
        "file_name": [f"img/{i}.png" for i in range(4)],
        "width": ["8"] * 4,
        "label": ["b", "a", "b", "a"],
        "split": ["train", "train", "test", "unused"],
        "group": ["g", "", "", ""],
    }
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    listed = list_data(str(path.parent if "/" in name else path))
    assert [(s.entry.name, *s.labels, s.split, s.group) for s in listed.samples] == [
        ("img/0.png", "b", "train", "g"), ("img/1.png", "a", "train", None), ("img/2.png", "b", "test", None)
    ]  # fmt: skip
    assert ("img/3.png", "its split is unused") in [(i.name, i.reason) for i in listed.ignored]


def test_what_is_wrong_with_a_table_is_named_with_its_line(tmp_path: Path) -> None:
    def message(rows: list[list[str]], **options: bool) -> str:
        with pytest.raises(DataError) as caught:
            list_data(table(tmp_path / "t.csv", rows), multi_label=options.get("multi_label", False))
        return str(caught.value)

    picture(tmp_path / "1.png")
    assert "line 2, column 'label': the label is missing" in message([["path", "label"], ["1.png", ""]])
    picture(tmp_path / "2.png")
    several = [["path", "label"], ["1.png", "a|b"], ["2.png", "a"]]
    assert "'a|b' is more than one label" in message(several)
    assert "--set data.label" in message([["path", "p", "q"], ["1.png", "0.3", "2"]])
    assert "line 3: 1.png is 'b' here and 'a' above" in message(
        [["path", "label"], ["1.png", "a"], ["1.png", "b"]]
    )
    assert "'dev' is not a split" in message([["path", "label", "split"], ["1.png", "a", "dev"]])
    assert "none of the files exists" in message([["path", "label"], ["x/3.png", "a"]])
    assert "neither 0 nor 1" in message([["path", "p", "q"], ["1.png", "2", "0"]], multi_label=True)


def test_a_file_that_a_table_names_in_vain_is_left_out(tmp_path: Path) -> None:
    for i, color in enumerate(("red", "blue")):
        picture(tmp_path / f"{i}.png", color)
    rows = [["path", "label"], ["0.png", "a"], ["1.png", "b"], ["2.png", "b"]]
    dataset = open_data(table(tmp_path / "t.csv", rows))
    assert (len(dataset), dataset.info.unreadable) == (2, ("2.png: no such file",))


@pytest.mark.parametrize("form", ["separated", "columns", "long"])
def test_several_labels(tmp_path: Path, form: str) -> None:
    for i, color in enumerate(("red", "green", "blue")):
        picture(tmp_path / f"{i}.png", color)
    rows = {
        "separated": [["path", "labels"], ["0.png", "sun|sea"], ["1.png", ""], ["2.png", "sea"]],
        "columns": [["path", "sea", "sun"], ["0.png", "1", "1"], ["1.png", "0", "0"], ["2.png", "1", "0"]],
        "long": [["path", "label"], ["0.png", "sun"], ["0.png", "sea"], ["1.png", ""], ["2.png", "sea"]],
    }[form]
    dataset = open_data(table(tmp_path / "t.csv", rows), annotation="labels")
    assert dataset.info.classes == ("sea", "sun")
    assert dataset.read(torch.arange(3)).targets.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert class_names(dataset) == ["sea|sun", "", "sea"]
    assert labels_of(dataset).tolist() == [1, 2, 0]


def test_coco_annotations(tmp_path: Path) -> None:
    for i in (1, 2):
        picture(tmp_path / f"images/val2017/{i}.png")
    document = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in (1, 2)],
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [{"image_id": 1, "category_id": c} for c in (7, 9, 9)],
    }
    path = tmp_path / "annotations" / "instances_val2017.json"
    path.parent.mkdir()
    path.write_text(json.dumps(document))
    assert [s.labels for s in list_data(str(path), multi_label=True).samples] == [("cat", "dog"), ()]
    with pytest.raises(DataError, match=r"1\.png has 2 categories .*multi-label"):
        list_data(str(path))
    path.write_text('{"images": [{}]}')
    with pytest.raises(DataError, match="not COCO annotations"):
        list_data(str(path))


def test_arrays(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 9, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "k.npz", x_train=images[:4], y_train=np.array([[3], [5], [3], [5]]),
             x_test=images[4:], y_test=np.array([[5], [3]]))  # fmt: skip
    dataset = open_data(str(tmp_path / "k.npz"))
    assert (tuple(dataset.info.shape), dataset.info.classes) == ((3, 9, 8), ("3", "5"))
    assert dataset.info.given_split == ["train"] * 4 + ["test"] * 2
    assert torch.equal(all_images(dataset).permute(0, 2, 3, 1), torch.from_numpy(images))
    np.savez(tmp_path / "f.npz", images=images.transpose(0, 3, 1, 2) / 255, labels=np.arange(6) % 2)
    assert torch.equal(all_images(open_data(str(tmp_path / "f.npz"))), all_images(dataset))
    assert tuple(open_data(str(tmp_path / "k.npz"), Preprocess(image_size=4, channels=1)).info.shape) == (
        1,
        4,
        4,
    )
    np.savez(tmp_path / "n.npz", images=images, labels=np.arange(5))
    with pytest.raises(DataError, match="6 images and 5 labels"):
        open_arrays(tmp_path / "n.npz", multi_label=False)
    np.savez(tmp_path / "o.npz", images=images, other=np.arange(6))
    with pytest.raises(DataError, match="expected arrays images and labels"):
        open_arrays(tmp_path / "o.npz", multi_label=False)


def test_any_number_of_folders_with_few_open_files(tmp_path: Path) -> None:
    for i in range(80):
        picture(tmp_path / f"class-{i:02}" / "1.png")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard))
    try:
        listed = list_data(str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(listed.classes) == 80 and not listed.ignored


def test_a_table_in_the_folder_of_each_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("1.png", "2.png"):
            picture(tmp_path / split / name)
        rows = [["file_name", "label"], ["1.png", "a"], ["2.png", "b"]]
        table(tmp_path / split / "metadata.csv", rows)
    listed = list_data(str(tmp_path))
    assert [(s.entry.name, s.labels[0], s.split) for s in listed.samples] == [
        ("test/1.png", "a", "test"),
        ("test/2.png", "b", "test"),
        ("train/1.png", "a", "train"),
        ("train/2.png", "b", "train"),
    ]
    assert not [ignored for ignored in listed.ignored if ignored.name.endswith(".png")]
    table(tmp_path / "train" / "labels.csv", rows)
    with pytest.raises(DataError, match="both name images"):
        list_data(str(tmp_path))


def test_a_table_that_names_no_images_does_not_say_their_labels(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/2.png"):
        picture(tmp_path / name)
    table(tmp_path / "labels.csv", [["ClassId", "Name"], ["0", "a"], ["1", "b"]])
    assert list_data(str(tmp_path)).classes == ("a", "b")


def test_a_word_is_no_name_of_an_image(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        picture(tmp_path / name)
    rows = [["format", "path", "label"], ["png", "1.png", "a"], ["png", "2.png", "b"]]
    listed = list_data(table(tmp_path / "t.csv", rows), label="label")
    assert [sample.entry.name for sample in listed.samples] == ["1.png", "2.png"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        picture(tmp_path / name)
    os.mkfifo(tmp_path / "3.png")
    rows = [["path", "label"], ["1.png", "a"], ["2.png", "b"], ["3.png", "a"]]
    dataset = open_data(table(tmp_path / "t.csv", rows), Preprocess(image_size=8))
    assert dataset.info.unreadable == ("3.png: no such file",)


def test_pictures_of_other_channels_are_left_out_and_named(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/3.png", "b/4.png"):
        picture(tmp_path / name)
    np.save(tmp_path / "a" / "five.npy", np.zeros((8, 8, 5), np.uint8))
    dataset = open_data(str(tmp_path), Preprocess(image_size=8))
    assert dataset.info.unreadable == ("a/five.npy: has 5 channels, which cannot be converted to 3",)
    assert "1 with other channels" in dataset.info.warnings[1]
    assert len(dataset.read(torch.arange(4))) == 4
    with pytest.raises(DataError, match="has 3 channels, which cannot be converted to 4"):
        open_data(str(tmp_path), Preprocess(image_size=8, channels=4))


def test_a_file_that_could_not_be_read_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("data/a/1.png", "data/a/2.png", "data/b/3.png"):
        picture(tmp_path / name)
    read = FileStorage.read

    def fails(self: FileStorage, name: str) -> bytes:
        if name == "a/1.png":
            raise DataError("a/1.png: cannot be read: Permission denied")
        return read(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(FileStorage, "read", fails)
        dataset = open_data(str(tmp_path / "data"), Preprocess(image_size=8))
        assert dataset.info.unreadable == ("a/1.png: Permission denied",)
    assert not open_data(str(tmp_path / "data"), Preprocess(image_size=8)).info.unreadable


def test_copies_and_blanks_among_arrays(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    images = np.concatenate([pixels, pixels, np.zeros((2, 8, 8, 3), np.uint8)])
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(102) % 2)
    dataset = open_data(str(tmp_path / "x.npz"))
    assert dataset.info.duplicates is not None and dataset.info.excluded == {100: "blank", 101: "blank"}
    split = make_split(dataset, SplitOptions(val=0.2, test=0.2))
    seen = [{i % 50 for i in part.tolist() if i < 100} for part in (split.train, split.val, split.test)]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((40, 8, 8), np.uint8), labels=np.arange(40) % 2)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[60:90] = bytes(30)
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npz: cannot be read"):
        open_data(str(tmp_path / "x.npz"))
