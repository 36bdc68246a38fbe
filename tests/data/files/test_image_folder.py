from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from convnet.data import Preprocess, all_images, list_data, location, open_data
from convnet.data.images.read import read_image_file
from convnet.data.images.resize import Resizing, resize
from convnet.errors import DataError, RecipeError
from convnet.registry import validate
from convnet.types import ImageShape


def read_image(path: Path, size: tuple[int, int], channels: int, resize: str) -> np.ndarray:
    preprocess = Preprocess(resize=resize)  # type: ignore[arg-type]
    return read_image_file(path, ImageShape(channels, *size), preprocess)


def test_pictures_of_six_formats_become_one_tensor(picture_folder: Path) -> None:
    dataset = open_data(str(picture_folder), Preprocess(image_size=16))
    assert tuple(dataset.info.shape) == (3, 16, 16)
    assert dataset.info.classes == ("blue", "red")
    assert dataset.targets.tolist() == [0] * 12 + [1] * 12
    mean = all_images(dataset).float().mean((2, 3))
    assert (mean[:12, 2] > mean[:12, 0]).all()
    assert (mean[12:, 0] > mean[12:, 2]).all()
    assert (picture_folder / location(dataset, 0)).is_file()


def test_split_folders_are_followed(picture_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for split in ("train", "val"):
        shutil.copytree(picture_folder, root / split)
    dataset = open_data(str(root), Preprocess(image_size=8))
    assert sorted(set(dataset.info.given_split or [])) == ["train", "val"]
    (root / "val" / "green").mkdir()
    shutil.copy(picture_folder / "red" / "0.jpg", root / "val" / "green")
    with pytest.raises(DataError, match="'green' is in val/ but not in train/"):
        open_data(str(root))


def test_what_is_wrong_with_a_folder_is_named(picture_folder: Path, tmp_path: Path) -> None:
    def message(folder: Path) -> str:
        with pytest.raises(DataError) as caught:
            open_data(str(folder), Preprocess(image_size=8))
        return str(caught.value)

    (tmp_path / "void").mkdir()
    assert "no class folders" in message(tmp_path / "void")
    assert "no such folder" in message(tmp_path / "nowhere")
    (picture_folder / "green").mkdir()
    (picture_folder / "red" / "text.jpg").write_text("hello")
    dataset = open_data(str(picture_folder), Preprocess(image_size=8))
    assert (len(dataset), dataset.info.classes) == (24, ("blue", "red"))
    assert dataset.info.unreadable == ("red/text.jpg: not in a known image format",)
    assert any("no images in green" in note for note in dataset.info.warnings)
    (picture_folder / "green" / "text.jpg").write_text("hello")
    assert "no image of class 'green' can be read: green/text.jpg" in message(picture_folder)
    shutil.rmtree(picture_folder / "green")
    shutil.rmtree(picture_folder / "red")
    assert "only one class" in message(picture_folder)


def test_split_folders_among_others_are_refused(picture_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("train", "val", "preview"):
        shutil.copytree(picture_folder, root / name)
    with pytest.raises(DataError, match="found preview, train, val"):
        open_data(str(root))
    shutil.rmtree(root / "preview")
    shutil.rmtree(root / "train")
    with pytest.raises(DataError, match="expected train/"):
        open_data(str(root))


def test_one_colour_picture_makes_the_set_color(tmp_path: Path) -> None:
    for name, mode in (("a", "L"), ("b", "L")):
        (tmp_path / name).mkdir()
        for i in range(60):
            Image.new(mode, (8, 8), 90).save(tmp_path / name / f"{i}.png")
    assert open_data(str(tmp_path)).info.shape.channels == 1
    Image.new("RGB", (8, 8), "red").save(tmp_path / "b" / "z.png")
    assert open_data(str(tmp_path)).info.shape.channels == 3


def test_damaged_metadata_does_not_make_a_picture_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "x.png")

    def fail(_image: object) -> None:
        raise TypeError("required argument is not an integer")

    monkeypatch.setattr("PIL.Image.Image.getexif", fail)
    assert read_image(tmp_path / "x.png", (8, 8), 3, "crop")[0].min() > 200


def test_a_very_wide_picture_is_cropped_before_it_is_resized(tmp_path: Path) -> None:
    Image.new("RGB", (50_000, 1), "red").save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", (64, 64), 3, "crop")[0].min() > 200


def test_hidden_files_and_folders_do_not_count(picture_folder: Path) -> None:
    (picture_folder / ".cache").mkdir()
    shutil.copy(picture_folder / "red" / "0.jpg", picture_folder / "red" / "._0.jpg")
    assert len(open_data(str(picture_folder), Preprocess(image_size=8))) == 24


@pytest.mark.parametrize(
    ("policy", "corner", "centre"),
    [
        ("stretch", (255, 0, 0), (0, 0, 255)),
        ("letterbox", (0, 0, 0), (0, 0, 255)),
        ("crop", (0, 0, 255), (0, 0, 255)),
    ],
)
def test_resize_policies(tmp_path: Path, policy: str, corner: tuple[int], centre: tuple[int]) -> None:
    pixels = np.zeros((30, 90, 3), np.uint8)
    pixels[:, :30] = pixels[:, 60:] = (255, 0, 0)
    pixels[:, 30:60] = (0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    found = read_image(tmp_path / "x.png", (30, 30), 3, policy)  # type: ignore[arg-type]
    assert tuple(found[:, 0, 0]) == corner
    assert tuple(found[:, 15, 15]) == centre


def test_orientation_transparency_and_depth(tmp_path: Path) -> None:
    wide = Image.new("RGB", (20, 10), "red")
    exif = wide.getexif()
    exif[0x0112] = 6  # turned by a quarter
    wide.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg", (20, 10), 3, "crop")[0].min() > 200
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png", (8, 8), 3, "crop") == 255).all()
    Image.fromarray(np.full((8, 8), 0x8080, np.uint16)).save(tmp_path / "deep.png")
    assert (read_image(tmp_path / "deep.png", (8, 8), 1, "crop") == 0x80).all()


def test_every_odd_image_decodes_or_is_named(odd_images: Path) -> None:
    paths = sorted(odd_images.iterdir())
    assert paths
    for path in paths:
        try:
            assert read_image(path, (32, 32), 3, "letterbox").shape == (3, 32, 32)
        except DataError as error:
            assert str(path) in str(error)
    assert read_image(odd_images / "exif_Landscape_6.jpg", (64, 96), 3, "crop").shape == (3, 64, 96)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tiff"])
def test_damaged_pictures_decode_or_are_named(tmp_path: Path, suffix: str) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / f"x.{suffix}"
    picture = Image.fromarray(generator.integers(0, 256, (24, 30, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(path, **({"exif": exif} if suffix in ("jpg", "png", "webp", "tiff") else {}))
    whole, decoded = path.read_bytes(), 0
    for _ in range(150):
        keep = len(whole) if generator.random() < 0.5 else generator.integers(1, len(whole) + 1)
        damaged = bytearray(whole[:keep])
        for place in generator.integers(0, len(damaged), generator.integers(0, 6)):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(damaged)
        try:
            assert read_image(path, (8, 8), 3, "crop").shape == (3, 8, 8)
            decoded += 1
        except DataError as error:
            assert str(path) in str(error)
    assert 0 < decoded < 150


@settings(max_examples=200)
@given(
    *[st.integers(1, 700)] * 2, *[st.integers(1, 300)] * 2, st.sampled_from(["stretch", "letterbox", "crop"])
)
def test_every_size_becomes_every_size(
    width: int, height: int, to_width: int, to_height: int, policy: str
) -> None:
    fitted = resize(np.full((height, width, 1), 9, np.uint8), (to_height, to_width), Resizing(policy))  # type: ignore[arg-type]
    assert fitted.shape == (to_height, to_width, 1)


def painted(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(root / name)
    return root


@pytest.mark.parametrize("name", ["train", "test", "Val"])
def test_a_class_may_have_the_name_of_a_split(tmp_path: Path, name: str) -> None:
    manifest = list_data(str(painted(tmp_path, "bus/1.png", f"{name}/1.png", "car/1.png")))
    assert manifest.classes == tuple(sorted(("bus", "car", name)))
    assert manifest.given_split is None


def test_an_accent_is_the_same_however_it_is_typed(tmp_path: Path) -> None:
    names = ["train/\u00c4pfel/1.png", "train/b/1.png", "val/A\u0308pfel/1.png", "val/b/1.png"]
    assert list_data(str(painted(tmp_path, *names))).classes == ("b", "\u00c4pfel")


def test_classes_that_differ_in_case_are_pointed_out(tmp_path: Path) -> None:
    manifest = list_data(str(painted(tmp_path, "Cat/1.png", "cat/1.png")))
    assert manifest.classes == ("Cat", "cat")
    assert manifest.remarks == (
        "classes 'Cat' and 'cat' differ only in case; rename one if they are the same",
    )


def test_an_archive_with_backslashes(tmp_path: Path) -> None:
    painted(tmp_path, "a/1.png", "b/1.png")
    with zipfile.ZipFile(tmp_path / "windows.zip", "w") as archive:
        for name in ("a/1.png", "b/1.png"):
            member = zipfile.ZipInfo("x")
            member.filename = name.replace("/", "\\")
            archive.writestr(member, (tmp_path / name).read_bytes())
    dataset = open_data(str(tmp_path / "windows.zip"))
    assert dataset.info.locations == ["a/1.png", "b/1.png"]
    assert dataset.info.unreadable == ()


def test_center_crops_of_a_part_of_the_image() -> None:
    """`crop_pct` is timm's: 7/8 of the shorter side, resized to the whole size."""
    pixels = np.zeros((64, 96, 1), np.uint8)
    pixels[4:60, 20:76] = 200  # the center crop of 56 pixels
    fitted = resize(pixels, (28, 28), Resizing("crop", 56 / 64, "bicubic"))
    assert (fitted == 200).all()
    assert Resizing("crop", 0.875).needed((224, 224)) == (256, 256)
    whole = resize(pixels, (64, 96), Resizing("crop", 0.5))
    assert whole.shape == (64, 96, 1) and (whole == 200).mean() > 0.9
    with pytest.raises(RecipeError, match=r"crop_pct=0.8 does not apply: preprocess.resize is stretch"):
        validate(Preprocess, {"resize": "stretch", "crop_pct": 0.8}, "preprocess")
