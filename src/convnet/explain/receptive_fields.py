"""The part of every earlier layer, and of the input, that a unit depends on."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from convnet.explain.arithmetic import unit
from convnet.explain.arithmetic.moves import COPIES, moved_from
from convnet.explain.arithmetic.rule import per_side
from convnet.explain.capture import Capture, Operation

Box = tuple[int, int, int, int]
"""The first and last row and the first and last column."""
NOTHING: Box = (1 << 30, -1, 1 << 30, -1)
"""The box of a part that depends on nothing, such as padding."""
INPUT = "input"
"""The name of the input of the network."""
_WEIGHTED = ("conv", "linear", "batch_norm", "layer_norm")
"""Operations whose first argument alone is an activation."""


def receptive_fields(found: Capture, layer: str, position: Sequence[int]) -> dict[str, Box]:
    """The receptive field of a unit in every layer before it.

    Args:
        found: The operations of a network for one input.
        layer: The name of a layer.
        position: Channel, row and column of a unit; only the channel for vectors.

    Returns:
        The box of rows and columns by the name of the layer, clipped to it; "input" is the network's input.
        Of vectors, which have no rows and columns, and of layers whose positions mix, it is the whole layer.

    Raises:
        ModelError: There is no such layer or position.
    """
    last = found[layer]
    unit(found, last.name, position)  # a position outside the layer is an error
    boxes: dict[str, Box] = {}
    place = tuple(position)
    start = (place[1], place[1], place[2], place[2]) if len(place) == 3 else _whole(last.output)
    needed: dict[str, Box] = {last.name: start}
    for op in reversed(found.operations):
        if op.name not in needed:
            continue
        box = boxes[op.name] = _clipped(needed.pop(op.name), op.output)
        for name, tensor in _read(op, found):
            part = _before(found, op, box, tensor)
            if part == NOTHING:
                continue
            needed[name] = _hull(needed[name], part) if name in needed else part
    if INPUT in needed:
        boxes[INPUT] = _clipped(needed[INPUT], found.input)
    return boxes


def _read(op: Operation, found: Capture) -> list[tuple[str, Tensor]]:
    """The activations that an operation reads, with the names of the layers that they come from."""
    tensors = _tensors([*op.arguments, *op.keywords.values()])
    pairs = list(zip(op.inputs, tensors, strict=False))
    if op.kind.startswith(_WEIGHTED):
        pairs = pairs[:1]
    return [
        (name or INPUT, tensor)
        for name, tensor in pairs
        if name is not None or _is_input(tensor, found.input)
    ]


def _is_input(tensor: Tensor, image: Tensor) -> bool:
    return tensor.shape == image.shape


def _tensors(values: Sequence[object]) -> list[Tensor]:
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found


def _before(found: Capture, op: Operation, box: Box, tensor: Tensor) -> Box:
    """The part of an input that a part of an operation's output depends on."""
    if tensor.dim() != 4 or op.output.dim() != 4:
        return _whole(tensor)
    if op.kind == "conv_transpose2d":
        return _before_transposed(op, box)
    if op.kind == "pad" or op.kind in COPIES:
        return _before_moved(op, box, tensor)
    windows = [unit(found, op.name, (0, row, column)).window for row, column in _corners(box)]
    if all(window is not None for window in windows):
        first, last = windows[0], windows[-1]
        assert first is not None and last is not None
        return first[0], last[1], first[2], last[3]
    if tensor.shape[2:] == op.output.shape[2:]:
        return box
    if op.kind in ("interpolate", "upsample"):
        return _before_resized(box, tensor, op.output)
    return _whole(tensor)


def _corners(box: Box) -> list[tuple[int, int]]:
    return [(box[0], box[2]), (box[1], box[3])]


def _before_transposed(op: Operation, box: Box) -> Box:
    weight = op.argument(1, "weight")
    stride, pad = per_side(op.argument(3, "stride", 1), 2), per_side(op.argument(4, "padding", 0), 2)
    dilation = per_side(op.argument(7, "dilation", 1), 2)
    ends = []
    for side in (0, 1):
        reach = (weight.shape[side + 2] - 1) * dilation[side]
        ends.append(-(-(box[2 * side] + pad[side] - reach) // stride[side]))
        ends.append((box[2 * side + 1] + pad[side]) // stride[side])
    return ends[0], ends[1], ends[2], ends[3]


def _before_moved(op: Operation, box: Box, tensor: Tensor) -> Box:
    """Where the numbers of a part were before they were moved."""
    numbers = moved_from(op)[0, :, box[0] : box[1] + 1, box[2] : box[3] + 1]
    numbers = numbers[numbers >= 0] % (tensor.shape[2] * tensor.shape[3])
    if not len(numbers):
        return NOTHING
    rows, columns = numbers // tensor.shape[3], numbers % tensor.shape[3]
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def _before_resized(box: Box, before: Tensor, after: Tensor) -> Box:
    """Interpolation reads the nearest positions on both sides."""
    ends = []
    for side in (0, 1):
        scale = before.shape[side + 2] / after.shape[side + 2]
        ends += [int((box[2 * side] + 0.5) * scale - 0.5), int((box[2 * side + 1] + 0.5) * scale + 0.5)]
    return ends[0], ends[1], ends[2], ends[3]


def _whole(tensor: Tensor) -> Box:
    if tensor.dim() == 4:
        return 0, tensor.shape[2] - 1, 0, tensor.shape[3] - 1
    return 0, tensor.shape[1] - 1, 0, 0


def _hull(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), max(one[3], other[3])


def _clipped(box: Box, tensor: Tensor) -> Box:
    limits = _whole(tensor)
    return (
        max(limits[0], box[0]),
        min(limits[1], box[1]),
        max(limits[2], box[2]),
        min(limits[3], box[3]),
    )
