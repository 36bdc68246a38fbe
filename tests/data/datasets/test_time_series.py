"""Series from every format, and what is refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from convnet.data import open_data
from convnet.data.files.recordings import MELS
from convnet.errors import DataError
from convnet.types import IGNORED
from tests.conftest import real_data

ARFF = (
    "@relation beats\n@attribute s1 numeric\n@attribute s2 numeric\n@attribute s3 real\n"
    "@attribute kind {low, high}\n@data\n"
)


def arff(root: Path) -> Path:
    path = root / "x.arff"
    path.write_text(ARFF + "1,2,3,low\n4,5.5,6,high\n")
    return path


def ucr(root: Path) -> Path:
    path = root / "x.txt"
    path.write_text("low 1.0 2 3\nhigh,4,5.5,6\n\n")
    return path


def table(root: Path) -> Path:
    path = root / "x.csv"
    path.write_text("kind,a,b,c\nlow,1,2,3\nhigh,4,5.5,6\n".replace("kind", "class"))
    return path


def long_table(root: Path) -> Path:
    path = root / "x.csv"
    rows = [
        ("p", "low", 1),
        ("p", "low", 2),
        ("p", "low", 3),
        ("q", "high", 4),
        ("q", "high", 5.5),
        ("q", "high", 6),
    ]
    path.write_text("series,class,value\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    return path


def npz(root: Path) -> Path:
    path = root / "x.npz"
    np.savez(path, x=np.array([[1, 2, 3], [4, 5.5, 6]]), y=np.array(["low", "high"]))
    return path


@pytest.mark.parametrize("make", [arff, ucr, table, long_table, npz])
def test_every_format_holds_the_same(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    dataset = open_data(str(path), series=path.suffix == ".csv")
    assert dataset.info.modality == "series" and dataset.info.classes == ("high", "low")
    assert dataset.info.shape == (1, 1, 3) and dataset.targets.tolist() == [1, 0]
    assert dataset.images[:, 0, 0].tolist() == [[1, 2, 3], [4, 5.5, 6]]


def test_many_channels_unequal_lengths_and_a_class_per_step(tmp_path: Path) -> None:
    x = np.full((2, 2, 4), np.nan)
    x[0], x[1, :, :2] = 1, 2
    labels = np.array([["a", "a", "b", "b"], ["b", "a", "", ""]])
    np.savez(tmp_path / "s.npz", x=x, y=labels)
    dataset = open_data(str(tmp_path / "s.npz"), annotation="mask")
    assert dataset.info.shape == (2, 1, 4) and dataset.info.classes == ("a", "b")
    assert dataset.targets[:, 0].tolist() == [[0, 0, 1, 1], [1, 0, IGNORED, IGNORED]]
    assert dataset.images[1].isnan().sum() == 4
    (tmp_path / "t.csv").write_text("series,step,u,v,class\np,0,1,2,a\np,1,3,4,b\nq,0,5,6,a\n")
    table = open_data(str(tmp_path / "t.csv"), series=True, annotation="mask")
    assert table.info.shape == (2, 1, 2) and table.targets[:, 0].tolist() == [[0, 1], [0, IGNORED]]


def test_recordings(tmp_path: Path) -> None:
    """Values of −1…1 whatever the depth, a row per channel."""
    for name, samples in {
        "hum/8.wav": np.array([0, 128, 255], np.uint8),
        "hum/16.wav": np.array([-32768, 0, 32767], np.int16),
        "click/32.wav": np.array([-(2**31), 0], np.int32),
        "click/f.wav": np.array([0.5, -0.25, 0.0, 1.0], np.float32),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        wavfile.write(tmp_path / name, 8000, samples)
    dataset = open_data(str(tmp_path), audio="waveform")
    assert dataset.info.classes == ("click", "hum") and dataset.info.shape == (1, 1, 4)
    assert dataset.info.sample_rate == 8000 and dataset.info.noun == "recordings"
    assert dataset.info.locations == ["click/32.wav", "click/f.wav", "hum/16.wav", "hum/8.wav"]
    assert dataset.images[2, 0, 0, :3].tolist() == pytest.approx([-1, 0, 1], abs=1e-4)
    assert dataset.images[3, 0, 0, :3].tolist() == pytest.approx([-1, 0, 1], abs=1e-2)


def test_unreadable_recordings_are_left_out_and_listed(tmp_path: Path) -> None:
    for name in ("hum", "click"):
        for i in range(3):
            write_tone(tmp_path / "sounds" / name / f"{i}.wav", 500, 8000)
    (tmp_path / "sounds" / "hum" / "1.wav").write_bytes(b"RIFF nonsense")
    wavfile.write(tmp_path / "sounds" / "hum" / "2.wav", 8000, np.zeros(0, np.int16))
    write_tone(tmp_path / "sounds" / "elsewhere.wav", 500, 8000)
    info = open_data(str(tmp_path / "sounds")).info
    assert info.locations == ["click/0.wav", "click/1.wav", "click/2.wav", "hum/0.wav"]
    assert [line.partition(": ")[0] for line in info.unreadable] == ["hum/1.wav", "hum/2.wav"]
    assert info.unreadable[1] == "hum/2.wav: is empty"
    assert info.warnings[0].startswith("skipped: 2 unreadable, such as hum/1.wav: not a readable WAV file")
    assert info.warnings[1] == "ignored 1 recording outside of the classes' folders, such as elsewhere.wav"
    whole = (tmp_path / "sounds" / "click" / "0.wav").read_bytes()
    (tmp_path / "sounds" / "click" / "0.wav").write_bytes(whole[:200])
    assert any("click/0.wav" in line for line in open_data(str(tmp_path / "sounds")).info.unreadable)
    piped = whole[:4] + b"\xff" * 4 + whole[8:]
    (tmp_path / "sounds" / "click" / "0.wav").write_bytes(piped)
    assert "click/0.wav" in open_data(str(tmp_path / "sounds")).info.locations
    (tmp_path / "sounds" / "hum" / "0.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"no recording of class 'hum' can be read: hum/0.wav"):
        open_data(str(tmp_path / "sounds"))


@pytest.mark.parametrize("wrap", ["", "sounds/"])
def test_recordings_in_an_archive(tmp_path: Path, wrap: str) -> None:
    with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as archive:
        for i in range(4):
            path = tmp_path / "sounds" / ("low", "high")[i % 2] / f"{i}.wav"
            write_tone(path, 400 + 900 * (i % 2), 8000)
            archive.write(path, wrap + path.relative_to(tmp_path / "sounds").as_posix())
    # The order of the samples is that of the names.
    folder, archived = (open_data(str(tmp_path / name)) for name in ("sounds", "sounds.zip"))
    assert torch.equal(folder.images, archived.images) and torch.equal(folder.targets, archived.targets)
    assert archived.info.classes == ("high", "low") and archived.info.sample_rate == 8000


def test_a_recording_among_images_is_ignored(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            noise = np.random.default_rng([i, ord(name)]).integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{i}.png")
    write_tone(tmp_path / "a" / "noise.wav", 500, 8000)
    info = open_data(str(tmp_path)).info
    assert info.modality == "images" and "ignored 1 other file" in info.warnings


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.arff", ARFF + "1,2,3,low\n1,?,3,high\n", r"x.arff\[1\]: step 2 is NaN; fill the gap"),
        ("x.arff", ARFF + "1,2,low\n", "not a readable ARFF file: .*needs a value for each @attribute"),
        ("x.arff", ARFF.replace("@attribute kind {low, high}\n", "") + "1,2,3\n", "has no nominal attribute"),
        ("x.txt", "low 1 2 NaN 3\n", r"x.txt:1: step 3 is NaN"),
        ("x.txt", "low 1 two 3\n", "x.txt: line 1: 'two' is not a number"),
        ("x.txt", "low\n", "line 1 has no numbers"),
        ("x.txt", "low 1 inf\n", "step 2 is infinite"),
        ("x.txt", "low NaN\n", "is empty"),
        ("x.txt", "low,1,,3\n", "step 2 is NaN"),
        ("x.csv", "class,a,b\n,1,2\n", "has no class"),
        ("x.txt", "\n", "holds no series"),
        ("x.csv", "class,a,b\nlow,1,x\n", "line 2: 'x' is not a number"),
        ("x.npz", "nonsense", "cannot be read"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        open_data(str(path), series=name.endswith(".csv"))


def test_arrays_that_do_not_fit(tmp_path: Path) -> None:
    for arrays, message in (
        ({"x": np.zeros((2, 3))}, "expected arrays x and y, found x"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(3)}, r"x is \(2, 3\)"),
        ({"x": np.zeros((2, 3)), "y": np.zeros((2, 4))}, "y has 4 classes per series, x 3 steps"),
        ({"x": np.array([{}], object), "y": np.zeros(1)}, "cannot be read"),
        ({"x": np.zeros((2, 3)), "y": np.array(1)}, r"x is \(2, 3\)"),
        ({"x": np.zeros((0, 5)), "y": np.zeros(0)}, r"x is \(0, 5\)"),
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(DataError, match=message):
            open_data(str(tmp_path / "a.npz"))


def test_a_folder_is_one_set_in_one_format(tmp_path: Path) -> None:
    for name in ("A_TRAIN.txt", "A_TEST.txt"):
        (tmp_path / name).write_text("low 1 2 3\nhigh 4 5 6\n")
    (tmp_path / "A_TRAIN.csv").write_text("the same series in another format")
    dataset = open_data(str(tmp_path))
    assert dataset.info.given_split == ["train", "train", "test", "test"]
    (tmp_path / "B_TRAIN.txt").write_text("low 1 2 3\n")
    with pytest.raises(DataError, match=r"holds several data sets \(A, B\)"):
        open_data(str(tmp_path))


def test_the_archive_of_the_ecg() -> None:
    """M34: the counts that its source states."""
    real_data("ecg")
    dataset = open_data("ecg200")
    assert dataset.info.shape == (1, 1, 96) and dataset.info.classes == ("-1", "1")
    train = [i for i, name in enumerate(dataset.info.given_split or ()) if name == "train"]
    assert dataset.targets[train].bincount().tolist() == [31, 69]
    big = open_data("ecg5000")
    assert big.targets.bincount().tolist() == [292, 177, 10, 19, 2] and big.info.given_split is None


def write_tone(path: Path, frequency: float, rate: int, seconds: float = 0.5, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)
    wavfile.write(path, rate, np.repeat((tone * 32767).astype(np.int16)[:, None], channels, 1))


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_tone_is_in_its_band(tmp_path: Path, rate: int) -> None:
    """The band of 1,000 Hz is the one that it is in the table of mel bands, at every rate."""
    write_tone(tmp_path / "a" / "1.wav", 1000, rate, channels=2)
    write_tone(tmp_path / "b" / "1.wav", 2500, rate)
    dataset = open_data(str(tmp_path))
    spectrum = dataset.images[0, :, 0].numpy()
    assert spectrum.shape == (MELS, 40)  # half a second, every 12.5 ms
    centers = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 1400), MELS + 2)[1:-1] / 2595) - 1)
    loudest = spectrum[:, 5:-5].argmax(0)
    assert (np.abs(centers[loudest] - 1000) <= np.abs(centers - 1000).min() + 1e-9).all()
    # The window gives a tone the power (A/2)², spread over the bins of its main lobe.
    assert spectrum[:, 20].max() == pytest.approx(np.log(0.25**2 / 4), abs=1.5)
    silent = np.sort(spectrum[:, 20])[: MELS // 2]
    assert (silent < -9).all()


def test_recordings_of_different_rates_and_given_splits(tmp_path: Path) -> None:
    for i in range(6):
        rate = 16000 if i else 44100
        split = "test" if i in (2, 5) else "train"
        write_tone(
            tmp_path / "sounds" / split / ("low", "high")[i % 2] / f"{i}.wav", 400 + 900 * (i % 2), rate
        )
    dataset = open_data(str(tmp_path / "sounds"))
    assert dataset.info.sample_rate == 16000 and dataset.info.classes == ("high", "low")
    assert dataset.info.warnings == ("recordings resampled to 16,000 Hz: 1 from 44,100 Hz",)
    splits = dict(zip(dataset.info.locations, dataset.info.given_split or [], strict=True))
    assert splits["test/low/2.wav"] == "test" and splits["train/high/1.wav"] == "train"
    resampled = dataset.images[list(splits).index("train/low/0.wav")]
    same = dataset.images[list(splits).index("train/low/4.wav")]
    assert float((resampled[:, 0, 5:-5] - same[:, 0, 5:-5]).abs().max()) < 1.5
    slower = open_data(str(tmp_path / "sounds"), sample_rate=8000, audio="waveform")
    assert slower.info.shape == (1, 1, 4000)


def test_form_and_rate_are_for_recordings(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 9)), y=np.array(["a", "b", "a", "b"]))
    for options in ({"audio": "waveform"}, {"sample_rate": 8000}):
        with pytest.raises(DataError, match="apply to recordings"):
            open_data(str(tmp_path / "x.npz"), **options)
