"""A contender of inference.py: reads lines, computes one batch for each, and prints the seconds."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import convnet

warnings.simplefilter("ignore")


def network(bundle: Path) -> Callable[[np.ndarray], object]:
    import torch

    model = convnet.load_bundle(bundle, backend="torch").network_predictor.model

    def run(images: np.ndarray) -> object:
        with torch.inference_mode():
            return model(torch.from_numpy(images)).softmax(1)

    return run


def compiled(bundle: Path) -> Callable[[np.ndarray], object]:
    import torch

    model = torch.compile(convnet.load_bundle(bundle, backend="torch").network_predictor.model)

    def run(images: np.ndarray) -> object:
        with torch.no_grad():
            return model(torch.from_numpy(images)).softmax(1)

    return run


def onnxruntime(bundle: Path) -> Callable[[np.ndarray], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    session = onnxruntime.InferenceSession(bundle / "model.onnx", options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["probabilities"], {"samples": images})


def openvino(bundle: Path) -> Callable[[np.ndarray], object]:
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(str(bundle / "model.onnx"), "CPU", hints).create_infer_request()
    return lambda images: request.infer([images], share_inputs=True)[0]


def ours(bundle: Path) -> Callable[[np.ndarray], object]:
    opened = convnet.load_bundle(bundle)
    return opened.predict


def int8(bundle: Path) -> Callable[[np.ndarray], object]:
    opened = convnet.load_bundle(bundle, precision="int8")
    return opened.predict


def bundle_files(bundle: Path) -> Callable[[list[Path]], object]:
    return convnet.load_bundle(bundle).predict


def int8_files(bundle: Path) -> Callable[[list[Path]], object]:
    return convnet.load_bundle(bundle, precision="int8").predict


def pillow_files(bundle: Path) -> Callable[[list[Path]], object]:
    """What people write: Pillow opens, resizes and crops, PyTorch computes, one batch."""
    import torch
    from PIL import Image

    opened = convnet.load_bundle(bundle, backend="torch")
    model, side = opened.network_predictor.model, opened.manifest.shape.height

    def read(path: Path) -> np.ndarray:
        image = Image.open(path).convert("RGB")
        scale = side / min(image.size)
        width, height = (max(side, round(s * scale)) for s in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - side) // 2, (height - side) // 2
        return np.asarray(image.crop((left, top, left + side, top + side)))

    def run(paths: list[Path]) -> object:
        batch = torch.from_numpy(np.stack([read(path) for path in paths])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return model(batch).softmax(1)

    return run


KINDS: dict[str, Callable[[Path], Callable]] = {  # type: ignore[type-arg]
    "bundle": ours,
    "eager": network,
    "compile": compiled,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "int8": int8,
    "bundle-files": bundle_files,
    "pillow-files": pillow_files,
    "int8-files": int8_files,
}


def main() -> None:
    kind, bundle, photos, batch = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    run = KINDS[kind](bundle)
    given: object
    if kind.endswith("files"):
        paths = sorted(photos.rglob("*.jpg"))
        given = [paths[i % len(paths)] for i in range(batch)]
    else:
        shape = convnet.load_bundle(bundle).manifest.shape
        given = np.random.default_rng(0).integers(0, 256, (batch, *shape), dtype=np.uint8)
    for _ in sys.stdin:
        run(given)  # the caches are another contender's
        begun = time.perf_counter()
        run(given)
        print(time.perf_counter() - begun, flush=True)


if __name__ == "__main__":
    main()
