"""The layer table (M24, M63, M82): against the lectures, torch's own counter, and real memory."""

from __future__ import annotations

import io
import math

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convnet import summary
from convnet.analysis import Summary
from convnet.analysis.render import COLUMNS, cells, markdown, plain_text, terminal, visible
from convnet.errors import ModelError
from convnet.models import MODELS, build_model
from convnet.reports.architecture import volumes


def table(name: str) -> Summary:
    facts = MODELS.facts(name)
    with torch.device("meta"):
        model = build_model(name, facts.native, facts.num_classes)
    return summary(model, facts.native, name=name)


FITTED = {"knn", "majority", "pipeline"}
"""What is fitted to data before it can be run at all, and has no layers to list."""


@pytest.mark.parametrize("name", sorted(set(MODELS) - FITTED))
def test_every_network_has_a_table(name: str) -> None:
    """Parameters add up, MACs are torch's, sizes are those of a real run, and the text fits 80 columns."""
    facts = MODELS.facts(name)
    with torch.device("meta"):
        model = build_model(name, facts.native, facts.num_classes).eval()
        found = summary(model, facts.native)
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            made = model(torch.empty(1, *facts.native))
    assert found.macs == counter.get_total_flops() // 2
    assert found.parameters == facts.parameters == found.trainable
    assert sum(layer.parameters for layer in found.layers) + sum(found.unused.values()) == found.parameters
    assert found.root.output == tuple(made.shape[1:])
    assert None not in [layer.receptive_field for layer in found.layers]
    assert all(len(line) <= 80 for line in str(found).splitlines())
    assert found.training_bytes is not None and found.training_bytes > found.forward_bytes
    assert found._repr_html_().count("<details") == sum(
        bool(layer.inside) for _, _, layer, _ in visible(found.root, 99)
    )
    assert len(markdown(found).splitlines()) >= len(found.layers)


def test_the_table_of_vgg_d() -> None:
    """M63, row by row: memory in numbers, and weights without biases."""
    rows = [r for r in table("vgg-d").layers if r.type in ("Conv2d", "MaxPool2d", "FlattenLinear", "Linear")]
    biases = [r.output[0] if r.parameters else 0 for r in rows if r.output]
    assert [r.activation_bytes // 4 for r in rows] == [
        *[64 * 224 * 224] * 2, 64 * 112 * 112, *[128 * 112 * 112] * 2, 128 * 56 * 56, *[256 * 56 * 56] * 3,
        256 * 28 * 28, *[512 * 28 * 28] * 3, *[512 * 14 * 14] * 4, 512 * 7 * 7, 4096, 4096, 1000,
    ]  # fmt: skip
    assert [r.parameters - bias for r, bias in zip(rows, biases, strict=True)] == [
        1_728, 36_864, 0, 73_728, 147_456, 0, 294_912, 589_824, 589_824, 0, 1_179_648, *[2_359_296] * 2, 0,
        *[2_359_296] * 3, 0, 102_760_448, 16_777_216, 4_096_000,
    ]  # fmt: skip


def test_the_volumes_of_alexnet() -> None:
    """M61, and M24's 55×55×96 with 34,848 weights."""
    found = table("alexnet")
    rows = [r for r in found.layers if r.type in ("Conv2d", "MaxPool2d", "FlattenLinear", "Linear")]
    assert [r.output for r in rows] == [
        (96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13), (256, 13, 13),
        (256, 6, 6), (4096,), (4096,), (1000,),
    ]  # fmt: skip
    assert rows[0].parameters - 96 == 34_848
    assert rows[1].parameters == 0
    assert not found.notes


def test_the_volumes_of_zfnet_and_lenet() -> None:
    """M60, M62."""
    zfnet = [r.output for r in table("zfnet").layers if r.type in ("Conv2d", "MaxPool2d")]
    assert zfnet == [
        (96, 110, 110), (96, 55, 55), (256, 26, 26), (256, 13, 13), (512, 13, 13), (1024, 13, 13),
        (512, 13, 13), (512, 6, 6),
    ]  # fmt: skip
    lenet = [r.output for r in table("lenet5").layers if r.type in ("Conv2d", "MaxPool2d", "FlattenLinear")]
    assert lenet == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,)]


def test_the_arithmetic_of_the_lectures() -> None:
    """M24: ten 5×5 filters, stride 1, pad 2 over 32×32×3; 32 → 28 → 24."""
    found = summary(nn.Conv2d(3, 10, 5, 1, 2), (3, 32, 32))
    assert (found.root.output, found.parameters) == ((10, 32, 32), 760)
    twice = summary(nn.Sequential(nn.Conv2d(3, 6, 5), nn.Conv2d(6, 10, 5)), (3, 32, 32))
    assert [layer.output for layer in twice.layers] == [(6, 28, 28), (10, 24, 24)]


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            nn.Conv2d(1, 1, 3, 3),
            (1, 7, 7),
            "(7 + 2·0 − 3)/3 + 1 = 2.33: the last row and column are ignored",
        ),
        (nn.Conv2d(1, 1, 3, 3), (1, 9, 8), "(8 + 2·0 − 3)/3 + 1 = 2.67: the last two columns are ignored"),
        (nn.MaxPool2d(2), (1, 5, 4), "(5 + 2·0 − 2)/2 + 1 = 2.5: the last row is ignored"),
        (
            nn.Conv1d(1, 1, 3, 2, dilation=2),
            (1, 8),
            "(8 + 2·0 − 2·2 − 1)/2 + 1 = 2.5: the last position is ignored",
        ),
        (nn.Conv2d(1, 1, 3, 3, padding=1), (1, 7, 7), None),  # of the padded nine, all are read
        (nn.Conv2d(1, 1, 7, 2, padding=3), (1, 224, 224), None),  # only zeros stay unread
        (nn.Conv2d(1, 1, 1, 2), (1, 8, 8), None),  # skips on purpose
        (nn.MaxPool2d(2, ceil_mode=True), (1, 5, 5), None),
    ],
)
def test_strides_that_do_not_fit(layer: nn.Module, shape: tuple[int, ...], message: str | None) -> None:
    assert summary(layer, shape).root.note == message
    text = " ".join(str(summary(layer, shape)).split())
    assert message in text if message else "ignored" not in text


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (
            nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 1, 3)), (1, 5, 4),
            r"layer '1' \(Conv2d\): \(2 \+ 2·0 − 3\)/1 \+ 1 = 0: nothing is left; .* works is 1×6×6",
        ),
        (nn.Conv2d(1, 1, 3, stride=-1), (1, 5, 5), "stride and dilation must be at least 1, got 3, -1 and 1"),
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), (1, 4, 4), r"layer '1' \(Linear\) takes 9 numbers"),
        (nn.Sequential(nn.Conv2d(3, 4, 3)), (1, 9, 9), r"layer '0' \(Conv2d\) takes 3 channels but gets 1"),
        (nn.Conv2d(1, 1, 3), (1, 0, 5), "every size must be at least 1"),
        (nn.Conv2d(1, 1, 3), (), "invalid input shape"),
    ],
)  # fmt: skip
def test_what_does_not_fit_names_the_layer(model: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        summary(model, shape)


def test_a_pool_that_rounds_up_needs_less() -> None:
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    assert summary(pool, (1, 2, 5)).root.output == tuple(pool(torch.zeros(1, 1, 2, 5)).shape[1:]) == (1, 1, 2)
    with pytest.raises(ModelError, match="works is 1×2×5"):
        summary(pool, (1, 1, 5))


def test_a_forward_that_needs_values_is_refused() -> None:
    class Peeks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(
        ModelError, match=r"layer '0' \(Peeks\) needs values, but a layer table has only shapes"
    ):
        summary(nn.Sequential(Peeks()), (4,))


def test_the_module_is_left_alone() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    summary(model, (1, 8, 8))
    assert model.training and not model[0]._forward_hooks
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert next(model.parameters()).device.type == "cpu"


def test_functions_get_rows_of_their_own() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.scale = nn.Conv2d(1, 4, 3), nn.Parameter(torch.ones(1))
            self.constant = torch.ones(4, 1, 1)  # no buffer: it lies on the CPU

        def forward(self, x: Tensor) -> Tensor:
            y = F.max_pool2d(F.relu(self.first(x)), 2) * self.scale + self.constant
            return y + torch.zeros(1)

    found = summary(Functional(), (1, 10, 10))
    rows = [(layer.name, layer.type) for layer in found.layers]
    assert rows == [
        ("parameters", "Parameter"), ("first", "Conv2d"), ("relu", "relu"), ("max_pool2d", "max_pool2d"),
        ("mul", "mul"), ("add", "add"), ("add", "add"),
    ]  # fmt: skip
    pool = found.layers[3]
    assert pool.window is not None and pool.window.sides[0].kernel_size == 2 and pool.output == (4, 4, 4)
    assert sum(layer.parameters for layer in found.layers) == found.parameters == 41


def test_shared_lazy_frozen_and_parametrized_layers() -> None:
    shared = nn.Conv2d(2, 2, 3, padding=1)
    found = summary(nn.Sequential(shared, nn.ReLU(), shared), (2, 8, 8))
    assert [layer.parameters for layer in found.layers] == [38, 0, 0]
    assert found.parameters == 38 and found.macs == 2 * 2 * 2 * 9 * 64
    assert summary(nn.Sequential(nn.Flatten(), nn.LazyLinear(5)), (2, 8, 8)).parameters == 645
    frozen = nn.Linear(4, 2)
    frozen.weight.requires_grad_(False)
    assert summary(frozen, (4,)).trainable == 2
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3))
    found = summary(nn.Sequential(normed), (1, 8, 8))
    assert [(layer.output, layer.parameters) for layer in found.layers] == [((2, 6, 6), 22)]


def test_every_parameter_is_in_a_row_or_unused() -> None:
    """Also those of modules that are not called, of tied weights, and of products of weights alone."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.direct, self.tied = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
            self.tied.weight = self.first.weight
            self.idle, self.also_idle = nn.Linear(8, 4), nn.Linear(8, 4)
            self.also_idle.weight = self.idle.weight
            self.low = nn.ParameterList([nn.Parameter(torch.zeros(8, 2)), nn.Parameter(torch.zeros(2, 8))])

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(self.first(x), self.direct.weight + self.low[0] @ self.low[1])

    found = summary(Odd(), (8,))
    assert [layer.name for layer in found.layers if layer.parameters] == [
        "direct.weight", "low.0", "low.1", "first",
    ]  # fmt: skip
    assert found.unused == {"idle": 36, "also_idle": 4, "direct.bias": 8, "tied.bias": 8}
    assert sum(row.parameters for row in found.layers) + sum(found.unused.values()) == found.parameters
    assert found.macs == 64 + 64 + 8 * 2 * 8


def test_what_a_lazy_layer_never_learned_is_said() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.LazyLinear(3)

        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(ModelError, match=r"lazy parameter 'idle\.weight' has no size"):
        summary(Idle(), (8,))


def test_markdown_cells_hold_any_name() -> None:
    model = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.ModuleDict({"a|b\nc": nn.Conv2d(1, 1, 2)})["a|b\nc"])
    named = nn.Sequential()
    named.add_module("a|b\nc", model)
    lines = markdown(summary(named, (1, 5, 5))).splitlines()
    columns = {line.replace(r"\|", "").count("|") for line in lines if line.startswith("|")}
    assert columns == {11} and any(r"| a\|b c.1 | Conv2d | 2×2 +0\|1 |" in line for line in lines)


def test_attention_and_recurrence() -> None:
    attention = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    found = summary(attention, (10, 16))
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        torch.backends.mha.set_fastpath_enabled(False)
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()(torch.empty(1, 10, 16))
        torch.backends.mha.set_fastpath_enabled(True)
    assert found.macs == counter.get_total_flops() // 2
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    lstm = summary(nn.LSTM(8, 5, batch_first=True), (7, 8))
    assert lstm.root.output == (7, 5) and lstm.parameters == 4 * 5 * (8 + 5 + 2)


def test_unknown_is_never_zero() -> None:
    @torch.library.custom_op("convnet_uncounted::op", mutates_args=())
    def uncounted(x: Tensor) -> Tensor:
        return x.clone()

    @uncounted.register_fake
    def _(x: Tensor) -> Tensor:
        return torch.empty_like(x)

    class Custom(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return uncounted(x)

    found = summary(nn.Sequential(nn.Conv2d(1, 1, 3), Custom()), (1, 8, 8))
    row = found.to_dict()["layers"][1]
    assert (row["macs"], row["receptive_field"], row["jump"]) == ("unknown",) * 3
    total = found.to_dict()["total"]
    assert (total["macs"], total["macs_uncounted"]) == (324, ["convnet_uncounted::op"])
    assert "at least 324 multiply-accumulates" in plain_text(found)


def test_training_memory_is_what_a_step_keeps() -> None:
    """Against the tensors that autograd really saves, on the CPU."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(72, 5),
    )
    x, saved = torch.rand(4, 3, 8, 8), {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(x)
    for tensor in (x, *model.parameters(), *model.buffers()):
        saved.pop(tensor.untyped_storage().data_ptr(), None)
    found = summary(model, (3, 8, 8), batch_size=4)
    weights = sum(p.nbytes for p in model.parameters())
    assert found.weight_bytes == weights + sum(b.nbytes for b in model.buffers())
    assert found.training_bytes == found.weight_bytes + 3 * weights + sum(saved.values())
    assert found.forward_bytes == found.weight_bytes + 4 * 4 * (3 * 8 * 8 + 2 * 8 * 6 * 6)
    assert out.shape == (4, 5)


def test_padding_before_and_behind() -> None:
    """torch pads one more at the end for an even kernel, in an operation of its own."""
    layer = nn.Conv2d(3, 4, 4, padding="same")
    found = summary(layer, (3, 9, 8))
    assert found.root.output == (4, 9, 8)
    assert found.to_dict()["layers"][0]["padding"] == [[1, 2], [1, 2]]
    assert "4×4 +1|2" in str(found)


def test_numbers_are_never_cut() -> None:
    """What does not fit beside the names is left out, and said to be."""
    model = nn.Sequential(nn.Conv2d(3, 16, (3, 5), padding=(1, 2)), nn.ConvTranspose2d(16, 4, 2, 2))
    outer = nn.Sequential()
    outer.add_module("a_block_with_a_very_long_name_indeed", model)
    found = summary(outer, (3, 222, 224))
    for width in (40, 60, 80, 104, 140):
        out = io.StringIO()
        Console(file=out, width=width, color_system=None).print(terminal(found, width))
        head, _, _, *rows = out.getvalue().splitlines()
        columns = [column for column in COLUMNS if f" {column}" in head]
        assert ("hidden for lack of space" in out.getvalue()) == (len(columns) < 6) == (width < 80)
        assert len(rows) >= len(found.layers)
        for row, layer in zip(rows, found.layers, strict=False):
            assert len(row) <= width
            assert row.split()[2:] == " ".join(cells(layer)[: len(columns)]).split()


def test_volumes_for_the_picture_pass_through_functions_and_skips() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
            self.dense = nn.Linear(4 * 6 * 6, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.first(x))
            x = F.max_pool2d(x + self.second(x), 2)
            return self.dense(torch.flatten(x, 1))

    shapes = [volume.shape for volume in volumes(summary(Functional(), (1, 14, 14)))]
    assert shapes == [(1, 14, 14), (4, 12, 12), (4, 6, 6), (10,)]
    inner = summary(nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1))), (1, 9, 9))
    assert [volume.labels for volume in volumes(inner)][1:] == [("conv 3×3",), ("AdaptiveAvgPool2d",)]


@pytest.mark.parametrize(
    ("module", "shape"), [("alexnet", (3, 9, 9)), (nn.Identity(), 64), (nn.Identity(), (3, 9.0, 9))]
)
def test_no_module_and_no_shape(module: object, shape: object) -> None:
    with pytest.raises(
        ModelError, match=r"torch\.nn\.Module, got str|input_shape must be a sequence of sizes"
    ):
        summary(module, shape)  # type: ignore[arg-type]


def test_json_of_a_table() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, (3, 5), (1, 2), padding=(1, 0)), nn.Flatten(), nn.Linear(96, 2))
    content = summary(model, (3, 6, 11), name="mine").to_dict()
    first, flat, last = content["layers"]
    assert first["kernel_size"] == [3, 5] and first["stride"] == [1, 2] and first["padding"] == [1, 0]
    assert first["output"] == [4, 6, 4] and first["parameters"] == 184
    assert first["activation_bytes"] == 4 * 96 and first["macs"] == 96 * 45
    assert first["receptive_field"] == [3, 5] and first["jump"] == [1, 2] and first["offset"] == [0, 2]
    assert flat["kernel_size"] is None and flat["activation_bytes"] == 0
    assert last["receptive_field"] == [8, 11] and last["jump"] is None
    assert (content["model"], content["input"]) == ("mine", [3, 6, 11])
    assert content["total"]["parameters"] == 184 + 194
    assert content["total"]["activation_bytes"] == 4 * (96 + 2)
    assert math.prod(first["output"]) * 4 == first["activation_bytes"]


@pytest.mark.parametrize("classes", [2, 3])
def test_work_on_weights_alone_happens_once(classes: int) -> None:
    """Also if there are as many rows as traced inputs."""

    class Tower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image, self.text = nn.Linear(64, 16), nn.Linear(32, 16)
            self.names = nn.Parameter(torch.zeros(classes, 32))

        def forward(self, x: Tensor) -> Tensor:
            return self.image(x) @ self.text(self.names).T

    assert summary(Tower(), (64,)).macs == 64 * 16 + classes * 32 * 16 + 16 * classes


def test_a_weight_that_is_repeated_for_each_input_counts_for_each() -> None:
    class Queries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.queries, self.layer = nn.Parameter(torch.zeros(5, 8)), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.queries[:, None].expand(5, len(x), 8)).transpose(0, 1) + x[:, None]

    assert summary(Queries(), (3,)).macs == 5 * 8 * 3


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrent_layers_of_either_order(kind: type[nn.RNNBase], batch_first: bool) -> None:
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[kind]
    assert summary(kind(5, 7, batch_first=batch_first), (9, 5)).macs == 9 * gates * 7 * (5 + 7)


class Repeat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Expand(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


@pytest.mark.parametrize("enlarge", [Repeat, Expand])
def test_enlarging_by_hand_is_enlarging(enlarge: type[nn.Module]) -> None:
    def rows(layer: nn.Module) -> list[tuple[object, ...]]:
        first, last = nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        found = summary(nn.Sequential(first, layer, last), (1, 48, 48))
        return [(row.output, row.receptive_field, row.jump, row.offset) for row in found.layers]

    assert rows(enlarge()) == rows(nn.Upsample(scale_factor=2))
