"""The layer table of any network: output shapes, parameters, memory, costs and receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise

from torch import nn
from torch.nn.parameter import is_lazy

from convnet.analysis.call import Call
from convnet.analysis.field import Field
from convnet.analysis.inputs import Inputs, Shapes, Types, parse_inputs
from convnet.analysis.memory import saved_bytes
from convnet.analysis.render import fragment, plain_text
from convnet.analysis.smallest import fitting_trace
from convnet.analysis.table import Layer, LayerTable
from convnet.analysis.trace import Trace, trace
from convnet.errors import ModelError
from convnet.meta import on_meta


class Summary(LayerTable):
    """A layer table that prints as text and is shown as a folding table in notebooks."""

    def __repr__(self) -> str:
        return plain_text(self)

    def _repr_html_(self) -> str:
        return fragment(self)


def summary(
    module: nn.Module,
    input_shape: Shapes,
    *,
    name: str | None = None,
    batch_size: int = 1,
    dtype: Types | None = None,
    training: bool = False,
) -> Summary:
    """Make the layer table of any `nn.Module`.

    The module is copied to the meta device and run there, so nothing is allocated and the module is
    unchanged. Receptive fields are exact, over all branches.

        >>> import convnet
        >>> from torch import nn
        >>> table = convnet.summary(nn.Sequential(nn.Conv2d(3, 10, 5, padding=2), nn.ReLU()), (3, 32, 32))
        >>> table.parameters, table.layers[0].output, table.layers[0].receptive_field
        (760, (10, 32, 32), (5, 5))

    Args:
        module: The network.
        input_shape: The shape of an input without the batch dimension, e.g. (3, 224, 224). For several
            inputs a list of shapes, or a dictionary: keyword arguments if `forward` has parameters of those
            names, else a single dictionary.
        name: The name shown in the table. Default: the class of the module.
        batch_size: The batch size for the memory figures.
        dtype: The type of the inputs, or types by the name of an input: {"words": torch.long}. Default: that
            of the weights; whole numbers if the first layer is an embedding.
        training: Whether to follow the network in training mode, in which it may use more layers, such as
            auxiliary heads.

    Returns:
        The table; print it, or use `layers`, `parameters`, `macs`, `to_dict()`.

    Raises:
        ModelError: The arguments are invalid, or a layer does not fit its input; the message names the layer
            with its arithmetic and the smallest input that works.
    """
    if not isinstance(module, nn.Module):
        raise ModelError(f"expected a torch.nn.Module, got {type(module).__name__}")
    module = on_meta(module)
    inputs = parse_inputs(module, input_shape, dtype)
    found = fitting_trace(module, inputs, training=training)
    _require_sizes(module)
    weights = {id(p): p for p in module.parameters()}
    buffers = {id(b): b for b in module.buffers()}
    builder = _Builder()
    root = builder.root(found, module)
    weight_bytes = sum(t.nbytes for t in (*weights.values(), *buffers.values()))
    return Summary(
        model=name or type(module).__name__,
        input=inputs.first,
        inputs=inputs.shapes,
        batch_size=batch_size,
        root=root,
        parameters=sum(p.numel() for p in weights.values()),
        trainable=sum(p.numel() for p in weights.values() if p.requires_grad),
        unused=_unused(module, builder.counted),
        weight_bytes=weight_bytes,
        forward_bytes=weight_bytes + batch_size * found.peak,
        training_bytes=_training_bytes(module, found, inputs, batch_size, weight_bytes),
    )


def unfitting_strides(module: nn.Module, input_shape: Sequence[int]) -> list[str]:
    """The notes of the table on strides that leave pixels unused; empty if the network cannot be traced."""
    try:
        found = trace(on_meta(module), parse_inputs(module, input_shape, None))
    except ModelError:
        return []
    return _Builder().layer(found.call).notes()


def _training_bytes(
    module: nn.Module,
    found: Trace,
    inputs: Inputs,
    batch_size: int,
    weight_bytes: int,
) -> int | None:
    """The bytes of weights, gradients, Adam's two moments and saved activations."""
    several = max(2, batch_size)  # batch norm refuses a single value per channel
    saved = saved_bytes(module, inputs, several)
    if saved is None:
        return None
    learned = sum(p.nbytes for p in module.parameters() if p.requires_grad)
    return weight_bytes + 3 * learned + max(saved * batch_size // several, batch_size * found.peak)


def _require_sizes(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise ModelError(f"the lazy parameter '{name}' has no size because evaluation does not use it")


class _Builder:
    """Turns calls into layers; a parameter counts where it is first used."""

    def __init__(self) -> None:
        self.counted: set[int] = set()

    def root(self, found: Trace, module: nn.Module) -> Layer:
        """The row of the whole network, including parameters used without a call of their module."""
        root = self.layer(found.call)
        named = [(name, p) for name, p in module.named_parameters() if id(p) in found.read - self.counted]
        loose = tuple(_held(name, root.input, *self._count([p])) for name, p in named)
        return replace(
            root,
            inside=loose + root.inside,
            parameters=root.parameters + sum(row.parameters for row in loose),
            trainable=root.trainable + sum(row.trainable for row in loose),
        )

    def layer(self, call: Call) -> Layer:
        """The row of a call, with the rows inside of it."""
        innermost = call.is_layer
        own = list(call.module.parameters(recurse=innermost)) if call.module is not None else []
        parameters, trainable = self._count(own)
        inside = [] if innermost else [self.layer(inner) for inner in call.inside]
        if not innermost and parameters:  # held by the block itself
            name = f"{call.name}.parameters".lstrip(".")
            inside.insert(0, _held(name, call.input, parameters, trainable))
        return Layer(
            name=call.name,
            type=call.kind,
            input=call.input,
            output=call.output,
            window=call.window,
            parameters=sum(layer.parameters for layer in inside) if inside else parameters,
            trainable=sum(layer.trainable for layer in inside) if inside else trainable,
            activation_bytes=sum(layer.activation_bytes for layer in inside) if inside else call.made,
            macs=sum(layer.macs for layer in inside) if inside else call.macs,
            uncounted=tuple(name for layer in inside for name in layer.uncounted)
            if inside
            else call.uncounted,
            receptive_field=_sizes(call.field),
            jump=_each(call.field, "jump"),
            offset=_each(call.field, "start"),
            own_field=_sizes(call.own),
            inside=tuple(inside),
            is_chain=all(after.takes == before.gives for before, after in pairwise(call.inside)),
            note=call.window.complaint if call.window else None,
            sources=call.sources,
            result=call.gives,
        )

    def _count(self, parameters: list[nn.Parameter]) -> tuple[int, int]:
        new = [p for p in parameters if id(p) not in self.counted]
        self.counted |= {id(p) for p in new}
        return sum(p.numel() for p in new), sum(p.numel() for p in new if p.requires_grad)


def _held(name: str, shape: tuple[int, ...], parameters: int, trainable: int) -> Layer:
    """A row for parameters outside the layers."""
    return Layer(
        name, "Parameter", shape, None, None, parameters, trainable, 0, 0, (), (), (), (), (), (), True, None
    )


def _unused(module: nn.Module, counted: set[int]) -> dict[str, int]:
    """Parameters that evaluation does not use, by the outermost modules that hold only such parameters."""
    found, seen = dict[str, int](), set(counted)
    for name, part in module.named_modules():
        parameters = {id(p): p for p in part.parameters()}
        if not parameters.keys() & counted and (new := parameters.keys() - seen):
            found[name] = sum(parameters[key].numel() for key in new)
            seen |= new
    alone = {name: p.numel() for name, p in module.named_parameters() if id(p) not in seen}
    return found | alone


def _sizes(field: Field | None) -> tuple[int, ...] | None:
    sizes = _each(field, "size")
    return None if sizes is None else tuple(int(size) for size in sizes)


def _each(field: Field | None, what: str) -> tuple[float, ...] | None:
    """A property of the reach along every side; None if one is unknown."""
    if field is None:
        return ()
    field = reduce(Field.enlarged, range(len(field.dims)), field)
    if None in field.reaches:
        return None
    return tuple(getattr(reach, what) for reach in field.reaches)
