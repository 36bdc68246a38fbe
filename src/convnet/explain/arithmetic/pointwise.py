"""Activation functions, sums and products of single numbers."""

from __future__ import annotations

from torch import Tensor

from convnet.explain.arithmetic.rule import Parts, input_of, rule, terms
from convnet.explain.arithmetic.unit import Position, Term
from convnet.explain.capture import Operation

ACTIVATIONS = {
    "relu": "max(0, x)", "tanh": "tanh(x)", "sigmoid": "1 / (1 + exp(−x))",
    "leaky_relu": "x if x > 0, else slope × x",
    "elu": "x if x > 0, else α × (exp(x) − 1)", "gelu": "x × Φ(x)", "silu": "x × sigmoid(x)",
    "hardtanh": "x, limited to the range", "relu6": "min(max(0, x), 6)", "hardswish": "x × relu6(x + 3) / 6",
    "softplus": "log(1 + exp(x))", "selu": "scaled ELU of x", "mish": "x × tanh(softplus(x))",
    "hardsigmoid": "relu6(x + 3) / 6", "celu": "CELU of x", "softsign": "x / (1 + |x|)",
}  # fmt: skip
"""Activation functions and their formulas."""


@rule(*ACTIVATIONS, "square", "abs", "neg", "exp", "log", "sqrt", "pow", "clamp", "dropout", "clone")
def _pointwise(op: Operation, place: Position) -> Parts:
    value = input_of(op)[place]
    computed = applied(op, value)
    formula = ACTIVATIONS.get(op.kind, "x" if op.kind in ("dropout", "clone") else f"{op.kind}(x)")
    return {"formula": formula, "computed": computed, "terms": (Term("x", float(value)),)}


def applied(op: Operation, value: Tensor) -> float:
    """The function of a pointwise operation at another value."""
    arguments = op.arguments[1:] if op.arguments else ()
    keywords = {key: other for key, other in op.keywords.items() if key != "input"}
    return float(op.function(value.reshape(1), *arguments, **keywords))


@rule("add", "sub", "mul", "div", "truediv", "radd", "rmul", "rsub")
def _elementwise(op: Operation, place: Position) -> Parts:
    sides = [op.argument(0, "input"), op.argument(1, "other")]
    values = []
    for side in sides:
        if isinstance(side, Tensor):
            expanded = side.expand(op.output.shape)
            values.append(float(expanded[(0, *place)].double()))
        else:
            values.append(float(side))
    kind = op.kind.removeprefix("r") if op.kind in ("radd", "rmul", "rsub") else op.kind
    a, b = values if op.kind != "rsub" else values[::-1]
    alpha = float(op.keywords.get("alpha", 1))
    computed = {"add": a + alpha * b, "sub": a - alpha * b, "mul": a * b}.get(kind)
    sign = {"add": "+", "sub": "−", "mul": "×"}.get(kind, "/")
    if computed is None:
        computed = a / b
    names = [source or "input" for source in op.inputs] + ["constant"] * 2
    return {
        "formula": f"a {sign} b",
        "computed": computed,
        "terms": (Term(f"a ({names[0]})", a), Term(f"b ({names[1]})", b)),
    }


@rule("addcmul")
def _scaled(op: Operation, place: Position) -> Parts:
    a, b, c = (
        float(op.argument(i, n).expand(op.output.shape)[(0, *place)].double())
        for i, n in enumerate(("input", "tensor1", "tensor2"))
    )
    return {"formula": "a + x × scale", "computed": a + b * c, "terms": terms({"a": a, "x": b, "scale": c})}
