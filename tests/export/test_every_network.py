"""Every registered network can be exported: ONNX computes what torch computes, for any number of images."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from convnet.data.images.preprocess import Preprocess
from convnet.data.images.resample import Interpolation
from convnet.data.images.resize import ResizePolicy, resize
from convnet.errors import ModelError
from convnet.export.deployed import Deployed, as_program, deployed, dynamic_axes
from convnet.export.full_image import full_image_bytes
from convnet.export.onnx_backend import OnnxBackend
from convnet.export.onnx_model import INPUT, OPSET, onnx_bytes, program_bytes
from convnet.export.torch_program import ProgramBackend
from convnet.layers import Network, Normalize
from convnet.models import MODELS, assemble, build_model
from convnet.outputs import UNCALIBRATED, Calibration
from convnet.tasks import TASKS
from convnet.types import ImageShape
from tests.models.test_models import build, small

QUICK = ("lenet5", "knn", "temporal", "majority")
"""Networks with an operator or an axis that the others lack; they are tested in every run."""
DEEPER = {
    "alexnet": ("zfnet", "vgg-a-lrn"),
    "convnetjs-mnist": ("convnetjs-cifar10", "lecture-picture"),
    "efficientnet-lite0": (
        "efficientnet-lite1",
        "efficientnet-lite2",
        "efficientnet-lite3",
        "efficientnet-lite4",
    ),
    "linear": ("perceptron",),
    "resnet18": ("resnet34",),
    "resnet20": ("resnet32", "resnet44", "resnet56", "resnet110"),
    "resnet50": ("resnet101", "resnet152"),
    "vgg-a": ("vgg-b", "vgg-c", "vgg-d", "vgg-e"),
}
"""Networks that consist of the layers of a smaller one, which is exported in their place."""
COVERED = [name for names in DEEPER.values() for name in names]
TASK_OF = {"class": "classification", "mask": "segmentation", "image": "reconstruct"}


def network_of(name: str, size: int, **options: object) -> Network:
    """A network behind the normalization of pixels; features take values 0…1."""
    channels = MODELS.facts(name).native.channels
    mean, std = (0.0, 255.0) if name == "pipeline" else (100.0, 60.0)
    normalize = Normalize(*(torch.full((1, channels, 1, 1), value) for value in (mean, std)))
    return assemble(normalize, build(name, channels, size, 3, **options)).eval()


def deployed_of(
    model: Network, task: str, calibration: Calibration = UNCALIBRATED, example: torch.Tensor | None = None
) -> Deployed:
    """As it is exported; with an example its batch norms are folded."""
    if example is not None:
        return deployed(model, TASKS.build(task), calibration, example)
    return Deployed(model, TASKS.build(task), calibration, True).eval()


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in MODELS if n not in COVERED],
)
def test_onnx_computes_what_torch_computes(name: str) -> None:
    facts = MODELS.facts(name)
    series = name == "temporal"
    size = 16 if name == "unet" else small(name)
    shape = (facts.native.channels, 1 if series else size, size)
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (5, *shape), generator=generator, dtype=torch.uint8)
    given = images.float() if series else images
    model = network_of(name, size)
    module = deployed_of(model, TASK_OF[facts.targets[0]], example=given[:2])
    program = as_program(module, given[:2], series=series)
    content = onnx_bytes(program, module.output_names, {"classes": ["a", "b", "c"]})
    made = onnx.load_from_string(content)
    onnx.checker.check_model(made, full_check=True)
    assert {entry.version for entry in made.opset_import if not entry.domain} == {OPSET}
    assert made.graph.input[0].name == INPUT and "batch" in dynamic_axes(program)
    backend = OnnxBackend.open("onnxruntime", content, name)
    for count in (1, 2, 5):
        with torch.no_grad():
            wanted = model(given[:count]).numpy()
        wanted = wanted.clip(0, 1) if facts.targets == ("image",) else wanted
        found = backend.outputs(given[:count].numpy())
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("smaller", list(DEEPER))
def test_deeper_networks_consist_of_the_layers_of_the_smaller_one(smaller: str) -> None:
    def layers(name: str) -> set[str]:
        channels = MODELS.facts(name).native.channels
        with torch.device("meta"):
            model = build_model(name, ImageShape(channels, small(name), small(name)), 3)
        return {type(module).__qualname__ for module in model.modules()}

    assert all(layers(name) == layers(smaller) for name in DEEPER[smaller])


@pytest.mark.parametrize(
    "stages",
    [
        pytest.param("hog -> linear", marks=pytest.mark.slow),
        "color(space=hsv,sigma=1) -> linear",
        pytest.param("visual-words(words=4,patches=200) -> linear", marks=pytest.mark.slow),
        pytest.param("visual-words(words=4,patches=200,encoding=hard) -> knn", marks=pytest.mark.slow),
        pytest.param("hog(block=0) + color + pixels -> mlp", marks=pytest.mark.slow),
    ],
)
def test_pipelines_of_features_are_exported_too(stages: str) -> None:
    torch.manual_seed(0)
    module = deployed_of(network_of("pipeline", 16, stages=stages), "classification")
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    content = onnx_bytes(as_program(module, images[:2], series=False), module.output_names, {})
    with torch.no_grad():
        wanted = module(images)[-1].numpy()
    found = OnnxBackend.open("onnxruntime", content, stages).outputs(images.numpy())
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_the_first_output_is_the_calibrated_probability() -> None:
    import onnxruntime

    module = deployed_of(network_of("lenet5", 32), "classification", Calibration(2.5))
    images = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    content = onnx_bytes(as_program(module, images[:2], series=False), module.output_names, {})
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    probabilities, logits = session.run(["probabilities", "logits"], {INPUT: images.numpy()})
    powers = np.exp(logits / 2.5)
    np.testing.assert_allclose(probabilities, powers / powers.sum(1, keepdims=True), rtol=1e-5)


def test_a_file_says_nothing_of_the_machine_that_wrote_it() -> None:
    module = deployed_of(network_of("lenet5", 32), "classification")
    images = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    content = onnx_bytes(as_program(module, images, series=False), module.output_names, {})
    assert b"site-packages" not in content and b".py" not in content
    assert content == onnx_bytes(as_program(module, images, series=False), module.output_names, {})


def test_dense_networks_take_images_of_other_sizes() -> None:
    module = deployed_of(network_of("unet", 16, width=4, depth=2), "segmentation")
    example = torch.randint(0, 256, (2, 1, 32, 48), dtype=torch.uint8)
    program = as_program(module, example, series=False)
    assert dynamic_axes(program) == ["batch", "height", "width"]
    backend = OnnxBackend.open("onnxruntime", onnx_bytes(program, module.output_names, {}), "unet")
    other = torch.randint(0, 256, (1, 1, 64, 16), dtype=torch.uint8)
    with torch.no_grad():
        np.testing.assert_allclose(backend.outputs(other.numpy()), module(other)[-1].numpy(), atol=1e-4)


def test_a_program_computes_what_torch_computes() -> None:
    module = deployed_of(network_of("lenet5", 32), "classification")
    images = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    backend = ProgramBackend.open(program_bytes(as_program(module, images[:2], series=False)), "model.pt2")
    with torch.no_grad():
        assert np.array_equal(backend.outputs(images.numpy()), module(images)[-1].numpy())


class _Branching(torch.nn.Module):
    """A network whose path depends on its values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :3] if x.sum() > 0 else x.flatten(1)[:, 1:4]


def test_a_network_that_cannot_be_followed_is_refused_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    model = Network(Normalize(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)), _Branching())
    with pytest.raises(ModelError, match="cannot be exported") as raised:
        as_program(
            deployed_of(model, "classification"), torch.zeros(2, 1, 8, 8, dtype=torch.uint8), series=False
        )
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_knn_by_l1_says_that_onnx_has_no_such_distance() -> None:
    module = deployed_of(network_of("knn", 8, metric="l1"), "classification")
    with pytest.raises(ModelError, match="metric=l1"):
        as_program(module, torch.zeros(2, 3, 8, 8, dtype=torch.uint8), series=False)


@pytest.mark.parametrize("policy", ["crop", "letterbox", "stretch"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_whole_images_are_resized_in_the_model(policy: ResizePolicy, interpolation: Interpolation) -> None:
    module = deployed_of(network_of("small-convnet", 32), "classification")
    example = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    content = onnx_bytes(as_program(module, example, series=False), module.output_names, {"classes": ["a"]})
    pct = 0.9 if policy == "crop" else 1.0
    preprocess = Preprocess(resize=policy, interpolation=interpolation, crop_pct=pct)
    whole = full_image_bytes(content, ImageShape(3, 32, 32), preprocess)
    assert {prop.key for prop in onnx.load_from_string(whole).metadata_props} == {"classes"}
    backend, resized = (
        OnnxBackend.open("onnxruntime", whole, "full"),
        OnnxBackend.open("onnxruntime", content, "plain"),
    )
    for size in ((32, 32), (61, 40), (20, 90), (200, 33)):
        ramp = np.linspace(0, 200, size[0] * size[1] * 3).reshape(*size, 3)
        pixels = (ramp + np.random.default_rng(0).normal(20, 9, ramp.shape)).clip(0, 255).astype(np.uint8)
        wanted = resize(pixels, (32, 32), preprocess.resizing).transpose(2, 0, 1)[None]
        found = backend.outputs(pixels.transpose(2, 0, 1)[None])
        np.testing.assert_allclose(found, resized.outputs(wanted), atol=0.1)
