"""Which columns of a table of images hold files, labels and splits."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from convnet.data import list_data
from convnet.data.files.manifest import Manifest
from convnet.errors import DataError


def paint(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(folder / name)


def listed(folder: Path, text: str, names: list[str]) -> Manifest:
    paint(folder, *names)
    (folder / "t.csv").write_text(text)
    return list_data(str(folder / "t.csv"))


def found(manifest: Manifest) -> list[tuple[str, tuple[str, ...], str | None]]:
    return [(sample.entry.name, sample.labels, sample.split) for sample in manifest.samples]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["00000", "00001"], ["00000.png", "00001.png"]),
        (["0", "1"], ["00000.png", "00001.png"]),
        (["a", "b"], ["pictures/a.png", "pictures/b.jpg"]),
        (["x/a", "x/b"], ["x/a.png", "x/b.png"]),
        (["a.png", "b.png"], ["pictures/a.png", "pictures/b.png"]),
        (["a.jpg", "b.jpg"], ["a.png", "b.png"]),
        (["A\u0308pfel", "b"], ["Äpfel.png", "b.png"]),
        (["Äpfel", "b"], ["A\u0308pfel.png", "b.png"]),
    ],
)
def test_ids_are_matched_to_files(tmp_path: Path, values: list[str], names: list[str]) -> None:
    manifest = listed(tmp_path, f"id,label\n{values[0]},one\n{values[1]},two\n", names)
    assert {s.entry.name: s.labels for s in manifest.samples} == {names[0]: ("one",), names[1]: ("two",)}
    assert (
        manifest.remarks[1] == f"column 'id': 2 values matched to files by name ({values[0]} is {names[0]})"
    )


def test_a_table_of_ids_in_a_folder_of_images(tmp_path: Path) -> None:
    paint(tmp_path, "p/01.png", "p/02.png")
    (tmp_path / "labels.csv").write_text("id,label\n1,one\n2,two\n")
    manifest = list_data(str(tmp_path))
    assert found(manifest) == [("p/01.png", ("one",), None), ("p/02.png", ("two",), None)]


def test_an_id_that_fits_several_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: '1' may be (a/1\.png or b/1\.png|b/1\.png or a/1\.png)"):
        listed(tmp_path, "id,label\n1,one\n2,two\n", ["a/1.png", "b/1.png", "a/2.png"])


@pytest.mark.parametrize("rows", ["1.png,a,train\n1.png,a,test", "1.png,a,\n1.png,a,val"])
def test_a_file_named_twice_must_be_in_one_split(tmp_path: Path, rows: str) -> None:
    with pytest.raises(DataError, match=r"line 3: 1\.png is named twice, in "):
        listed(tmp_path, f"path,label,split\n{rows}\n", ["1.png"])


def test_rows_that_agree_count_once(tmp_path: Path) -> None:
    text = "path,label,split\n1.png,a,train\n2.png,b,train\n1.png,a,train\n"
    assert found(listed(tmp_path, text, ["1.png", "2.png"])) == [
        ("1.png", ("a",), "train"),
        ("2.png", ("b",), "train"),
    ]


def test_the_label_column_is_chosen_by_its_name_not_its_place(tmp_path: Path) -> None:
    manifest = listed(tmp_path, "path,category,label\n1.png,x,a\n2.png,x,b\n", ["1.png", "2.png"])
    assert manifest.classes == ("a", "b")
    assert manifest.remarks == ("columns: path (files), label (labels)", "columns not used: category")


@pytest.mark.parametrize(
    ("column", "values", "splits"),
    [
        ("subset", ("train", "test"), ("train", "test")),
        ("set", ("training", "validation"), ("train", "val")),
        ("is_valid", ("False", "True"), ("train", "val")),
        ("is_test", ("0", "1"), ("train", "test")),
        ("fold", ("0", "1"), (None, None)),
        ("set", ("A", "B"), (None, None)),
    ],
)
def test_columns_that_look_like_splits(
    tmp_path: Path, column: str, values: tuple[str, str], splits: tuple[str, str]
) -> None:
    rows = [f"1.png,a,{values[0]}", f"2.png,a,{values[1]}", f"3.png,b,{values[0]}"]
    text = "\n".join([f"path,label,{column}", *rows])
    manifest = listed(tmp_path, text, ["1.png", "2.png", "3.png"])
    assert [sample.split for sample in manifest.samples[:2]] == list(splits)
    said = f"{column} (split)" if splits[0] else f"column '{column}' is not used"
    assert any(said in remark for remark in manifest.remarks)


def test_a_class_name_with_a_bar(tmp_path: Path) -> None:
    manifest = listed(tmp_path, "path,label\n1.png,on|off\n2.png,idle\n", ["1.png", "2.png"])
    assert manifest.classes == ("idle", "on|off")


def test_parquet_with_times_in_nanoseconds(tmp_path: Path) -> None:
    paint(tmp_path, "1.png", "2.png")
    when = pa.array([1, 2], pa.timestamp("ns"))
    table = pa.table({"path": ["1.png", "2.png"], "taken": when, "label": ["a", "b"]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert list_data(str(tmp_path / "t.parquet")).classes == ("a", "b")


def test_a_column_of_urls_names_no_files(tmp_path: Path) -> None:
    rows = "https://x.org/1.png,1.png,a\nhttps://x.org/2.png,2.png,b\n"
    manifest = listed(tmp_path, f"url,file,label\n{rows}", ["1.png", "2.png"])
    assert found(manifest) == [("1.png", ("a",), None), ("2.png", ("b",), None)]
    (tmp_path / "t.csv").write_text("url,label\nhttps://x.org/8.jpg,a\nhttps://x.org/9.jpg,b\n")
    with pytest.raises(DataError, match="column 'url' holds URLs; download the images and add a column"):
        list_data(str(tmp_path / "t.csv"))


@pytest.mark.parametrize("spelling", ["./1.png", "sub/../1.png", ".//1.png", "{root}/1.png"])
def test_a_file_has_one_name(tmp_path: Path, spelling: str) -> None:
    """However its path is written, a file is one sample."""
    (tmp_path / "sub").mkdir()
    path = spelling.format(root=tmp_path)
    manifest = listed(tmp_path, f"path,label\n1.png,a\n2.png,b\n{path},a\n", ["1.png", "2.png"])
    assert [sample.entry.name for sample in manifest.samples] == ["1.png", "2.png"]
    with pytest.raises(DataError, match="is 'b' here and 'a' above"):
        listed(tmp_path, f"path,label\n1.png,a\n2.png,b\n{path},b\n", ["1.png", "2.png"])


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("Usage", ("Training", "PublicTest", "PrivateTest")),
        ("phase", ("train", "val", "test")),
        ("dataset", ("train", "val", "test")),
        ("Split", ("Training", "Validation", "Testing")),
    ],
)
def test_usual_columns_of_splits(tmp_path: Path, column: str, words: tuple[str, ...]) -> None:
    names = [f"{i}.png" for i in range(6)]
    rows = "".join(f"{name},{'ab'[i % 2]},{words[i // 2]}\n" for i, name in enumerate(names))
    manifest = listed(tmp_path, f"path,label,{column}\n{rows}", names)
    assert manifest.given_split == ["train", "train", "val", "val", "test", "test"]


def test_flags_and_columns_that_are_not_used(tmp_path: Path) -> None:
    text = "path,label,is_test,tags,camera\n1.png,a,,x,1\n2.png,b,,y,1\n3.png,a,TRUE,x,2\n"
    manifest = listed(tmp_path, text, ["1.png", "2.png", "3.png"])
    assert manifest.given_split == ["train", "train", "test"]
    assert manifest.remarks[1] == "columns not used: tags, camera"


def test_a_class_that_differs_in_case_has_a_hint(tmp_path: Path) -> None:
    text = "path,label,split\n1.png,Cat,train\n2.png,dog,train\n3.png,cat,test\n"
    with pytest.raises(
        DataError, match=r"'cat' is in test/ but not in train/ \(it differs from 'Cat' only in"
    ):
        listed(tmp_path, text, ["1.png", "2.png", "3.png"])
