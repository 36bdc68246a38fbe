"""The backends that compute the outputs of a bundle, and the choice among them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from convnet.errors import ModelError
from convnet.export.bundle import INT8, ONNX
from convnet.prediction.backend import Backend

if TYPE_CHECKING:
    from convnet.export.bundle import Bundle
    from convnet.export.onnx_runtimes import Graph

BACKENDS = ("onnxruntime", "openvino", "torch")
"""In the order in which they are tried."""
ONNX_FILES = {"fp32": ONNX, "int8": INT8}


def open_backend(bundle: Bundle) -> Backend:
    """Open the backend that was asked for, or the fastest.

    Raises:
        ModelError: It is not installed, or the bundle has no model for it.
    """
    name = bundle.backend
    if name is None:
        from convnet.export.tuning import tuned

        if (choice := tuned(bundle)) is not None:
            return open_named(bundle, choice.backend, bundle.threads or choice.threads, choice.graph)
        reasons = {name: usable(bundle, name) for name in BACKENDS}
        if all(reasons.values()):
            listed = "; ".join(f"{name}: {why}" for name, why in reasons.items())
            raise ModelError(f"{bundle.path}: no backend can compute it: {listed}")
        name = next(name for name, why in reasons.items() if why is None)
    elif name not in BACKENDS:
        raise ModelError(f"backend is {', '.join(BACKENDS)}, got '{name}'")
    elif (why := usable(bundle, name)) is not None:
        raise ModelError(f"{bundle.path}: backend {name} cannot be used: {why}")
    return open_named(bundle, name, bundle.threads)


def usable(bundle: Bundle, name: str) -> str | None:
    """Why a backend cannot compute a bundle; None if it can."""
    if name == "torch":
        if bundle.precision == "int8":
            return "it computes in fp32; use onnxruntime or openvino"
        if bundle.manifest.network is None:
            return "the network was built by code outside convnet, which bundles do not hold"
        if bundle.threads is not None:
            return "its threads are those of the process; call torch.set_num_threads, or use onnxruntime"
        return None
    file = ONNX_FILES[bundle.precision]
    if not bundle.has(file):
        option = "--format onnx" if bundle.precision == "fp32" else "--quantize int8"
        return f"the bundle has no {file}; export it again with {option}"
    if find_spec(name) is None:
        return f"it is not installed: pip install {name}"
    return None


def open_named(bundle: Bundle, name: str, threads: int | None, graph: Graph = "all") -> Backend:
    """Open a backend that is usable."""
    manifest = bundle.manifest
    if name == "torch":
        from convnet.prediction.network_predictor import TorchBackend

        network = bundle.network_predictor
        return TorchBackend(network.model, network.task)  # it computes in tiles by itself
    from convnet.export.onnx_backend import OnnxBackend

    file = ONNX_FILES[bundle.precision]
    backend = OnnxBackend.open(name, bundle.read(file), str(bundle.path / file), threads, graph)
    if manifest.sizes is None:
        return backend
    from convnet.export.tiled import TiledBackend
    from convnet.tasks import TASKS

    return TiledBackend(backend, manifest.sizes, TASKS.build(manifest.task.name, **manifest.task.options))
