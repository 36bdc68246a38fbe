"""Damage the files of runs and use the runs: every error must be a message for the user.

The test suite tries a few hundred mutations; the whole is

    OMP_NUM_THREADS=1 python -m tests.fuzz --count 3000
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import convnet
from convnet.errors import ConvnetError
from convnet.workflows import resume

FILES = (
    "run.json", "recipe.yaml", "data.json", "environment.json", "split.csv", "checksums.npy", "metrics.csv",
    "steps.csv", "result.json", "predictions.csv", "predictions.npz", "model.safetensors",
    "checkpoints/last.safetensors",
)  # fmt: skip
VALUES = (None, -1, 0, 10**9, 1.5, float("nan"), "", "x", [], {}, [[]], True, "💥", "\x00")
SECONDS = 60
"""The longest time of a use."""


def make_runs(root: Path) -> list[Path]:
    """A classifier, an unfinished one, one with features, and a segmentation run."""
    linear: dict[str, Any] = {"model": "linear", "batch_size": 256}
    small = {"name": "unet", "width": 2, "depth": 1}
    convnet.train("digits", out=root / "finished", epochs=2, **linear)
    convnet.train("digits", out=root / "features", epochs=1, model="hog -> linear", batch_size=256)
    convnet.train("digit-scenes", out=root / "masks", epochs=1, model=small, split={"val": 0.05})
    shutil.copytree(root / "finished", root / "unfinished")
    recipe = root / "unfinished" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("epochs: 2", "epochs: 3"))
    (root / "unfinished" / "result.json").unlink()
    return [root / name for name in ("finished", "features", "masks", "unfinished")]


def mutate(path: Path, rng: random.Random) -> str:
    """Change a file at random, and say how."""
    content = path.read_bytes()
    text = path.suffix in (".json", ".csv", ".yaml")
    ways: list[Callable[[bytes, random.Random], bytes]] = [_cut, _flip, _empty, _repeat, _insert]
    if path.suffix == ".json":
        ways += [_change_json] * 6
    elif text:
        ways += [_change_cell] * 6
    elif path.suffix == ".safetensors":
        ways += [_change_header] * 4
    way = rng.choice(ways)
    path.write_bytes(way(content, rng))
    return way.__name__


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 64))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _empty(content: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\n", b"{}", b"[]", b"null", b"\xff\xfe"))


def _repeat(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    place = rng.randrange(len(lines) + 1)
    return b"".join(lines[:place] + lines[max(0, place - 1) :])


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.choice((1, 3, 40))) + content[place:]


def _change_json(content: bytes, rng: random.Random) -> bytes:
    document = json.loads(content)
    node: Any = document
    while isinstance(node, dict | list) and node:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        if rng.random() < 0.6 or not isinstance(node[key], dict | list) or not node[key]:
            if rng.random() < 0.4:
                del node[key]
            else:
                node[key] = rng.choice(VALUES)
            break
        node = node[key]
    return json.dumps(document).encode()


def _change_cell(content: bytes, rng: random.Random) -> bytes:
    lines = content.decode().splitlines()
    if not lines:
        return content
    place = rng.randrange(len(lines))
    mark = "," if "," in lines[place] else ": "
    cells = lines[place].split(mark)
    column = rng.randrange(len(cells))
    how = rng.random()
    if how < 0.6:
        cells[column] = str(rng.choice(VALUES))
    elif how < 0.8:
        del cells[column]
    else:
        cells.insert(column, "x")
    lines[place] = mark.join(cells)
    return "\n".join([*lines, ""]).encode()


def _change_header(content: bytes, rng: random.Random) -> bytes:
    """Change the JSON header of a safetensors file; its length stays right."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    name = rng.choice(list(header))
    entry = header[name]
    if rng.random() < 0.3:
        del header[name]
    elif name == "__metadata__" and entry:
        key = rng.choice(list(entry))
        tree = entry[key]
        entry[key] = (
            tree[: rng.randrange(len(tree) + 1)]
            if rng.random() < 0.5
            else _flip(tree.encode(), rng).decode(errors="replace")
        )
    elif isinstance(entry, dict) and "shape" in entry:
        entry[rng.choice(("shape", "dtype", "data_offsets"))] = rng.choice(
            ([], [1], "F64", "I8", [0, 4], None)
        )
    header = {(name + "x" if rng.random() < 0.02 else name): value for name, value in header.items()}
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + content[8 + length :]


def use(run: Path) -> list[str]:
    """Evaluate, predict, report and resume a run; the errors that are no messages."""
    image = run.parent / "zero.png"
    uses: dict[str, Callable[[], object]] = {
        "evaluate": lambda: convnet.load_run(run).evaluate(),
        "predict": lambda: convnet.load_run(run).predict([image]),
        "report": lambda: convnet.load_run(run).report(),
        "resume": lambda: resume(run),
        "data": lambda: (repr(convnet.load_run(run)), convnet.load_run(run).metrics),
    }
    failures = []
    for name, action in uses.items():
        began = time.monotonic()
        try:
            action()
        except ConvnetError as error:
            if not str(error).strip():
                failures.append(f"{name}: an empty message")
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [f for f in frames if "/convnet/" in f.filename] or frames
            place = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
            failures.append(f"{name}: {type(error).__name__}: {str(error)[:120]} ({place})")
        if time.monotonic() - began > SECONDS:
            failures.append(f"{name}: took {time.monotonic() - began:.0f} s")
    return failures


def fuzz(root: Path, count: int, seed: int) -> tuple[int, list[str]]:
    """Try mutations of the files of several runs.

    Args:
        root: An empty folder.
        count: The number of mutations.
        seed: The seed of all choices.

    Returns:
        The number of mutations, and the failures.
    """
    from PIL import Image

    runs, rng, failures = make_runs(root), random.Random(seed), []
    Image.new("L", (48, 48), 200).save(root / "zero.png")
    for i in range(count):
        run = rng.choice(runs)
        name = rng.choice([name for name in FILES if (run / name).exists()])
        trial = root / "trial"
        shutil.copytree(run, trial)
        way = mutate(trial / name, rng)
        failures += [f"mutation {i}, {run.name}/{name}, {way}: {failure}" for failure in use(trial)]
        shutil.rmtree(trial)
    return count, failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count, failures = fuzz(Path(folder), options.count, options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{count:,} mutations, {len(failures)} failures, {peak:.1f} GB at most")
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
