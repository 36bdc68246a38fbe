"""The clients in JavaScript: they reproduce the golden outputs, and predict what Python predicts."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import convnet
from tests.browser import browsed, needs_browser

CLIENT = Path(__file__).parent.parent.parent / "examples" / "clients" / "javascript"
needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js and npm")
pytestmark = [pytest.mark.slow, needs_node]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client with its packages."""
    folder = tmp_path_factory.mktemp("client") / "javascript"
    shutil.copytree(CLIENT, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"the packages could not be installed: {done.stderr[-300:]}")
    return folder


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A color image to be cropped, converted to gray and resized, with a color profile that is ignored."""
    pixels = np.random.default_rng(3).integers(0, 256, (31, 47, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("photo") / "x.png"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    at = profile.index(b"para") + 12  # where its gamma is stored, as a fixed-point number
    brighter = profile[:at] + (1 << 16).to_bytes(4) + profile[at + 4 :]
    Image.fromarray(pixels).save(path, icc_profile=brighter)
    return path


def node(client: Path, *arguments: object) -> list[dict[str, object]]:
    command = ["node", "predict.mjs", *map(str, arguments)]
    done = subprocess.run(command, cwd=client, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_node_reproduces_the_golden_outputs(client: Path, digits_bundle: Path) -> None:
    (found,) = node(client, digits_bundle)
    assert found["samples"] == 8 and isinstance(found["difference"], float) and found["difference"] < 1e-5


def test_node_predicts_what_python_predicts(client: Path, digits_bundle: Path, photo: Path) -> None:
    (found,) = node(client, digits_bundle, photo)
    wanted = convnet.load_bundle(digits_bundle).predict(photo)[0].as_dict()
    assert found["class"] == wanted["class"] and found["unknown"] == wanted["unknown"]
    assert found["probability"] == pytest.approx(wanted["probabilities"][wanted["class"]], abs=1e-6)


def test_node_names_a_file_that_it_cannot_read(client: Path, digits_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    command = ["node", "predict.mjs", str(digits_bundle), str(tmp_path / "text.png")]
    done = subprocess.run(command, cwd=client, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"{tmp_path / 'text.png'}: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("policy", ["crop", "letterbox", "stretch"])
def test_pixels_are_those_of_python(client: Path, photo: Path, policy: str) -> None:
    from convnet.data.images.preprocess import Preprocess
    from convnet.data.images.read import read_image
    from convnet.types import ImageShape

    for interpolation in ("bilinear", "bicubic"):
        values = {"resize": policy, "interpolation": interpolation}
        wanted = read_image(photo.read_bytes(), ImageShape(3, 20, 24), Preprocess.model_validate(values))
        inputs = {"shape": [3, 20, 24], "preprocess": {**values, "crop_pct": 1}}
        program = (
            'import { preprocess } from "./preprocess.mjs"; import sharp from "sharp";'
            f'const file = sharp("{photo}", {{ ignoreIcc: true }}).raw();'
            "const { data, info } = await file.toBuffer({ resolveWithObject: true });"
            "const image = { pixels: new Uint8Array(data), ...info };"
            f"console.log(JSON.stringify(Array.from(preprocess(image, {json.dumps(inputs)}))))"
        )
        command = ["node", "--input-type=module", "--eval", program]
        done = subprocess.run(command, cwd=client, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == wanted.transpose(2, 0, 1).ravel().tolist()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@needs_browser
def test_the_page_predicts_in_the_browser(client: Path, digits_bundle: Path, photo: Path) -> None:
    wanted = convnet.load_bundle(digits_bundle).predict(photo)[0].as_dict()
    with served(client) as address, browsed(800) as page:
        page.goto(f"{address}/index.html")
        page.set_input_files("#bundle", digits_bundle)
        page.wait_for_selector("text=golden samples agree", timeout=60_000)
        page.set_input_files("#image", photo)
        page.wait_for_selector("#answer tbody tr")
        name, probability = page.locator("#answer tbody tr").first.locator("td").all_inner_texts()
        assert name == wanted["class"]
        assert float(probability.strip("%")) == pytest.approx(100 * wanted["probabilities"][name], abs=0.1)
