"""Call every command with odd values of its options and arguments."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

import convnet
from convnet.cli.app import app
from tests.fuzz.attempts import call
from tests.fuzz.data_files import listed_pictures, numbers, pictures

FAST = ("--model", "linear", "--epochs", "1")
SOUND: dict[str, tuple[str, ...]] = {
    "train": ("data", *FAST),
    "compare": ("data", "--vary", "seed=0,1", *FAST),
    "baselines": ("data", "--minutes", "0.05"),
    "resume": ("run",),
    "evaluate": ("run", "data"),
    "export": ("run", "--out", "bundle"),
    "predict": ("run", "data/a/0.png"),
    "report": ("run",),
    "review": ("run",),
    "explain": ("run", "data/a/0.png"),
    "dream": ("data/a/0.png", "--size", "32"),
    "lr-find": ("data", *FAST),
    "runs": (".",),
    "features": ("run",),
    "retrieve": ("run", "data/a/0.png"),
    "plane": ("--epochs", "1"),
    "summary": ("lenet5",),
    "filter": ("data/a/0.png", "--kernel", "box"),
    "arithmetic": ("--input", "7", "--kernel", "3"),
    "draw activations": (),
    "draw loss": ("1,2",),
    "draw graph": ("x*2", "--at", "x=1"),
    "draw pooling": ("[[1,2],[3,4]]",),
    "draw normalization": ("[[1,2],[3,4]]",),
    "draw toeplitz": ("1,2,3",),
    "draw optimizers": ("sgd", "--steps", "3"),
    "draw initialization": ("he", "--depth", "2"),
    "draw regularization": ("digits", "--variant", "none", "--epochs", "1"),
    "draw colors": ("data/a/0.png",),
    "draw receptive-field": ("run", "data/a/0.png"),
    "draw equivariance": ("run", "data/a/0.png", "--shifts", "1"),
    "draw unit": ("run", "data/a/0.png"),
    "draw weights": ("run",),
    "doctor": (),
    "data list": (),
    "data get": ("digits",),
    "data audit": ("data",),
    "data split": ("data",),
    "data preview": ("data",),
    "data pack": ("data",),
    "recipes list": (),
    "recipes show": ("lecture-mnist",),
    "models list": (),
    "models show": ("lenet5",),
    "cache list": (),
    "cache clear": (),
}
"""Arguments with which each command works."""
VALUES = (
    "", " ", "-1", "0", "1", "2.5", "nan", "inf", "-inf", "1e400", "9" * 30, "x", "💥", "b\udcffd", "n" * 300,
    "d/" * 2500, "..", "/dev/null", ".", "data", "run", "data/a/0.png", "data.csv", "numbers.csv", "missing",
    "http://[::1/x", "http://a..b/x", "hf:", "a=b", "=", "lr=", "lr=nan", "optimizer.lr=[", "model=", "{",
    "[1,2", "null", "a,b,,", "digits", "linear", "1,1,1", "seed=0,1", "*", "[", "~", "~nobody/x",
    "\n", "%s", "-", "--",
)  # fmt: skip
ENDLESS = {"serve"}
"""Commands that go on until a signal; tests/serving sends odd requests to them instead."""
LONG_WORK = {"epochs", "seeds", "folds", "minutes", "repeat"}
"""Options whose large values ask for much work."""


def commands(command: Any, name: str = "") -> Iterator[tuple[str, TyperCommand]]:
    """All commands below a group, by their words."""
    if isinstance(command, TyperGroup):
        for word, inner in command.commands.items():
            yield from commands(inner, f"{name} {word}".strip())
    else:
        yield name, command


def odd_call(rng: random.Random, known: dict[str, TyperCommand]) -> list[str]:
    """A call of a command with one to three odd options or arguments."""
    name = rng.choice(sorted(known))
    words = list(SOUND[name])
    options = [param for param in known[name].params if isinstance(param, TyperOption)]
    for _ in range(rng.randint(1, 3)):
        if words and rng.random() < 0.3:
            words[rng.randrange(len(words))] = rng.choice(VALUES)
            continue
        option = rng.choice(options)
        words.append(rng.choice([*option.opts, *option.secondary_opts]))
        if not option.is_flag:
            large = option.name in LONG_WORK
            words.append(rng.choice([v for v in VALUES if not (large and v[:1] in ("9", "i"))]))
    return [*name.split(), *words]


def fuzz(root: Path, count: int, seed: int) -> list[str]:
    """Try odd calls.

    Args:
        root: An empty folder.
        count: The number of calls.
        seed: The seed of all choices.

    Returns:
        The failures.
    """
    os.environ["XDG_CACHE_HOME"] = str(root / "cache")
    os.environ["HOME"] = str(root)
    sound = root / "sound"
    sound.mkdir()
    numbers(sound)
    (sound / "data.csv").rename(sound / "numbers.csv")
    listed_pictures(sound)
    pictures(sound)
    convnet.train(str(sound / "data"), model="linear", epochs=1, out=sound / "run", progress=False)
    known = {name: found for name, found in commands(typer.main.get_command(app)) if name not in ENDLESS}
    failures = []
    for name, words in SOUND.items():
        trial = shutil.copytree(sound, root / "deep" / "trial")
        with chdir(trial):
            if call([*name.split(), *words]).status:
                failures.append(f"{name} {' '.join(words)}: does not work")
        shutil.rmtree(root / "deep")
    rng = random.Random(seed)
    for i in range(count):
        words = odd_call(rng, known)
        trial = root / "deep" / "trial"
        shutil.copytree(sound, trial)
        with chdir(trial):
            if failure := call(words).failure:
                failures.append(f"call {i}, {' '.join(ascii(word[:40]) for word in words)}: {failure}")
        shutil.rmtree(root / "deep")
    return failures
