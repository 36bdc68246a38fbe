"""Tables of numbers: what is read, and what is said of what cannot be (M11)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convnet.data import DATASETS, location, open_data
from convnet.data.datasets.csv_table import open_table
from convnet.errors import DataError

GOOD = "id,width,height,class\n1,2.5,3,a\n2,1e1,4,b\n3,0,-5,a\n4,7,1,b\n"


def test_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(GOOD)
    dataset = open_table(path, ignore=["id"])
    assert dataset.info.columns == ("width", "height")
    assert dataset.info.shape == (2, 1, 1)
    assert dataset.info.classes == ("a", "b")
    assert dataset.images.flatten(1).tolist() == [[2.5, 3], [10, 4], [0, -5], [7, 1]]
    assert dataset.targets.tolist() == [0, 1, 0, 1]
    assert location(dataset, 3) == "t.csv:5"
    unasked = open_table(path, label="class").info  # the column that numbers the rows is left out, and said
    assert unasked.columns == ("width", "height")
    assert unasked.warnings[1] == "column 'id' is not used: it numbers the rows; rename it to use it"


def test_semicolons_tabs_and_no_header(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("1\t2\t10\n3\t4\t9\n5\t6\t10\n\n7\t8\t9\n")
    dataset = open_table(path)
    assert dataset.info.columns == ("1", "2")
    assert dataset.info.classes == ("9", "10")
    path.write_text("﻿x;y;class\n1;2;u\n3;4;v\n", encoding="utf-8")
    assert open_table(path).info.columns == ("x", "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("2.5", "wide"), r"t\.csv: line 2, column 'width': 'wide' is not a number"),
        (
            "x;class\n1,5;a\n2.5;b\n3.5;a\n",
            r"line 2, column 'x': '1,5' is not a number \(write 1\.5 with a decimal point\)",
        ),
        (GOOD.replace("1e1", ""), r"t\.csv: line 3, column 'width': the value is missing"),
        (GOOD.replace("1e1", "nan"), "line 3, column 'width': 'nan' is not a number"),
        (GOOD.replace("-5,a", "-5,"), r"t\.csv: line 4, column 'class': the class is missing"),
        (GOOD.replace("7,1,b", "7,1"), r"t\.csv: line 5 has 3 fields, expected 4"),
        (GOOD.replace(",b", ",a"), "holds only one class, 'a'"),
        (GOOD.replace("class", "kind").replace(",a", ",x").replace("1,x", "1,y"), ""),
        ("x,y\n1,2\n3,4\n5,6\n", "holds 3 distinct values in 3 rows"),
        ("", "is empty"),
        ("x,y,class\n", "column names but no rows"),
        ("x,x,class\n1,2,a\n2,3,b\n", "two columns have the name 'x'"),
        ("class\na\nb\n", "no column of numbers in addition to 'class'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    if not message:
        assert open_table(path).info.classes == ("b", "x")
        return
    with pytest.raises(DataError, match=message):
        open_table(path)


def test_a_number_among_the_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,2019,label\n1,5,a\n2,6,b\n")
    assert open_table(path).info.columns == ("x", "2019")


def test_a_table_for_a_run_that_knows_its_columns(tmp_path: Path) -> None:
    """The classes are in whatever column is not among the run's, and there may be one alone."""
    path = tmp_path / "t.csv"
    path.write_text("kind,height,width\na,1,2\na,3,4\n")
    dataset = open_table(path, columns=["width", "height"])
    assert dataset.images.flatten(1).tolist() == [[2, 1], [4, 3]]
    assert dataset.info.classes == ("a",)
    with pytest.raises(DataError, match="needs a class column"):
        open_table(path, columns=["width", "height", "kind"])


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(GOOD)
    with pytest.raises(DataError, match="has no column 'widht'; did you mean 'width'"):
        open_table(path, ignore=["widht"])
    with pytest.raises(DataError, match="has no column 'kind'"):
        open_table(path, label="kind")
    with pytest.raises(DataError, match=r"cannot be read as a table"):
        open_table(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="apply to tables only"):
        open_data("digits", label="class")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    st.binary(max_size=200)
    | st.text(st.sampled_from('01a.,;\n"-e\t'), max_size=80).map(str.encode)
    | st.lists(st.tuples(st.floats(), st.sampled_from("ab")), min_size=4, max_size=9).map(
        lambda rows: "\n".join(["x,class", *(f"{x},{name}" for x, name in rows)]).encode()
    )
)
def test_any_bytes_are_a_table_or_a_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    try:
        dataset = open_table(path)
    except DataError as error:
        assert str(path) in str(error)
        return
    assert len(dataset) == len(dataset.info.locations)
    assert np.isfinite(dataset.images.numpy()).all()


@pytest.mark.parametrize("name", [name for name, s in DATASETS.items() if s.table])
def test_bundled_tables(name: str) -> None:
    dataset, again = open_data(name), open_data(name)
    assert len(dataset) >= 500
    assert dataset.targets.unique().tolist() == list(range(len(dataset.info.classes)))
    assert np.array_equal(dataset.images.numpy(), again.images.numpy())
    assert dataset.info.modality == "table"


def test_the_tumours_are_scikit_learns() -> None:
    dataset = open_data("tumours")
    assert len(dataset) == 569
    assert len(dataset.info.columns) == 30
    assert {"mean area", "mean perimeter", "mean concavity", "mean texture"} <= set(dataset.info.columns)
    assert int((dataset.targets == dataset.info.classes.index("malignant")).sum()) == 212


def test_a_table_whose_only_numbers_count_its_rows_is_no_data(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,label\n1,a\n2,b\n3,a\n4,b\n")
    with pytest.raises(DataError, match="'id' numbers the rows and measures nothing"):
        open_table(path)


@pytest.mark.parametrize(
    "text",
    [
        "PassengerId,label\n892,a\n893,b\n899,a\n895,b\n",
        "sampleNo,label\n4,a\n1,b\n3,a\n2,b\n",
        ",label\n0,a\n1,b\n2,a\n3,b\n",
        "case,label\n5,a\n6,b\n7,a\n8,b\n",
    ],
)
def test_ids_by_other_names(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match="numbers the rows and measures nothing"):
        open_table(path)


def test_numbers_that_are_no_ids(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("humid,paid,label\n5,1,a\n6,2,b\n7,3,a\n8,5,b\n")
    assert open_table(path).info.columns == ("humid", "paid")
    path.write_text("year,label\n" + "".join(f"{1960 + i},{'ab'[i // 20]}\n" for i in range(40)))
    info = open_table(path).info
    assert info.columns == ("year",) and "counts the rows; is it a measurement?" in info.warnings[-1]


def test_splits_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,set,fold,label\n1,train,0,a\n2,test,1,b\n3,train,0,b\n4,unused,1,a\n")
    info = open_table(path).info
    assert (info.columns, info.given_split) == (("x",), ["train", "test", "train"])
    assert info.warnings[1].startswith("column 'fold' is not used")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, ends: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(ends.join(["größe,label", "1.5,ä", "2,b", ""]).encode(encoding))
    info = open_table(path).info
    assert (info.columns, info.classes) == (("größe",), ("b", "ä"))


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("größe,label\n1.5,ä\n2,b\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 1 is not UTF-8; it looks like Windows-1252 .*iconv -f cp1252"):
        open_table(path)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["groesse", "größe"])
def test_the_conversion_that_is_named_works(tmp_path: Path, encoding: str, name: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(f"{name},label\n1.5,a\n2,b\n".encode(encoding))
    with pytest.raises(DataError, match="is not UTF-8; it looks like UTF-") as caught:
        open_table(path)
    code = str(caught.value).partition("iconv -f ")[2].split()[0]
    path.write_bytes(path.read_bytes().decode(code).encode())
    assert open_table(path).info.columns == (name,)
