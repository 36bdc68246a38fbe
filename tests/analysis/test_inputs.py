"""The inputs of a layer table: several of them, whole numbers, missing axes, values that a trace lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import convnet
from convnet.errors import ModelError


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv2d(3, 4, 3), nn.Linear(5, 4)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        out: Tensor = self.conv(x).mean((2, 3)) + self.dense(lengths)
        return out


class OfOne(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        out: Tensor = self.network(batch["x"], batch["lengths"])
        return out


class After(nn.Module):
    """A convolution, and a function of its output."""

    def __init__(self, function: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.function, self.device = nn.Conv2d(3, 8, 3), function, torch.device("cpu")

    def forward(self, x: Tensor) -> Any:
        return self.function(self, self.conv(x))


BY_NAME = {"x": (3, 9, 9), "lengths": (5,)}


@pytest.mark.parametrize(
    ("network", "shapes"), [(Two(), BY_NAME), (Two(), [(3, 9, 9), (5,)]), (OfOne(Two()), BY_NAME)]
)
def test_several_inputs(network: nn.Module, shapes: Any) -> None:
    table = convnet.summary(network, shapes)
    assert (table.root.output, table.macs) == ((4,), 4 * 27 * 49 + 20)
    assert list(table.inputs.values()) == [(3, 9, 9), (5,)]


def test_a_missing_input_is_named() -> None:
    with pytest.raises(convnet.ConvnetError, match="takes the inputs x, lengths; give a shape for each"):
        convnet.summary(Two(), (3, 9, 9))


def test_whole_numbers_for_an_embedding() -> None:
    assert convnet.summary(nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 4)), (9,)).macs == 9 * 24
    with pytest.raises(convnet.ConvnetError, match=r"whole numbers.*give dtype=torch\.long"):
        convnet.summary(nn.Sequential(nn.Identity(), nn.Embedding(10, 6)), (9,))


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (nn.Conv2d(1, 4, 3), (28, 28), "channels × height × width .*28×28: .*give 1×28×28"),
        (nn.Conv2d(2, 2, 3), (28, 28), "give 2×28×28"),
        (nn.MaxPool2d(2), (28, 28), "axis of the channels is missing"),
        (nn.Conv1d(1, 4, 3), (100,), "give 1×100"),
        (nn.Conv3d(1, 2, 3), (5, 12, 12), "give 1×5×12×12"),
        (nn.LSTM(5, 7), (5,), "positions × 5"),
        (After(lambda net, y: y.mean()), (3, 8, 8), "returns one number for two inputs"),
        (After(lambda net, y: y[0]), (3, 8, 8), "returns 8×6×6 for two inputs"),
        (After(lambda net, y: None), (3, 8, 8), "holds no tensor"),
    ],
)
def test_a_lost_axis_is_named(network: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(convnet.ConvnetError, match=message):
        convnet.summary(network, shape)


VALUES: dict[str, Callable[[Any, Tensor], Any]] = {
    "mask": lambda net, y: y[y > 0],
    "nonzero": lambda net, y: y.nonzero(),
    "where": lambda net, y: torch.where(y > 0),
    "unique": lambda net, y: torch.unique(y),
    "masked_select": lambda net, y: y.masked_select(y > 0),
    "bincount": lambda net, y: torch.bincount(y.flatten().long()),
    "item": lambda net, y: y * y.max().item(),
    "if": lambda net, y: y if y.sum() > 0 else -y,
    "numpy": lambda net, y: y.numpy(),
    "format": lambda net, y: f"{y.mean():.2f}",
}


@pytest.mark.parametrize("form", VALUES)
def test_shapes_that_depend_on_values_are_refused_in_our_words(form: str) -> None:
    with pytest.raises(convnet.ConvnetError, match=r"needs values, but a layer table has only shapes$"):
        convnet.summary(After(VALUES[form]), (3, 8, 8))


@pytest.mark.parametrize(
    "move",
    [
        lambda net, y: y.to(net.device),
        lambda net, y: y.to("cpu", torch.float64),
        lambda net, y: y.to(torch.zeros(1)),
        lambda net, y: y.to(device=net.device),
        lambda net, y: y.cpu(),
        lambda net, y: y.cuda(),
        lambda net, y: y + torch.zeros(1, device="cpu"),
        lambda net, y: y + torch.as_tensor(1.0, device=net.device),
    ],
)
def test_moving_to_a_device_is_no_request_for_values(move: Callable[[Any, Tensor], Any]) -> None:
    assert convnet.summary(After(move), (3, 8, 8)).root.output == (8, 6, 6)


def unpooled(net: Any, y: Tensor) -> Tensor:
    return nn.MaxUnpool2d(2)(*F.max_pool2d(y, 2, return_indices=True))


COPIES: dict[str, Callable[[Any, Tensor], Any]] = {
    "roll": lambda net, y: y.roll((1, 1), (2, 3)),
    "flip": lambda net, y: y.flip(-1),
    "channel_shuffle": lambda net, y: F.channel_shuffle(y, 2),
    "nearest-exact": lambda net, y: F.interpolate(y, scale_factor=2, mode="nearest-exact"),
    "max_unpool": unpooled,
    "stack": lambda net, y: torch.stack([y, y], 1),
    "glu": lambda net, y: F.glu(y, 1),
    "topk": lambda net, y: y.topk(2, 1)[0],
    "indexing": lambda net, y: y[:, [0, 1]],
    "circular": lambda net, y: F.pad(y, (1, 1, 1, 1), mode="circular"),
    "prelu": lambda net, y: F.prelu(y, torch.ones(8)),
    "sort": lambda net, y: y.sort(1)[0],
    "repeat": lambda net, y: y.repeat(1, 2, 1, 1),
    "unfold": lambda net, y: F.unfold(y, 2),
    "scatter": lambda net, y: y.scatter(1, torch.zeros_like(y).long(), 1.0),
    "grid_sample": lambda net, y: F.grid_sample(y, torch.zeros(len(y), 4, 4, 2)),
    "cumsum": lambda net, y: y.cumsum(1),
}


@pytest.mark.parametrize("form", COPIES)
def test_operations_that_multiply_nothing_leave_the_total_known(form: str) -> None:
    table = convnet.summary(After(COPIES[form]), (3, 8, 8))
    assert (table.macs, table.uncounted) == (8 * 27 * 36, [])


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("aten::dot", lambda net, y: y + y.flatten()[:3].dot(y.flatten()[:3])),
        ("aten::mv", lambda net, y: y.flatten(1) * torch.mv(y.flatten(1), y.flatten(1)[0])[:, None]),
        ("aten::_fft_r2c", lambda net, y: torch.fft.rfft2(y)),
    ],
)
def test_an_uncounted_operation_that_may_multiply_makes_a_lower_bound(
    name: str, function: Callable[[Any, Tensor], Any]
) -> None:
    table = convnet.summary(After(function), (3, 8, 8))
    assert (table.macs, table.uncounted) == (8 * 27 * 36, [name])
    assert f"not counted, but may multiply: {name}" in str(table)
    assert "at least" in str(table)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers(kind: type[nn.RNNBase]) -> None:
    gates = {nn.RNN: 1, nn.LSTM: 4, nn.GRU: 3}[kind]
    table = convnet.summary(kind(5, 7, batch_first=True), (9, 5))
    assert table.macs == 9 * gates * 7 * (5 + 7)


class Both(nn.Module):
    """An image and the indices of words."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.words = nn.Conv2d(3, 4, 3), nn.Embedding(10, 4)

    def forward(self, image: Tensor, words: Tensor) -> Tensor:
        return self.image(image).mean((2, 3)) + self.words(words).mean(1)


def test_inputs_of_several_types() -> None:
    """The way out that the message names works."""
    shapes = {"image": (3, 9, 9), "words": (4,)}
    with pytest.raises(ModelError, match=r'give dtype=\{"NAME": torch.long\} for the inputs that hold them'):
        convnet.summary(Both(), shapes)
    assert convnet.summary(Both(), shapes, dtype={"words": torch.long}).macs == 4 * 27 * 49
    assert convnet.summary(Both(), [(3, 9, 9), (4,)], dtype={"1": torch.long}).macs == 4 * 27 * 49
    with pytest.raises(ModelError, match="dtype names the input 'word'; the inputs are image, words"):
        convnet.summary(Both(), shapes, dtype={"word": torch.long})
    with pytest.raises(ModelError, match=r"dtype must be a torch\.dtype"):
        convnet.summary(Both(), shapes, dtype="long")  # type: ignore[arg-type]


def test_a_lazy_layer_has_not_taken_the_batch_for_channels() -> None:
    with pytest.raises(ModelError, match="the axis of the channels is missing; give 1×28×28"):
        convnet.summary(nn.LazyConv2d(4, 3), (28, 28))


def test_packed_sequences_need_values() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.rnn = nn.Embedding(10, 5), nn.LSTM(5, 7, batch_first=True)

        def forward(self, tokens: Tensor) -> Tensor:
            lengths = (tokens != 0).sum(1).cpu()
            packed = nn.utils.rnn.pack_padded_sequence(
                self.embed(tokens), lengths, batch_first=True, enforce_sorted=False
            )
            state: Tensor = self.rnn(packed)[1][0][-1]
            return state

    with pytest.raises(ModelError, match="needs values, but a layer table has only shapes"):
        convnet.summary(Packed(), (9,), dtype=torch.long)
