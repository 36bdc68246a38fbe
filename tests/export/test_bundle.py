"""Bundles: they predict as the run did, and damaged ones are refused."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convnet
from convnet.errors import ModelError
from convnet.export.backends import BACKENDS
from convnet.export.bundle import CHECKSUMS, INT8, MANIFEST, ONNX, PROGRAM, WEIGHTS
from convnet.export.golden import GOLDEN, read_golden, replay
from convnet.export.manifest import SCHEMA
from convnet.export.onnx_runtimes import RUNTIMES
from convnet.export.tuning import tune, tuned
from convnet.outputs import KINDS, ClassPrediction
from convnet.tasks import TASKS
from tests.conftest import Cli, refused

CHECKED = (MANIFEST, CHECKSUMS, WEIGHTS, ONNX, INT8, PROGRAM, GOLDEN)


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 16), dtype=np.uint8))


@pytest.fixture
def copied(digits_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that may be damaged."""
    return Path(shutil.copytree(digits_bundle, tmp_path / "bundle"))


def rewrite(bundle: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file together with its checksum."""
    content = change((bundle / name).read_bytes())
    old = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    (bundle / name).write_bytes(content)
    sums = (bundle / CHECKSUMS).read_text()
    (bundle / CHECKSUMS).write_text(sums.replace(old, hashlib.sha256(content).hexdigest()))


def edited(bundle: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    """Change the manifest together with its checksum."""

    def edit(content: bytes) -> bytes:
        manifest = json.loads(content)
        change(manifest)
        return json.dumps(manifest).encode()

    rewrite(bundle, MANIFEST, edit)


def use_all(bundle: Path) -> None:
    """Read every file of a bundle as some backend does."""
    opened = convnet.load_bundle(bundle)
    opened.verify()
    for name in BACKENDS:
        replay(convnet.load_bundle(bundle, backend=name))


def test_every_backend_predicts_as_the_run(digits_run: Path, digits_bundle: Path) -> None:
    run = convnet.load_run(digits_run)
    (wanted,) = run.predict(picture())
    assert isinstance(wanted, ClassPrediction)
    for name in BACKENDS:
        (found,) = convnet.load_bundle(digits_bundle, backend=name).predict(picture())
        assert isinstance(found, ClassPrediction)
        assert found.classes == wanted.classes and found.unknown == wanted.unknown
        np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-6)


def test_paths_bytes_arrays_and_images_are_the_same_input(digits_bundle: Path, tmp_path: Path) -> None:
    bundle = convnet.load_bundle(digits_bundle)
    image = picture()
    image.save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    pixels = np.asarray(image)
    found = bundle.predict(
        [tmp_path / "x.png", str(tmp_path / "x.png"), content, image, pixels, pixels / 255]
    )
    assert len({(p.classes, p.probabilities) for p in found if isinstance(p, ClassPrediction)}) == 1
    assert len(found) == 6
    assert bundle.predict(content)[0].as_dict()["class"] == found[0].as_dict()["class"]
    assert len(bundle.predict(np.zeros((5, 8, 8), np.uint8))) == 5


def test_opening_imports_neither_torch_nor_training_nor_recipes(digits_bundle: Path) -> None:
    program = (
        "import sys, numpy as np, convnet; bundle = convnet.load_bundle(sys.argv[1], backend=sys.argv[2]); "
        "bundle.predict(np.zeros((9, 8), np.uint8)); "
        "parts = {m.split('.')[1] for m in sys.modules if m.startswith('convnet.')}; "
        "print(*sorted(parts), 'torch' in sys.modules)"
    )
    for backend in BACKENDS:
        command = [sys.executable, "-c", program, digits_bundle, backend]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        *parts, torch_there = done.stdout.split()
        assert not {"training", "recipes", "workflows"} & set(parts)
        assert torch_there == str(backend == "torch")


@pytest.mark.parametrize("name", CHECKED)
def test_truncated_files_are_refused(copied: Path, name: str) -> None:
    content = (copied / name).read_bytes()
    for cut in range(20):
        (copied / name).write_bytes(content[: len(content) * cut // 20])
        with pytest.raises(ModelError, match="copy the bundle again"):
            use_all(copied)


@pytest.mark.parametrize("name", CHECKED)
def test_flipped_bits_are_refused(copied: Path, name: str) -> None:
    content, draw = (copied / name).read_bytes(), random.Random(name)
    for _ in range(20):
        damaged = bytearray(content)
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        (copied / name).write_bytes(bytes(damaged))
        with pytest.raises(ModelError):
            use_all(copied)


@pytest.mark.parametrize("name", CHECKED)
def test_missing_files_are_refused_by_name(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ModelError, match=name if name != MANIFEST else "not a bundle"):
        use_all(copied)


def test_a_wrong_checksum_is_refused(copied: Path) -> None:
    sums = (copied / CHECKSUMS).read_text()
    (copied / CHECKSUMS).write_text(sums.replace(sums[:8], "0" * 8, 1))
    with pytest.raises(ModelError, match="does not match its checksum"):
        use_all(copied)


def test_a_newer_schema_says_what_to_do(copied: Path) -> None:
    edited(copied, lambda manifest: manifest.update(schema=SCHEMA + 1, new_field=1))
    with pytest.raises(ModelError, match=f"schema {SCHEMA + 1}, .* up to {SCHEMA}; install"):
        convnet.load_bundle(copied)


@pytest.mark.parametrize("name", ["../evil.onnx", "/etc/passwd", "a/b", "record/../x", "..", ""])
def test_paths_outside_the_bundle_are_refused(copied: Path, name: str) -> None:
    with (copied / CHECKSUMS).open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(ModelError, match=r"do not use this bundle|copy the bundle again"):
        convnet.load_bundle(copied)


def test_links_that_lead_outside_are_refused(copied: Path, tmp_path: Path) -> None:
    shutil.move(copied / ONNX, tmp_path / "elsewhere.onnx")
    (copied / ONNX).symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(ModelError, match="leads outside the bundle"):
        use_all(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["task"].update(name="mind-reading"), "task 'mind-reading' is not known"),
        (lambda m: m["outputs"].update(classes=["a"]), "10 outputs for 1 classes"),
        (lambda m: m["inputs"].update(shape=[1, 8]), "inputs.shape"),
        (lambda m: m["inputs"].update(shape=[1, 8, -8]), "inputs.shape"),
        (lambda m: m["outputs"]["calibration"].update(temperature=0), "temperature"),
        (lambda m: m.pop("name"), "name"),
        (lambda m: m.update(name="a/b"), "name"),
        (lambda m: m.update(surprise=1), "surprise"),
    ],
)
def test_manifests_are_validated(
    copied: Path,
    change: Callable[[dict], None],
    message: str,  # type: ignore[type-arg]
) -> None:
    edited(copied, change)
    with pytest.raises(ModelError, match=message):
        use_all(copied)


@pytest.mark.parametrize(
    "network",
    [
        {"name": "os:getcwd", "options": {}},
        {"name": "pipeline", "options": {"stages": "somewhere:encoder -> linear"}},
        {"name": "lenet5", "options": {"surprise": 1}},
        {"name": "resnet20", "options": {}},
    ],
)
def test_networks_are_built_only_from_registered_names(copied: Path, network: dict[str, object]) -> None:
    edited(copied, lambda manifest: manifest.update(network=network))
    with pytest.raises(ModelError, match=r"do not use this bundle|cannot be loaded"):
        _ = convnet.load_bundle(copied, backend="torch").predictor


def test_networks_of_own_code_are_computed_by_onnx_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_net.py").write_text(
        "from torch import nn\n"
        "def flat(num_classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = convnet.train("digits", out=tmp_path / "run", model="own_net:flat", epochs=1, progress=False)
    bundle = convnet.export(run, out=tmp_path / "bundle", formats=["pt2"])
    assert bundle.manifest.network is None and {ONNX, PROGRAM} <= bundle.manifest.formats.keys()
    monkeypatch.setattr("torch.export.load", lambda *_: pytest.fail("a program was opened"))
    (found,), (wanted,) = convnet.load_bundle(bundle.path).predict(picture()), run.predict(picture())
    assert found.as_dict()["class"] == wanted.as_dict()["class"]
    with pytest.raises(ModelError, match="built by code outside convnet"):
        _ = convnet.load_bundle(bundle.path, backend="torch").predictor


@pytest.mark.parametrize("name", [WEIGHTS, GOLDEN])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY"])
def test_damaged_files_with_matching_checksums_are_refused(copied: Path, name: str, content: bytes) -> None:
    rewrite(copied, name, lambda _: content)
    with pytest.raises(ModelError, match=name):
        use_all(copied)


def test_a_model_that_predicts_otherwise_is_refused(copied: Path) -> None:
    samples, outputs = read_golden(convnet.load_bundle(copied))

    def changed(_: bytes) -> bytes:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, samples=samples, outputs=outputs + np.arange(10, dtype=np.float32))
        return buffer.getvalue()

    rewrite(copied, GOLDEN, changed)
    with pytest.raises(ModelError, match="answers differ by"):
        replay(convnet.load_bundle(copied))


def test_unusable_backends_say_why(digits_run: Path, digits_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="backend is onnxruntime, openvino, torch, got 'tpu'"):
        _ = convnet.load_bundle(digits_bundle, backend="tpu").predictor
    with pytest.raises(ModelError, match="computes in fp32"):
        _ = convnet.load_bundle(digits_bundle, backend="torch", precision="int8").predictor
    plain = convnet.export(digits_run, out=tmp_path / "plain")
    assert plain.predictor.backend.name == "torch"
    with pytest.raises(ModelError, match="--format onnx"):
        _ = convnet.load_bundle(plain.path, backend="onnxruntime").predictor


def test_the_measured_backend_is_used_on_this_machine(
    digits_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle = convnet.load_bundle(digits_bundle)
    assert tuned(bundle) is None
    measured = tune(bundle)
    assert {choice.backend for choice in measured} == set(BACKENDS)
    assert {choice.graph for choice in measured if choice.backend == "onnxruntime"} == {"all", "extended"}
    products = [choice.seconds * choice.batch_seconds for choice in measured]
    assert products == sorted(products) and products[0] > 0
    assert tuned(bundle) == measured[0]
    assert convnet.load_bundle(digits_bundle).predictor.backend.name == measured[0].backend


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("count", [1, 11, 12, 13, 101])
def test_batches_that_are_divided_among_threads_stay_in_order(
    digits_bundle: Path, name: str, count: int
) -> None:
    bundle = convnet.load_bundle(digits_bundle, backend=name, threads=3)
    samples = np.random.default_rng(count).integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    backend = bundle.predictor.backend
    together = backend.outputs(samples)
    alone = np.concatenate([backend.outputs(sample[None]) for sample in samples])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_signals_are_received_after_models_were_closed(digits_bundle: Path) -> None:
    program = (
        "import gc, signal, sys, convnet, numpy as np\n"
        "opened = [convnet.load_bundle(sys.argv[1], backend='openvino') for _ in range(2)]\n"
        "for bundle in opened: bundle.predict(np.zeros((8, 8), np.uint8))\n"
        "while opened:\n"
        "    bundle = opened.pop(0)\n"
        "    del bundle; gc.collect()\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('received'))\n"
        "signal.raise_signal(signal.SIGUSR1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, digits_bundle], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "received\n")


def test_every_task_has_its_kind_of_outputs() -> None:
    for name in TASKS:
        task = TASKS.build(name)
        assert type(task.outputs_kind) is type(KINDS[name]) and task.outputs_kind.name == name
        assert task.outputs_kind.dense == task.target.dense
        assert task.outputs_kind.exclusive == task.target.exclusive


def test_the_command_line_takes_a_bundle_for_a_run(
    call: Cli, digits_run: Path, digits_bundle: Path, tmp_path: Path
) -> None:
    picture().save(tmp_path / "x.png")
    given = ("evaluate", digits_run, "--json"), ("evaluate", digits_bundle, "--json")
    run, bundle = (json.loads(call(*arguments).stdout) for arguments in given)
    assert {**bundle, "run": run["run"]} == run
    exported = json.loads(call("evaluate", digits_bundle, "--backend", "openvino", "--json").stdout)
    assert exported["accuracy"] == run["accuracy"] and exported["loss"] == pytest.approx(
        run["loss"], abs=1e-5
    )
    (wanted,) = json.loads(call("predict", digits_run, "x.png", "--json").stdout)
    (found,) = json.loads(call("predict", digits_bundle, "x.png", "--json").stdout)
    assert found["class"] == wanted["class"] and found.keys() == wanted.keys()
    assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-6)
    assert "--backend" in refused(call("predict", digits_run, "x.png", "--backend", "torch"))
    assert "explain" not in call("explain", digits_bundle, "x.png", "--out", "page").stderr


def test_export_prints_what_programs_need(call: Cli, digits_run: Path) -> None:
    done = call("export", digits_run, "--out", "made", "--format", "onnx", "--quantize", "int8", "--json")
    found = json.loads(done.stdout)
    assert Path(found["bundle"]).name == "made"
    assert found["formats"] == ["safetensors", "model.onnx", "model.int8.onnx"]
    assert found["parity"]["images"] == found["parity"]["top1_equal"] >= 100
    assert found["parity"]["max_difference"] < 1e-4
    assert abs(found["accuracy_fp32"] - found["accuracy_int8"]) <= 0.01
    assert found["int8_smaller"] > 0.5 and found["int8_faster"] > 0.1


def test_nothing_is_written_if_int8_costs_too_much(
    call: Cli, digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convnet.workflows import exported_formats

    monkeypatch.setattr(exported_formats, "quantized_bytes", lambda *_: _noise_model(digits_run, tmp_path))
    message = refused(call("export", digits_run, "--out", "made", "--quantize", "int8"))
    assert "int8 lowers the accuracy" in message and "--max-drop" in message
    assert not (tmp_path / "made").exists()


def _noise_model(run: Path, folder: Path) -> bytes:
    """An ONNX model with the interface of the run's, which has learned nothing."""
    untrained = convnet.train("digits", epochs=1, optimizer={"name": "sgd", "lr": 1e-9}, progress=False,
                              out=folder / "untrained")  # fmt: skip
    bundle = convnet.export(untrained, out=folder / "noise", formats=["onnx"])
    return (bundle.path / ONNX).read_bytes()


def test_changed_weights_are_not_exported(call: Cli, digits_run: Path, tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    run = Path(shutil.copytree(digits_run, tmp_path / "run"))
    weights = load_file(run / WEIGHTS)
    with safe_open(str(run / WEIGHTS), framework="pt") as file:
        metadata = file.metadata()
    save_file({name: 0.5 * value for name, value in weights.items()}, run / WEIGHTS, metadata)
    assert "the data or the weights have changed" in refused(call("export", run, "--out", "made"))
    assert not (tmp_path / "made").exists()


def test_a_folder_that_is_not_empty_is_not_touched(call: Cli, digits_run: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").write_text("mine")
    assert "is not empty; choose another folder" in refused(call("export", digits_run, "--out", "made"))
    assert (tmp_path / "made" / "mine.txt").read_text() == "mine"
    assert "format is onnx or pt2, got 'tflite'" in refused(call("export", digits_run, "--format", "tflite"))
    assert "not a run" in refused(call("export", tmp_path / "made"))
    for name in ("a/b", " ", "a\nb"):
        assert "without '/'" in refused(call("export", digits_run, "--name", name))


def test_the_model_card_states_the_figures(digits_bundle: Path) -> None:
    card = (digits_bundle / "README.md").read_text()
    result = json.loads((digits_bundle / "record" / "result.json").read_text())
    assert f"| accuracy | {result['test']['accuracy']:.2%} |" in card
    assert "n = 179" in card and "model.int8.onnx: accuracy" in card and "## License" in card
