"""The ways out that messages name are tried: the refused call, changed as the message says, works."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image

import convnet
from convnet.cli.app import app
from convnet.recipes import Recipe
from tests.fuzz import calls, data_files
from tests.fuzz.attempts import call

SOURCE = Path(convnet.__file__).parent
QUICK = ("--epochs", "1", "--out", "new")
SMALL = ("--set", "model.width=2", "--set", "model.depth=1", *QUICK)
LINEAR = ("--model", "linear", *QUICK)

CASES: list[tuple[tuple[str, ...], str, tuple[str, ...]]] = [
    (("train", "rgb", "--model", "alexnet", *QUICK), "--set preprocess.image_size=67", ()),
    (("summary", "alexnet", "--input", "3x32x32"), "--input CHANNELSx67x67", ("--input", "3x67x67")),
    (("train", "waves.npz", "--model", "small-convnet", *QUICK), "--model temporal", ()),
    (("train", "numbers.csv", "--model", "lenet5", *QUICK), "--model mlp", ()),
    (("train", "digits", "--model", "knn", "--epochs", "5", "--out", "new"), "epochs=0", ("--epochs", "0")),
    (("train", "waves.npz", "--task", "denoise", *SMALL), "--task classification", ()),
    (("train", "digits", "--set", "loss=dice", *LINEAR), "cross-entropy", ("--set", "loss=cross-entropy")),
    (("train", "digits", "--model", "knn", "--set", "model.k=5000", "--out", "new"), "--set model.k=1", ()),
    (("train", "tags.csv", *LINEAR), "--task multi-label", ()),
    (("plane", "--warp", "--set", "model.hidden=[3]", "--epochs", "1"), "--set 'model.hidden=[2]'", ()),
    (
        ("train", "digits", "--model", "hog(cell_size=16) -> linear", *QUICK),
        "hog(cell_size=4)",
        ("--model", "hog(cell_size=4) -> linear"),
    ),
    (("train", "void", *SMALL), "--set data.ignore_index=255", ()),
    (("train", "soft", *SMALL), "--set data.threshold=", ("--set", "data.threshold=128")),
    (("train", "rgb", "--weights", "gray", "--model", "lenet5", "--image-size", "32", *QUICK),
     "--set preprocess.channels=1", ()),
    (("train", "digits", "--device", "cuda", *LINEAR), "--device cpu", ()),
    (("train", "numbers.csv", "--label", "lable", *LINEAR), "label", ("--label", "label")),
    (("train", "rgb", "--set", "loss=hinge", "--balance", "weights", *LINEAR), "cross-entropy",
     ("--set", "loss=cross-entropy")),
    (("train", "void", "--set", "data.ignore_index=255", "--balance", "sampler", *SMALL),
     "loss.class_weights", ("--balance", "none", "--set", "loss.class_weights=[1,2]")),
    (("resume", "done", "--epochs", "3"), "--weights done",
     ("train", "digits", "--model", "linear", "--weights", "done", *QUICK)),
    (("train", "digits", "--model", "linear", "--out", "done"), "choose another folder with --out",
     ("--out", "new", "--epochs", "1")),
    (("train", "rgb", "--model", "linear", "--epochs", "1", "--out", "rgb/run"),
     "choose another folder with --out", ("--out", "new")),
    (("compare", "digits", "--model", "linear", "--vary", "seed=0,1", "--seeds", "2", *QUICK),
     "use one of them", ("--seeds", "1")),
]  # fmt: skip
"""The refused call, a way out in its message, and the words it stands for if they differ."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of several kinds, and finished runs."""
    root = tmp_path_factory.mktemp("advice")
    data_files.numbers(root)
    (root / "data.csv").rename(root / "numbers.csv")
    data_files.series_arrays(root)
    (root / "data.npz").rename(root / "waves.npz")
    rng = np.random.default_rng(0)
    edges = np.clip(np.add.outer(np.arange(8), np.arange(8)) * 16, 0, 255).astype(np.uint8)
    void = np.zeros((8, 8), np.uint8)
    void[0], void[2:6] = 255, 1
    for i in range(12):
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        for path, content in {
            f"rgb/{'ab'[i % 2]}/{i}.png": pixels,
            f"void/images/{i}.png": pixels[:8, :8],
            f"void/masks/{i}.png": void,
            f"soft/images/{i}.png": pixels[:8, :8],
            f"soft/masks/{i}.png": edges,
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(root / path)
    tags = [f"rgb/{'ab'[i % 2]}/{i}.png,{'a|b' if i % 3 else 'a'}" for i in range(12)]
    (root / "tags.csv").write_text("\n".join(["path,labels", *tags, ""]))
    convnet.train("digits", model="linear", epochs=1, out=root / "done")
    convnet.train("digits", model="lenet5", preprocess={"image_size": 32}, epochs=1, out=root / "gray")
    return root


@pytest.mark.parametrize("refused, way_out, words", CASES, ids=[" ".join(case[0][:6]) for case in CASES])
def test_the_way_out_works(
    sound: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: tuple[str, ...],
    way_out: str,
    words: tuple[str, ...],
) -> None:
    shutil.copytree(sound, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = call(refused)
    said = " ".join(found.text.split())
    assert found.status == 2 and way_out in said, said
    added = words or tuple(re.sub("['\"]", "", way_out).split())
    changed = call(added if added[0] == "train" else (*refused, *added))
    assert changed.status == 0, changed.text


def texts() -> Iterator[str]:
    """All strings in the source that are not docstrings."""
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                yield node.value


def fields(section: object = Recipe, prefix: str = "") -> Iterator[str]:
    """The dotted names of the fields of a recipe."""
    for name, field in section.model_fields.items():  # type: ignore[attr-defined]
        yield prefix + name
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for kind in kinds:
            if hasattr(kind, "model_fields"):
                yield from fields(kind, f"{prefix}{name}.")


def test_options_and_fields_in_messages_exist() -> None:
    commands = dict(calls.commands(typer.main.get_command(app))).values()
    options = {name for command in commands for option in command.params for name in option.opts}
    options |= {name for command in commands for option in command.params for name in option.secondary_opts}
    known = {*options, "--quiet", "--verbose", "--version", "--help"}
    named = {option for text in texts() for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)}
    assert named and named <= known, named - known
    some = {field for text in texts() for field in re.findall(r"--set \'?([a-z_]+(?:\.[a-z_]+)?)=", text)}
    free = {
        field
        for field in some
        if field.partition(".")[0] in ("model", "optimizer", "schedule", "loss", "task")
    }
    assert some - free <= set(fields()), some - free - set(fields())
