"""The fastest backend and number of threads for a bundle on this machine, measured and remembered."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import inf
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convnet.atomic import write_atomically
from convnet.cores import available_cores
from convnet.data.files.remote_file import cache_folder
from convnet.errors import ModelError
from convnet.export.backends import BACKENDS, open_named, usable
from convnet.export.bundle import MANIFEST
from convnet.export.golden import read_golden
from convnet.export.onnx_runtimes import GRAPHS, Graph
from convnet.types import evaluation_batch

if TYPE_CHECKING:
    from convnet.export.bundle import Bundle
    from convnet.prediction.backend import Backend

ROUNDS, MOST_SECONDS = 15, 2.0
"""Each candidate is measured this often, and for at most so long."""
FIRST_ROUNDS, CLEARLY_SLOWER = 3, 1.25
"""After so many rounds, candidates that take longer than the fastest by this factor are left out."""
PAUSE = 0.03
"""Seconds between two candidates: the threads of the earlier one wait actively for further work."""
BATCH = 32
"""The size of the batches that are measured beside single samples, if so many are computed together."""


@dataclass(frozen=True)
class Choice:
    """A backend and its measured speed.

    Attributes:
        backend: Its name.
        threads: The number of threads.
        graph: How far ONNX Runtime optimizes the graph.
        seconds: The median time of one sample.
        batch: The size of a batch.
        batch_seconds: The median time of a batch.
    """

    backend: str
    threads: int
    graph: Graph
    seconds: float
    batch: int
    batch_seconds: float


def tuned(bundle: Bundle) -> Choice | None:
    """The choice that was measured for this bundle on this machine; None if it was not, or is not usable."""
    try:
        content = json.loads(_file(bundle).read_text())
        choice = Choice(**content["choice"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if content.get("machine") != _machine() or choice.backend not in BACKENDS:
        return None
    return choice if usable(bundle, choice.backend) is None else None


def tune(bundle: Bundle) -> list[Choice]:
    """Measure every usable backend, number of threads and optimization of the graph; remember the fastest.

    Single samples and batches count alike.

    Args:
        bundle: The bundle.

    Returns:
        The candidates, fastest first.

    Raises:
        ModelError: No backend is usable.
    """
    golden = read_golden(bundle)[0]
    batch = min(BATCH, evaluation_batch(bundle.manifest.shape))
    names = [
        (name, threads, graph)
        for name in BACKENDS
        if usable(bundle, name) is None
        for threads in sorted({1, available_cores()} if name != "torch" else {available_cores()})
        for graph in GRAPHS.get(name, ("all",))
    ]
    if not names:
        raise ModelError(f"{bundle.path}: no backend can compute it; pip install onnxruntime")
    backends = [open_named(bundle, *name) for name in names]
    singles = median_seconds(backends, golden[:1])
    batches = median_seconds(backends, np.resize(golden, (batch, *golden.shape[1:])))
    found = [
        Choice(*name, seconds, batch, batch_seconds)
        for name, seconds, batch_seconds in zip(names, singles, batches, strict=True)
    ]
    found.sort(key=lambda choice: choice.seconds * choice.batch_seconds)
    content = {"machine": _machine(), "choice": asdict(found[0]), "measured": [asdict(c) for c in found]}
    place = _file(bundle)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, json.dumps(content, indent=2))
    return found


def median_seconds(backends: Sequence[Backend], samples: NDArray[Any]) -> list[float]:
    """Median seconds per call, in turns, so that a slow moment of the machine meets all alike."""
    times: list[list[float]] = [[] for _ in backends]
    for number in range(ROUNDS):
        limit = CLEARLY_SLOWER * min(map(median, times)) if number >= FIRST_ROUNDS else inf
        for backend, measured in zip(backends, times, strict=True):
            if sum(measured) > MOST_SECONDS or (measured and median(measured) > limit):
                continue
            time.sleep(PAUSE)
            backend.outputs(samples)  # the caches are another candidate's
            begun = time.perf_counter()
            backend.outputs(samples)
            measured.append(time.perf_counter() - begun)
    return [median(measured) for measured in times]


def _file(bundle: Bundle) -> Path:
    return cache_folder("tuning") / f"{bundle.checksums[MANIFEST][:24]}-{bundle.precision}.json"


def _machine() -> dict[str, Any]:
    versions = {}
    for name in ("onnxruntime", "openvino", "torch"):
        try:
            versions[name] = version(name)
        except ModuleNotFoundError:
            continue
    return {
        "processor": platform.processor() or platform.machine(),
        "node": platform.node(),
        "cores": available_cores(),
        "versions": versions,
    }
