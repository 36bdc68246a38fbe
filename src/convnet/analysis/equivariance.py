"""Measure translation equivariance f(translate(x)) = translate(f(x))."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from convnet.analysis.summary import summary
from convnet.analysis.table import Layer
from convnet.errors import DataError, ModelError
from convnet.layers.evaluating import evaluating

Shift = tuple[int, int]


@dataclass(frozen=True)
class LayerEquivariance:
    """The equivariance of one layer.

    Attributes:
        name: The layer's name.
        type: The layer's class.
        jump: Input pixels between neighboring positions, per side.
        errors: ‖f(translate(x)) − translate(f(x))‖ / ‖f(x)‖ per shift, where f(x) is moved by the nearest
            whole number of positions; None for outputs without sides.
        changes: ‖f(translate(x)) − f(x)‖ / ‖f(x)‖ per shift.
        is_interior: Whether only positions were compared whose receptive field is within the image.
    """

    name: str
    type: str
    jump: tuple[float, ...] | None
    errors: tuple[float, ...] | None
    changes: tuple[float, ...]
    is_interior: bool


@dataclass(frozen=True)
class Equivariance:
    """The equivariance of all layers of a network, for all shifts (down, right) in pixels."""

    shifts: tuple[Shift, ...]
    layers: tuple[LayerEquivariance, ...]

    @property
    def maps(self) -> LayerEquivariance:
        """The last layer whose output has positions."""
        found = [layer for layer in self.layers if layer.errors is not None]
        if not found:
            raise ModelError("no layer has maps with positions that can be compared for these shifts")
        return found[-1]

    @property
    def error(self) -> float:
        """The mean error over the shifts in the last maps; 0 is perfect equivariance.

        It includes effects of the border unless `maps.is_interior` is True.
        """
        errors = self.maps.errors or ()
        return sum(errors) / len(errors)

    @property
    def change(self) -> float:
        """The mean change of the network's output over the shifts; 0 is perfect invariance."""
        return sum(self.layers[-1].changes) / len(self.shifts)

    def to_dict(self) -> dict[str, Any]:
        """Errors and changes per layer as plain values, for JSON."""
        return {
            "shifts": [list(shift) for shift in self.shifts],
            "layers": [asdict(row) for row in self.layers],
        }

    def __str__(self) -> str:
        """A table with one row per layer: the error and the change for every shift."""
        names = [f"{layer.name} {layer.type}".strip() for layer in self.layers]
        width = max(map(len, names))
        shifts = (f"{down},{right}" for down, right in self.shifts)
        lines = [" " * width + "".join(f"{shift:>14}" for shift in shifts)]
        for name, layer in zip(names, self.layers, strict=True):
            mark = " " if layer.is_interior or layer.errors is None else "*"
            errors = [f"{e:.3f}{mark}" for e in layer.errors or ()] or ["– "] * len(self.shifts)
            pairs = zip(errors, layer.changes, strict=True)
            lines.append(f"{name:<{width}}" + "".join(f"{error:>9}{change:.3f}" for error, change in pairs))
        lines.append("error of equivariance and change of the output, relative, for each shift")
        if any(layer.errors and not layer.is_interior for layer in self.layers):
            lines.append("* all receptive fields extend beyond the border, whose zeros do not move")
        return "\n".join(lines)


def equivariance(
    model: nn.Module, images: Float[Tensor, "N C H W"], shifts: Sequence[int | Shift] = (1, 2, 3, 4)
) -> Equivariance:
    """Shift images by whole pixels and compare the outputs of every layer with those of the originals.

    A convolution of stride 1 is equivariant to all shifts, one of stride s or a pool to multiples of s.
    Pooling reduces the change of the output under small shifts.

    Args:
        model: The network; run in evaluation mode and left unchanged.
        images: Float N×C×H×W.
        shifts: Pixels to the right, or pairs (down, right); zeros move in.

    Returns:
        Errors and changes per layer and shift; print it for a table.

    Raises:
        ModelError: The network does not fit the images.
        DataError: The images are not float N×C×H×W, or a shift is invalid or as large as the images.
    """
    if images.dim() != 4 or not images.is_floating_point():
        shape = "×".join(map(str, images.shape))
        raise DataError(f"images are N×C×H×W and float, got {shape} and {images.dtype}")
    pairs = _pairs(shifts)
    height, width = images.shape[2:]
    for down, right in pairs:
        if abs(down) >= height or abs(right) >= width:
            raise DataError(f"a shift of {down}, {right} is too large for images of {height}×{width}")
    table = {layer.name: layer for layer in summary(model, images.shape[1:]).layers}
    before = _outputs(model, images, table)
    moved = [_outputs(model, _translated(images, shift), table) for shift in pairs]
    rows = []
    for name, still in before.items():
        layer, after = table[name], [outputs[name] for outputs in moved]
        errors, interior = _errors(layer, still, after, pairs, (height, width))
        changes = tuple(_relative(other, still, still) for other in after)
        rows.append(LayerEquivariance(name, layer.type, layer.jump, errors, changes, interior))
    return Equivariance(pairs, tuple(rows))


def _pairs(shifts: object) -> tuple[Shift, ...]:
    wrong = DataError(f"shifts are integers or pairs of integers, e.g. [1, (2, 0)], got {shifts!r}")
    if not isinstance(shifts, Iterable):
        raise wrong
    pairs = [(0, shift) if isinstance(shift, int) else shift for shift in shifts]
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(n, int) for n in pair):
            raise wrong
    if not pairs:
        raise wrong
    return tuple(pairs)


@torch.no_grad()
def _outputs(model: nn.Module, images: Tensor, layers: dict[str, Layer]) -> dict[str, Tensor]:
    """The output of every layer at the time when it returned."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                found[name] = output.detach().clone().float()  # the next layer may work in place

        return hook

    hooks = [m.register_forward_hook(keep(name)) for name, m in model.named_modules() if name in layers]
    with evaluating(model):
        model(images)
    for hook in hooks:
        hook.remove()
    return found


def _translated(images: Tensor, shift: Shift) -> Tensor:
    """The images moved down and to the right, zeros moving in."""
    moved = torch.zeros_like(images)
    (to_rows, from_rows), (to_columns, from_columns) = (
        _overlap(size, step) for size, step in zip(images.shape[2:], shift, strict=True)
    )
    moved[:, :, to_rows, to_columns] = images[:, :, from_rows, from_columns]
    return moved


def _overlap(size: int, step: int) -> tuple[slice, slice]:
    """The positions after and before a move by `step`."""
    return slice(max(step, 0), size + min(step, 0)), slice(max(-step, 0), size - max(step, 0))


def _errors(
    layer: Layer, still: Tensor, moved: list[Tensor], shifts: tuple[Shift, ...], size: tuple[int, int]
) -> tuple[tuple[float, ...] | None, bool]:
    if still.dim() != 4 or not layer.jump or not all(layer.jump):
        return None, False
    errors, interior = [], True
    for other, shift in zip(moved, shifts, strict=True):
        targets, sources = [], []
        for side, count in enumerate(still.shape[2:]):
            step = round(shift[side] / layer.jump[side])
            kept = range(count)[_overlap(count, step)[0]]
            if not kept:  # the maps are smaller than the shift
                return None, False
            inside = _inside(layer, side, count, shift[side], size[side])
            places = [place for place in kept if place in inside]
            if not places:
                places, interior = list(kept), False
            targets.append(torch.tensor(places))
            sources.append(torch.tensor(places) - step)
        a = other[:, :, targets[0]][:, :, :, targets[1]]
        b = still[:, :, sources[0]][:, :, :, sources[1]]
        errors.append(_relative(a, b, b))
    return tuple(errors), interior


def _inside(layer: Layer, side: int, places: int, shift: int, size: int) -> set[int]:
    """The positions whose receptive field holds only shifted pixels, for a shift."""
    assert layer.jump and layer.offset and layer.receptive_field
    half = (layer.receptive_field[side] - 1) / 2
    centers = {place: layer.offset[side] + place * layer.jump[side] for place in range(places)}
    low, high = max(shift, 0), size - 1 + min(shift, 0)
    return {p for p, center in centers.items() if low <= center - half and center + half <= high}


def _relative(a: Tensor, b: Tensor, reference: Tensor) -> float:
    scale = float(reference.norm())
    return float((a - b).norm()) / scale if scale else 0.0
