from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convnet.data import ImageDataset, Preprocess, location, open_data
from convnet.data.files import cache as packs
from convnet.data.files.cache import DecodedCache, NoSpaceError, open_cache
from convnet.reports.grids import pictures
from tests.conftest import Cli, refused

SHAPE = (6, 4, 5, 3)
KILLED = """
import os, signal
from convnet.data.files.cache import DecodedCache
put, stored = DecodedCache.put, []
def last(cache, place, pixels):
    put(cache, place, pixels)
    stored.append(place)
    if len(stored) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
DecodedCache.put = last
from convnet.cli.app import main
main()
"""
"""The command line, killed after it has stored twenty images."""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Two classes of sixty noisy pictures."""
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "many" / name).mkdir(parents=True)
        for i in range(60):
            pixels = generator.integers(0, 256, (120, 160, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "many" / name / f"{i}.jpg")
    return tmp_path / "many"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "convnet" / "packs"


Say = Callable[[str], object]


def opened(folder: Path, files: Sequence[int] = range(1, 7), say: Say = print) -> DecodedCache:
    shape = (len(files), *SHAPE[1:])
    return open_cache(folder, "x", {"size": 4}, np.array(files, np.uint64), shape, say)


def the_pack(cache: Path) -> Iterator[tuple[str, bytes]]:
    (folder,) = cache.iterdir()
    for name in ("pixels", "state", "sums", "pack.json"):
        yield name, (folder / name).read_bytes()


def test_what_is_put_is_there_the_next_time(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    first = opened(tmp_path)
    for place in (0, 4):
        first.put(place, pixels[place])
    again = opened(tmp_path)
    assert again.state.tolist() == [1, 0, 0, 0, 1, 0]
    assert (again.read(np.array([4, 0, 4])) == pixels[[4, 0, 4]]).all()
    assert (again.rows[4, 1:3, 2:] == pixels[4, 1:3, 2:]).all()


def test_a_damaged_pack_is_made_anew_and_an_outdated_one_removed(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.put(2, np.full(SHAPE[1:], 7, np.uint8))
    content = bytearray((first.folder / "pixels").read_bytes())
    content[2 * 60 + 5] ^= 1
    (first.folder / "pixels").write_bytes(content)
    said: list[str] = []
    again = opened(tmp_path, say=said.append)
    assert not again.state.any() and "damaged" in said[0]
    other = opened(tmp_path, range(11, 17))
    assert list(tmp_path.iterdir()) == [other.folder] and not other.state.any()


def test_images_of_unchanged_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are added, removed and changed; damaged images and those of other sizes are not kept."""
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    first = opened(tmp_path)
    for place in (0, 1, 4, 5):
        first.put(place, pixels[place])
    first.sums[1] ^= 1
    monkeypatch.setattr(packs, "CHECKED", 1)  # the damage is found when the image is copied
    changed = opened(tmp_path, [9, 1, 2, 8, 5, 4, 3])
    assert changed.state.tolist() == [0, 1, 0, 0, 1, 0, 0]
    assert (changed.read(np.array([1, 4])) == pixels[[0, 4]]).all()
    assert list(tmp_path.iterdir()) == [changed.folder]
    (changed.folder / "files").unlink()  # as in caches of earlier versions
    assert not opened(tmp_path, [1, 5]).state.any()
    space = [False, True]
    opened(tmp_path, [1, 5]).put(0, pixels[0])
    monkeypatch.setattr(packs, "_has_space", lambda folder, shape: space.pop(0))
    assert not opened(tmp_path, [1, 6]).state.any()


def test_an_interrupted_copy_of_unchanged_images_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(tmp_path)
    for place in range(6):
        first.put(place, np.full(SHAPE[1:], place, np.uint8))
    put = DecodedCache.put

    def interrupted(cache: DecodedCache, place: int, pixels: np.ndarray) -> None:
        if place == 3:
            raise KeyboardInterrupt
        put(cache, place, pixels)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DecodedCache, "put", interrupted)
        opened(tmp_path, [9, 2, 3, 4, 5, 6])
    assert list(tmp_path.iterdir()) == [first.folder]
    assert opened(tmp_path, [9, 2, 3, 4, 5, 6]).state.tolist() == [0, 1, 1, 1, 1, 1]


def test_an_image_is_decoded_again_only_if_it_changed(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_data(str(many)).read(torch.arange(120))
    file = many / "a" / "7.jpg"
    Image.open(file).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file, quality=50)
    (many / "a" / "00.jpg").write_bytes((many / "b" / "0.jpg").read_bytes())
    dataset = open_data(str(many))
    assert isinstance(dataset, ImageDataset) and dataset.files.pack is not None
    assert int((dataset.files.pack.state == 1).sum()) == 119
    fresh = open_data(str(many), Preprocess(background="black"))
    assert torch.equal(dataset.read(torch.arange(121)).images, fresh.read(torch.arange(121)).images)


def test_a_pack_that_does_not_fit_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVNET_PACK_LIMIT_GB", "0.0000001")
    with pytest.raises(NoSpaceError, match="CONVNET_PACK_LIMIT_GB"):
        opened(tmp_path)
    monkeypatch.delenv("CONVNET_PACK_LIMIT_GB")
    monkeypatch.setattr(packs, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(NoSpaceError, match="does not fit"):
        opened(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_room_images_are_decoded_anew_and_are_the_same(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = torch.tensor([3, 119, 3])
    packed = open_data(str(many), Preprocess(image_size=32))
    monkeypatch.setattr(packs, "RESERVE_BYTES", 1 << 60)
    monkeypatch.setenv("XDG_CACHE_HOME", str(many.parent / "full"))
    streamed = open_data(str(many), Preprocess(image_size=32))
    assert torch.equal(packed.read(places).images, streamed.read(places).images)
    assert "decoded again in every epoch" in streamed.info.warnings[-1]


def test_a_file_that_vanishes_is_left_out_of_its_batch(many: Path) -> None:
    dataset = open_data(str(many), Preprocess(image_size=16))
    assert isinstance(dataset, ImageDataset)
    (many / location(dataset, 5)).unlink()
    batch = dataset.read(torch.tensor([4, 5, 6]))
    assert batch.indices.tolist() == [4, 6]
    assert len(batch.images) == len(batch.targets) == 2
    assert list(dataset.files.problems) == [5]


def test_an_archive_that_was_replaced_is_scanned_again(many: Path) -> None:
    path = Path(shutil.make_archive(str(many), "zip", many))
    sound = path.read_bytes()
    assert len(open_data(str(path), Preprocess(image_size=16))) == 120
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("a/7.jpg").header_offset
    path.write_bytes(sound[: place + 200] + bytes(50) + sound[place + 250 :])
    damaged = open_data(str(path), Preprocess(image_size=16))
    assert len(damaged) == 119 and "7.jpg" in damaged.info.unreadable[0]
    path.write_bytes(sound)
    assert len(open_data(str(path), Preprocess(image_size=16))) == 120


def test_pictures_of_files_that_vanished_are_blank(many: Path) -> None:
    dataset = open_data(str(many), Preprocess(image_size=16))
    (many / location(dataset, 5)).unlink()
    shown = pictures(dataset, [4, 5, 6, 4])
    assert (shown[1] == 255).all() and (shown[0] == shown[3]).all() and not (shown[2] == 255).all()


def test_a_killed_packing_goes_on_and_ends_with_the_same_pack(many: Path, cache: Path, cli: Cli) -> None:
    assert cli("data", "pack", many, "--size", 96).returncode == 0
    whole = dict(the_pack(cache))
    for folder in cache.iterdir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    killed = subprocess.run([sys.executable, "-c", KILLED, "data", "pack", many, "--size", "96"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert np.frombuffer(dict(the_pack(cache))["state"], np.uint8).sum() == 20
    assert cli("data", "pack", many, "--size", 96).returncode == 0
    assert dict(the_pack(cache)) == whole


def test_two_processes_make_one_pack(many: Path, cache: Path) -> None:
    command = [sys.executable, "-m", "convnet", "data", "pack", str(many), "--size", "64"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert np.frombuffer(dict(the_pack(cache))["state"], np.uint8).all()


def test_a_pack_that_is_not_allowed_is_one_message(many: Path, call: Cli) -> None:
    message = refused(call("data", "pack", many, CONVNET_PACK_LIMIT_GB="0"))
    assert message.count("\n") <= 2 and "exceeds CONVNET_PACK_LIMIT_GB=0" in message
    assert "not a number" in refused(call("data", "pack", many, CONVNET_PACK_LIMIT_GB="many"))


def test_a_disk_that_fills_up_leaves_nothing_behind(
    many: Path, call: Cli, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    message = refused(call("data", "pack", many))
    assert message.count("\n") <= 2 and "does not fit" in message and "No space left on device" in message
    assert not list(cache.iterdir())
    dataset = open_data(str(many), Preprocess(image_size=16))
    assert len(dataset.read(torch.arange(4))) == 4


def test_the_scan_caches_what_it_decodes_whole(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    draws = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            pixels = draws.integers(0, 256, (90, 70, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels[:, :, :3]).save(folder / "a" / "turned.png", exif=turned)
    Image.fromarray(pixels[:, :, 0]).save(folder / "a" / "gray.png")
    Image.fromarray(draws.integers(0, 256, (400, 300, 3), dtype=np.uint8)).save(folder / "b" / "large.jpg")
    dataset = open_data(str(folder), Preprocess(image_size=32))
    assert isinstance(dataset, ImageDataset) and dataset.files.pack is not None
    names = dataset.info.locations
    missing = {names[i] for i in range(len(dataset)) if not dataset.files.pack.state[dataset.rows[i]]}
    assert missing == {"a/gray.png", "b/large.jpg"}, "gray is converted, the JPEG was decoded at an eighth"
    monkeypatch.setenv("CONVNET_PACK_LIMIT_GB", "0")
    streamed = open_data(str(folder), Preprocess(image_size=32))
    everything = torch.arange(len(dataset))
    assert torch.equal(dataset.read(everything).images, streamed.read(everything).images)


def test_a_cache_of_the_wrong_expected_size_is_removed(tmp_path: Path, cache: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            side = 90 if (name, i) == ("b", 18) else 60
            pixels = np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i:02}.png")
    dataset = open_data(str(tmp_path / "photos"), Preprocess())
    assert dataset.info.shape == (3, 128, 128)
    assert len(list(cache.iterdir())) == 1
