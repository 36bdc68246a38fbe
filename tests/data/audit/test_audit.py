from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnet.data import Preprocess, list_data, location, make_split, open_data
from convnet.data.audit.audit import Audit, audit
from convnet.data.splits.split import SplitOptions
from tests.conftest import Cli, refused, result_of
from tests.planted import Planted, plant

FOUND_LABELS = 2
"""Of ten labels exchanged among photos that hand-made features hardly tell apart, at least so many."""


@pytest.fixture(scope="module")
def planted(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(flowers, tmp_path_factory.mktemp("planted") / "flowers")


@pytest.fixture(scope="module")
def audited(planted: Planted) -> Audit:
    return audit(list_data(str(planted.root)))


def test_every_planted_fault_is_found_and_little_else(planted: Planted, audited: Audit) -> None:
    found = {kind: {f.path for f in items} for kind, items in audited.by_kind.items()}
    for kind, paths in planted.paths.items():
        if kind != "suspect_label":
            assert paths <= found.get(kind, set()), (kind, paths - found.get(kind, set()))  # type: ignore[call-overload]
    extra = {(kind, path) for kind, paths in found.items() for path in paths - planted.paths.get(kind, set())}
    wrong = {(kind, path) for kind, path in extra if kind != "ignored_file"}
    assert len(wrong) <= 0.05 * len(audited.manifest)
    assert {kind for kind, _ in wrong} <= {"suspect_label"}
    assert len(planted.paths["suspect_label"] & found["suspect_label"]) >= FOUND_LABELS
    assert not planted.plain & {path for kind, path in wrong if kind != "suspect_label"}


def test_a_copy_names_its_original(planted: Planted, audited: Audit) -> None:
    details = {
        f.path: f.detail for kind in ("exact_duplicate", "near_duplicate") for f in audited.by_kind[kind]
    }
    for copy, original in planted.partners.items():
        assert f"of {original} (in train, this one in val)" == details[copy]


def test_flowers_have_plausible_label_errors_among_the_roses(flowers: Path) -> None:
    found = audit(list_data(str(flowers)))
    assert set(found.by_kind) == {"suspect_label", "ignored_file"}
    roses = [f for f in found.by_kind["suspect_label"] if "/roses/" in f.path]
    assert any("8524505546" in f.path for f in roses)  # two handbags with roses on them
    assert len(found.by_kind["suspect_label"]) <= 25


def test_training_on_the_planted_folder_leaves_out_what_is_bad(
    planted: Planted, call: Cli, tmp_path: Path
) -> None:
    done = result_of(
        call(
            "train", planted.root, "--epochs", 1, "--set", "preprocess.image_size=32", "--out", "r", "--json"
        )
    )
    data = json.loads((tmp_path / "r" / "data.json").read_text())
    bad = planted.paths["truncated"] | planted.paths["not_an_image"]
    assert {line.partition(": ")[0] for line in data["unreadable"]} >= bad
    assert set(data["excluded"]) == planted.paths["blank"]
    dataset = open_data(str(planted.root), Preprocess(image_size=32))
    split = make_split(dataset, SplitOptions())
    assert dataset.info.duplicates is not None
    sides = [set(dataset.info.duplicates[split[name]].tolist()) for name in ("train", "val")]
    assert not sides[0] & sides[1]
    used = {location(dataset, i) for i in split.train.tolist()}
    assert not used & (bad | planted.paths["blank"] | set(planted.partners.values()))
    assert done["val"]["samples"] == 140
    reported = json.loads((tmp_path / "r" / "audit.json").read_text())
    kinds = Counter(finding["kind"] for finding in reported["findings"])
    assert (kinds["truncated"], kinds["exact_duplicate"], kinds["near_duplicate"]) == (30, 20, 20)


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "odd" / name).mkdir(parents=True)
        for i in range(6):
            pixels = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(
                tmp_path / "odd" / name / f"{i}.png"
            )
    folder = tmp_path / "odd" / "a"
    first = Image.open(folder / "0.png")
    first.resize((6, 6)).save(folder / "tiny.png")
    first.resize((600, 40)).save(folder / "wide.png")
    first.convert("CMYK").save(folder / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(folder / "1.png").transpose(Image.Transpose.ROTATE_90).save(
        folder / "turned.jpg", exif=exif, quality=95
    )
    first.save(tmp_path / "odd" / "b" / "same.png")
    (tmp_path / "odd" / "c").mkdir()
    Image.open(folder / "2.png").save(tmp_path / "odd" / "c" / "only.bmp")
    return tmp_path / "odd"


def test_every_other_kind_is_found(odd_folder: Path) -> None:
    found = audit(list_data(str(odd_folder)), check_labels=False)
    kinds = {(f.kind, f.path) for f in found.findings}
    assert kinds >= {
        ("tiny", "a/tiny.png"),
        ("extreme_aspect", "a/wide.png"),
        ("odd_mode", "a/cmyk.jpg"),
        ("exif_rotated", "a/turned.jpg"),
        ("exact_duplicate", "b/same.png"),
        ("conflicting_label", "b/same.png"),
        ("exact_duplicate", "c/only.bmp"),
        ("near_duplicate", "a/turned.jpg"),
        ("single_image_class", "c"),
    }
    (conflict,) = [f for f in found.findings if f.path == "b/same.png" and f.kind == "conflicting_label"]
    assert "a/0.png" in conflict.detail


def test_audit_on_the_command_line(odd_folder: Path, call: Cli, tmp_path: Path) -> None:
    done = result_of(call("data", "audit", odd_folder, "--json", "--no-labels"))
    assert set(done) == {"files", "images", "classes", "findings"}
    assert done["classes"] == {"a": 10, "b": 7, "c": 1}
    assert set(done["findings"][0]) == {"kind", "path", "detail"}
    shown = call("data", "audit", odd_folder, "--html", "page.html", "--strict")
    assert shown.returncode == 1
    assert "extreme aspect (1)" in shown.stdout
    page = (tmp_path / "page.html").read_text()
    assert "a/wide.png" in page and "data:image/jpeg" in page and "http" not in page.replace("http-equiv", "")
    assert call("data", "audit", "digits", "--no-labels").returncode == 0
    assert "holds no images with classes" in refused(call("data", "audit", "tumours"))
