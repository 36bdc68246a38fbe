"""The client in C++: it reproduces the golden outputs, and predicts what Python predicts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convnet
from convnet.data.images.preprocess import Preprocess
from convnet.data.images.read import read_image

CLIENT = Path(__file__).parent.parent.parent / "examples" / "clients" / "cpp"
HEADERS = [Path("/usr/include") / name for name in ("stb/stb_image.h", "nlohmann/json.hpp", "zlib.h")]
built = shutil.which("cmake") and shutil.which("g++") and all(header.exists() for header in HEADERS)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not built, reason="needs cmake, g++ and the headers of stb, nlohmann-json and zlib"),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program."""
    folder = tmp_path_factory.mktemp("cpp")
    options = ["-DCMAKE_BUILD_TYPE=Debug", f"-DPython3_EXECUTABLE={sys.executable}"]
    configure = ["cmake", "-S", CLIENT, "-B", folder, *options]
    for command in (configure, ["cmake", "--build", folder]):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "predict"


def run(client: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(client), *map(str, arguments)], capture_output=True, text=True)


def test_reproduces_the_golden_outputs(client: Path, digits_bundle: Path, tmp_path: Path) -> None:
    found = json.loads(run(client, digits_bundle).stdout)
    assert found["samples"] == 8 and found["difference"] < 1e-5
    other = tmp_path / "bundle"
    shutil.copytree(digits_bundle, other)
    with np.load(other / "golden.npz") as golden:
        np.savez(other / "golden.npz", samples=golden["samples"], outputs=golden["outputs"] + 1)
    done = run(client, other)
    assert done.returncode == 2 and "differ from golden.npz" in done.stderr


@pytest.mark.parametrize("policy", ["crop", "letterbox", "stretch"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_predicts_what_python_predicts(
    client: Path, digits_bundle: Path, tmp_path: Path, policy: str, interpolation: str
) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (31, 47, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    other = tmp_path / "bundle"
    shutil.copytree(digits_bundle, other)
    manifest = json.loads((other / "bundle.json").read_text())
    preprocess = {**manifest["inputs"]["preprocess"], "resize": policy, "interpolation": interpolation}
    manifest["inputs"]["preprocess"] = preprocess
    (other / "bundle.json").write_text(json.dumps(manifest))

    bundle = convnet.load_bundle(digits_bundle)
    how = Preprocess.model_validate(preprocess)
    sample = read_image((tmp_path / "x.png").read_bytes(), bundle.manifest.shape, how)
    wanted = bundle.predict(sample)[0].as_dict()
    found = json.loads(run(client, other, tmp_path / "x.png").stdout)
    assert found["class"] == wanted["class"] and found["unknown"] == wanted["unknown"]
    assert [row["probability"] for row in found["top"]] == pytest.approx(
        list(wanted["probabilities"].values()), abs=1e-6
    )


def test_files_that_would_be_read_otherwise_are_refused(
    client: Path, digits_bundle: Path, tmp_path: Path
) -> None:
    image = Image.new("RGB", (20, 30))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGBA", (20, 30)).save(tmp_path / "transparent.png")
    (tmp_path / "text.png").write_text("no image")
    for name, message in (
        ("turned.jpg", "EXIF"),
        ("transparent.png", "transparent"),
        ("text.png", "unknown"),
    ):
        done = run(client, digits_bundle, tmp_path / name)
        assert done.returncode == 2 and message in done.stderr and not done.stdout
