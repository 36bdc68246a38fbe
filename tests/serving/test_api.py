"""What the server answers to sound requests, and to unsound ones."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import convnet
from tests.conftest import Cli, refused
from tests.serving.server import PREDICT, Server, serving

BOUNDARY = "limit"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(*contents: bytes, name: str = "images") -> bytes:
    parts = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for content in contents
    )
    return parts + f"--{BOUNDARY}--\r\n".encode()


def as_json(*contents: bytes, **more: object) -> bytes:
    return json.dumps({"images": [base64.b64encode(c).decode() for c in contents], **more}).encode()


@pytest.fixture(scope="module")
def wanted(digits_bundle: Path, png: bytes) -> dict[str, object]:
    """The prediction of the bundle in this process."""
    return convnet.load_bundle(digits_bundle).predict(png)[0].as_dict()


def test_every_way_to_send_an_image_gets_the_prediction_of_the_bundle(
    server: Server, png: bytes, wanted: dict[str, object]
) -> None:
    version = convnet.__name__ and server.get("/v1/models").json["models"][0]["version"]
    for body, kind in [
        (png, "image/png"),
        (png, "application/octet-stream"),
        (form(png), FORM),
        (as_json(png), "application/json"),
    ]:
        answer = server.post(body, kind)
        assert answer.status == 200, answer.body
        (found,) = answer.json["predictions"]
        assert answer.json["model"] == {"name": "digits", "version": version}
        assert found.keys() == {"class", "probability", "unknown", "top"}
        assert found["class"] == wanted["class"] and found["unknown"] == wanted["unknown"]
        assert len(found["top"]) == 5 and found["top"][0]["class"] == found["class"]
        probabilities = wanted["probabilities"]
        assert isinstance(probabilities, dict)
        for entry in found["top"]:
            assert entry["probability"] == pytest.approx(probabilities[entry["class"]], abs=1e-6)


def test_several_images_keep_their_order(server: Server, png: bytes, digits_bundle: Path) -> None:
    images = (load_digits().images[:8] * 15.9).astype(np.uint8)
    contents = [_npy(image) for image in images]
    wanted = [found.as_dict()["class"] for found in convnet.load_bundle(digits_bundle).predict(images)]
    for body, kind in [(form(*contents), FORM), (as_json(*contents), "application/json")]:
        assert [found["class"] for found in server.post(body, kind).json["predictions"]] == wanted
    assert len(set(wanted)) > 1


def _npy(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, image)
    return buffer.getvalue()


def test_top_bounds_the_classes(server: Server, png: bytes) -> None:
    assert len(server.post(png, path=f"{PREDICT}?top=2").json["predictions"][0]["top"]) == 2
    assert len(server.post(as_json(png, top=1), "application/json").json["predictions"][0]["top"]) == 1
    assert len(server.post(png, path=f"{PREDICT}?top=99").json["predictions"][0]["top"]) == 10


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "message"),
    [
        ("GET", "/nothing", b"", None, 404, "nothing at /nothing"),
        ("DELETE", PREDICT, b"", None, 405, "DELETE is not possible"),
        ("POST", "/v1/models/cats/predict", b"x", "image/png", 404, "no model 'cats' (known: digits)"),
        ("POST", "/v1/models/digits/versions/9/predict", b"x", "image/png", 404, "no version '9'"),
        ("POST", PREDICT, b"x", "text/html", 415, "content type 'text/html' is not supported"),
        ("POST", PREDICT, b"x", None, 415, "content type '' is not supported"),
        ("POST", PREDICT, b"", "image/png", 400, "holds no file, or an empty one"),
        ("POST", PREDICT, b"no image", "image/png", 422, "image 0: not a readable image"),
        ("POST", PREDICT, b"{", "application/json", 400, "json"),
        ("POST", PREDICT, b'{"images": []}', "application/json", 422, "images"),
        ("POST", PREDICT, b'{"images": ["%%%"]}', "application/json", 422, "not base64"),
        ("POST", PREDICT, b'{"images": ["AAAA"], "x": 1}', "application/json", 422, "x: extra inputs"),
        ("POST", PREDICT, b'{"images": "AAAA"}', "application/json", 422, "images"),
        ("POST", PREDICT, form(b"x" * 10), "multipart/form-data", 400, "boundary"),
        ("POST", PREDICT, b"--limit\r\nnonsense", FORM, 400, "holds no file"),
        ("POST", PREDICT, form(*[b"x"] * 9), FORM, 413, "9 images; the limit is 8"),
        ("POST", PREDICT, form(*[b"x"] * 12), FORM, 413, "Too many files"),
        ("POST", PREDICT, b"x" * 2_100_000, "image/png", 413, "over 2,000,000 bytes"),
        ("POST", f"{PREDICT}?top=0", b"x", "image/png", 422, "query.top"),
        ("POST", f"{PREDICT}?top=many", b"x", "image/png", 422, "query.top"),
        ("POST", "/v2/models/digits/infer", b"[]", "application/json", 422, "body"),
        ("POST", "/v2/models/digits/infer", b"x", "text/plain", 415, "text/plain"),
        ("GET", "/v2/models/cats", b"", None, 404, "no model 'cats'"),
    ],
)
def test_errors_say_what_is_wrong_in_json(
    server: Server, method: str, path: str, body: bytes, kind: str | None, status: int, message: str
) -> None:
    answer = server.request(method, path, body, kind)
    assert (answer.status, message.lower() in answer.error.lower()) == (status, True), answer.body


def test_large_images_are_refused_before_they_are_decoded(server: Server) -> None:
    for side, message in [(2000, "2000×2000 pixels; the limit is 1,000,000"), (20_000, "400000000 pixels")]:
        buffer = io.BytesIO()
        Image.new("1", (side, side)).save(buffer, "PNG")
        answer = server.post(buffer.getvalue())
        assert answer.status == 413 and message in answer.error


def test_the_open_inference_protocol_computes_tensors(server: Server, digits_bundle: Path) -> None:
    images = np.random.default_rng(2).integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)
    wanted = convnet.load_bundle(digits_bundle).predictor.backend.outputs(images)
    given = {"name": "samples", "shape": [2, 1, 8, 8], "datatype": "UINT8", "data": images.ravel().tolist()}
    path = "/v2/models/digits/infer"
    answer = server.post(json.dumps({"id": "7", "inputs": [given]}).encode(), "application/json", path)
    assert answer.status == 200, answer.body
    assert answer.json["id"] == "7" and answer.json["model_name"] == "digits"
    probabilities, logits = answer.json["outputs"]
    assert logits["shape"] == [2, 10] and logits["datatype"] == "FP32"
    np.testing.assert_allclose(np.reshape(logits["data"], (2, 10)), wanted, atol=1e-5)
    assert np.reshape(probabilities["data"], (2, 10)).sum(1) == pytest.approx(1, abs=1e-5)
    for change, message in [
        ({"data": [1, 2]}, "2 numbers; the shape needs 128"),
        ({"datatype": "FP32"}, "the model takes UINT8"),
        ({"shape": [1, 1, 8, 16]}, "the model takes N, 1, 8, 8"),
        ({"data": [300] * 128}, "from 0 to 255"),
    ]:
        wrong = server.post(json.dumps({"inputs": [{**given, **change}]}).encode(), "application/json", path)
        assert (wrong.status, message in wrong.error) == (422, True), wrong.body
    described = server.get("/v2/models/digits").json
    assert described["inputs"] == [{"name": "samples", "datatype": "UINT8", "shape": [-1, 1, 8, 8]}]


def test_health_metrics_pages_and_headers(server: Server, png: bytes) -> None:
    server.post(png)
    assert server.get("/healthz").json == {"status": "alive"}
    assert server.get("/readyz").json == {"status": "ready"}
    assert server.get("/v2/health/ready").json == {"ready": True}
    text = server.get("/metrics").body.decode()
    for name in (
        "convnet_request_seconds_bucket",
        "convnet_batch_size_count",
        "convnet_predictions_total",
        "convnet_waiting_images",
        "convnet_model_seconds_sum",
        "process_resident_memory_bytes",
    ):
        assert name in text
    page = server.get("/")
    assert page.status == 200 and "default-src 'self'" in page.headers["content-security-policy"]
    assert "<script src=" in page.body.decode() and "onclick" not in page.body.decode()
    assert server.get("/static/page.js").status == 200
    assert server.get("/docs").status == 200 and server.get("/swagger/swagger-ui-bundle.js").status == 200


def test_the_log_has_facts_but_no_content(server: Server, png: bytes) -> None:
    server.post(b"secret content", "image/png")
    server.post(png)
    lines = server.lines()
    requests = [line for line in lines if line["message"] == "request"]
    assert {"time", "level", "method", "path", "status", "ms"} <= requests[-1].keys()
    assert any(line.get("images") == 1 and line.get("model") == "digits" for line in requests)
    assert "secret" not in server.log.read_text()


def test_a_token_guards_everything_but_health(digits_bundle: Path, png: bytes, tmp_path: Path) -> None:
    with serving(tmp_path, digits_bundle, CONVNET_TOKEN="s3cret") as server:
        for path in (
            "/",
            "/docs",
            "/metrics",
            "/openapi.json",
            "/v1/models",
            "/static/page.js",
            "/nothing",
            "/v2",
        ):
            answer = server.get(path)
            assert answer.status == 401 and "Authorization: Bearer" in answer.error
        assert server.post(png).status == 401
        for wrong in ("Bearer wrong", "Bearer", "s3cret", "Basic czNjcmV0", "Basic %", "Bearer \u00e9"):
            assert server.get("/v1/models", authorization=wrong).status == 401
        for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
            assert server.get(path).status == 200
        basic = base64.b64encode(b"anyone:s3cret").decode()
        for right in ("Bearer s3cret", f"Basic {basic}"):
            assert server.get("/v1/models", authorization=right).status == 200
        assert server.post(png, authorization="Bearer s3cret").status == 200
        assert "s3cret" not in server.log.read_text()


@pytest.mark.slow
def test_two_versions_are_served_side_by_side(digits_run: Path, png: bytes, tmp_path: Path) -> None:
    bundles = [
        convnet.export(digits_run, out=tmp_path / version, name="digits", version=version).path
        for version in ("1", "2")
    ]
    with serving(tmp_path, *bundles) as server:
        assert server.post(png).json["model"] == {"name": "digits", "version": "2"}
        first = server.post(png, path="/v1/models/digits/versions/1/predict")
        assert first.json["model"] == {"name": "digits", "version": "1"}
        assert server.get("/v2/models/digits").json["versions"] == ["1", "2"]
    assert "is served already" in _refused_serving(tmp_path, bundles[0], bundles[0])


def _refused_serving(folder: Path, *arguments: object) -> str:
    with pytest.raises(AssertionError) as raised, serving(folder, *arguments):
        pass
    return str(raised.value)


def test_a_server_that_cannot_start_says_why(
    call: Cli, server: Server, digits_bundle: Path, digits_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Address already in use" in refused(call("serve", digits_bundle, "--port", server.port))
    assert "not a bundle" in refused(call("serve", digits_run, "--port", 0))
    assert "the token is empty" in refused(call("serve", digits_bundle, "--token", ""))
    assert "timeout" in refused(call("serve", digits_bundle, "--timeout", "inf"))
    assert "cannot listen at 1.2.3.4" in refused(
        call("serve", digits_bundle, "--host", "1.2.3.4", "--port", 0)
    )
    monkeypatch.setenv("CONVNET_TOKEN", " ")
    assert "the token is empty" in refused(call("serve", digits_bundle))
