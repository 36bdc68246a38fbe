"""The rival of serving.py: LitServe with the ONNX file of a bundle and the same decoding."""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime

from convnet.data.images.read import read_named_image
from convnet.export import load_bundle


class Api(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        bundle = load_bundle(sys.argv[1])
        self.spec, self.classes = bundle.predictor.inputs, bundle.manifest.outputs.classes
        self.session = onnxruntime.InferenceSession(
            bundle.read("model.onnx"), providers=["CPUExecutionProvider"]
        )

    def decode_request(self, request: dict[str, str]) -> np.ndarray:
        content = base64.b64decode(request["image"])
        return read_named_image("image", content, self.spec.shape, self.spec.preprocess)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"samples": np.ascontiguousarray(x)})[0]

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        best = np.argsort(-output)[:5]
        top = [{"class": self.classes[i], "probability": float(output[i])} for i in best]
        return {"predictions": [{**top[0], "top": top}]}


if __name__ == "__main__":
    api = Api(max_batch_size=32, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
