from __future__ import annotations

import io
import tarfile
from pathlib import Path

import fsspec
import fsspec.implementations.local
import numpy as np
import pytest
from PIL import Image

from convnet.data import Preprocess, list_data, location, open_data, read_sample
from convnet.errors import DataError

Members = dict[str, bytes]


def shard(path: Path, members: Members) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def png(value: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (8, 8), value).save(content, "BMP")  # of one size, whatever it shows
    return content.getvalue()


def two(first: int, second: int) -> Members:
    return {"0.bmp": png(first), "0.cls": b"a", "1.bmp": png(second), "1.cls": b"b"}


def values(address: str) -> dict[str, int]:
    dataset = open_data(address, Preprocess(image_size=8))
    return {
        location(dataset, i): int(read_sample(dataset, i).images[0, 0, 0, 0]) for i in range(len(dataset))
    }


def test_shards_of_one_name_in_folders_of_splits(tmp_path: Path) -> None:
    shard(tmp_path / "train" / "000.tar", two(10, 20))
    shard(tmp_path / "val" / "000.tar", two(30, 40))
    address = f"{tmp_path}/{{train,val}}/000.tar"
    assert values(address) == {
        "train/000.tar/0.bmp": 10, "train/000.tar/1.bmp": 20, "val/000.tar/0.bmp": 30, "val/000.tar/1.bmp": 40
    }  # fmt: skip
    assert list_data(address).given_split == ["train", "train", "val", "val"]


def test_a_shard_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", two(10, 20))
    assert list(values(str(path)).values()) == [10, 20]
    shard(path, two(70, 80))
    assert list(values(str(path)).values()) == [70, 80]


def test_of_several_pictures_of_a_sample_one_is_its_image(tmp_path: Path) -> None:
    members = {"0.seg.png": b"mask"} | two(10, 20)
    listed = list_data(str(shard(tmp_path / "x.tar", members)))
    assert [sample.entry.name for sample in listed.samples] == ["x.tar/0.bmp", "x.tar/1.bmp"]
    assert [ignored.name for ignored in listed.ignored] == ["x.tar/0.seg.png"]


def test_a_folder_of_shards_at_an_address(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    path = shard(tmp_path / "a.tar", two(10, 20))
    memory.pipe("/somewhere/a.tar", path.read_bytes())
    assert list(values("memory://somewhere").values()) == [10, 20]
    with pytest.raises(DataError, match="no such shard"):
        list_data("memory://nowhere")


def test_an_archive_beside_class_folders_is_none_of_the_data(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), ord(name), np.uint8)).save(tmp_path / name / "1.png")
    shard(tmp_path / "backup.tar", two(1, 2))
    assert list_data(str(tmp_path)).classes == ("a", "b")


def test_class_names_that_are_no_text_are_named(tmp_path: Path) -> None:
    path = shard(tmp_path / "a.tar", two(10, 20))
    (tmp_path / "classes.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"classes\.txt: cannot be read"):
        list_data(str(path))


def test_a_server_of_whole_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = shard(tmp_path / "a.tar", two(10, 20))
    whole = path.read_bytes()
    monkeypatch.setattr(fsspec.implementations.local.LocalFileSystem, "cat_file", lambda *_, **__: whole)
    with pytest.raises(DataError, match="must support range requests"):
        open_data(str(path), Preprocess(image_size=8))


def test_members_with_dots_are_named(tmp_path: Path) -> None:
    members = {
        name.replace("0.", "photo.v1."): content for name, content in two(10, 20).items() if name[0] == "0"
    }
    with pytest.raises(DataError, match=r"the suffix of 'photo\.v1\.bmp' is 'v1\.bmp', .* to photo_v1\.bmp"):
        list_data(str(shard(tmp_path / "x.tar", members)))
    members = {
        name.replace("0.", "2021.01.05."): content for name, content in two(10, 20).items() if name[0] == "0"
    }
    with pytest.raises(DataError, match=r"rename it, for example to 2021_01_05\.bmp"):
        list_data(str(shard(tmp_path / "y.tar", members)))
