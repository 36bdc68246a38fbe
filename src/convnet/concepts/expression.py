"""The computation graph of an expression: values forward, gradients backward."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from convnet.concepts.concept import LARGEST, short, table
from convnet.errors import DataError

LONGEST = 500
MOST_NODES = 60

_BINARY: dict[type, tuple[str, Callable[[Tensor, Tensor], Tensor]]] = {
    ast.Add: ("+", torch.add),
    ast.Sub: ("−", torch.sub),
    ast.Mult: ("×", torch.mul),
    ast.Div: ("/", torch.div),
    ast.Pow: ("^", torch.pow),
}
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "max": torch.maximum,
    "min": torch.minimum,
}
_TWO = {"max", "min"}


@dataclass(frozen=True)
class Node:
    """A node of the graph.

    Attributes:
        name: Its number in the order of computation, or the name of a variable.
        operation: "+", "×", "exp", …; the name of a variable, or a constant.
        inputs: The names of the nodes that it reads.
        value: The value of the forward pass.
        gradient: The derivative of the result with respect to this node.
        local: The derivative of this node with respect to each of its inputs.
    """

    name: str
    operation: str
    inputs: tuple[str, ...]
    value: float
    gradient: float = 0.0
    local: tuple[float, ...] = ()


@dataclass(frozen=True)
class ComputationGraph:
    """An expression, its nodes in the order of computation, and its variables.

    Attributes:
        expression: The text.
        variables: The values of the variables.
        nodes: Inputs before what reads them; the last is the result.
    """

    expression: str
    variables: Mapping[str, float]
    nodes: tuple[Node, ...]

    @property
    def value(self) -> float:
        """The value of the expression."""
        return self.nodes[-1].value

    @property
    def gradients(self) -> dict[str, float]:
        """The derivative of the expression with respect to every variable."""
        return {node.name: node.gradient for node in self.nodes if node.name in self.variables}

    def to_dict(self) -> dict[str, Any]:
        """The nodes as plain values."""
        return {
            "expression": self.expression,
            "variables": dict(self.variables),
            "value": self.value,
            "gradients": self.gradients,
            "nodes": [
                {
                    "name": node.name,
                    "operation": node.operation,
                    "inputs": list(node.inputs),
                    "value": node.value,
                    "gradient": node.gradient,
                    "local_gradients": list(node.local),
                }
                for node in self.nodes
            ],
        }

    def __str__(self) -> str:
        rows = [("node", "computes", "value", "local gradients", "gradient")]
        for node in self.nodes:
            local = ", ".join(map(short, node.local)) or "–"
            rows.append((node.name, _written(node), short(node.value), local, short(node.gradient)))
        return table(rows)


def computation_graph(expression: str, /, **variables: float) -> ComputationGraph:
    """Compute an expression and the derivatives of its result, node by node.

        >>> from convnet.concepts import computation_graph
        >>> computation_graph("(x + y) * z", x=-2, y=5, z=-4).gradients
        {'x': -4.0, 'y': -4.0, 'z': 3.0}

    Args:
        expression: Variables and numbers with +, −, *, /, ** and exp, log, sqrt, sigmoid, tanh, relu, max
            and min.
        **variables: The value of every variable.

    Returns:
        The nodes with their values, local gradients and gradients.

    Raises:
        DataError: The expression cannot be read, a variable has no value, or a value is not finite.
    """
    builder = _Builder(expression, variables)
    builder.visit(_parsed(expression))
    if unused := sorted(set(variables) - set(builder.names)):
        raise DataError(f"variable {unused[0]}: the expression '{expression}' does not contain it")
    return ComputationGraph(expression, {k: float(v) for k, v in variables.items()}, builder.finished())


def _parsed(expression: str) -> ast.expr:
    if len(expression) > LONGEST:
        raise DataError(f"the expression has {len(expression)} characters; at most {LONGEST} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on odd spellings
            return ast.parse(expression.replace("^", "**").strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise DataError(f"expression '{expression}': cannot be read; write it as (x + y) * z") from None


def _constant(part: ast.expr) -> float | None:
    """The value of a number, which may have a minus; None for anything else."""
    match part:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number) if abs(number) <= LARGEST else None
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _constant(operand)
            return None if value is None else -value
    return None


def _written(node: Node) -> str:
    if not node.inputs:
        return node.operation
    if node.operation.startswith("^") and len(node.inputs) == 1:
        return f"{node.inputs[0]}{node.operation}"
    if len(node.inputs) == 2 and node.operation not in _FUNCTIONS:
        return f"{node.inputs[0]} {node.operation} {node.inputs[1]}"
    return f"{node.operation}({', '.join(node.inputs)})"


class _Builder:
    """Makes nodes of the parts of an expression; equal variables are one node."""

    def __init__(self, expression: str, variables: Mapping[str, float]) -> None:
        self.expression, self.variables = expression, variables
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self.functions: dict[str, Callable[..., Tensor]] = {}

    @property
    def names(self) -> list[str]:
        return [node.name for node in self.nodes]

    def visit(self, part: ast.expr) -> str:
        """The name of the node of a part, made if it is new."""
        match part:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                value = float(number) if abs(number) <= LARGEST else math.inf
                return self._leaf(f"#{len(self.nodes) + 1}", short(value), value)
            case ast.Name(id=name) if name in self.variables:
                return name if name in self.tensors else self._leaf(name, name, float(self.variables[name]))
            case ast.Name(id=name):
                raise DataError(f"variable {name}: it has no value; give one, such as {name}=2")
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._operation("negate", torch.neg, [self.visit(operand)])
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.visit(operand)
            case ast.BinOp(op=ast.Pow(), left=left, right=right) if (power := _constant(right)) is not None:
                return self._operation(f"^{short(power)}", lambda x: x**power, [self.visit(left)])
            case ast.BinOp(op=kind, left=left, right=right) if type(kind) in _BINARY:
                sign, function = _BINARY[type(kind)]
                return self._operation(sign, function, [self.visit(left), self.visit(right)])
            case ast.Call(func=ast.Name(id=name), args=inputs, keywords=[]) if name in _FUNCTIONS:
                if len(inputs) != (2 if name in _TWO else 1):
                    raise DataError(f"{name} takes {'two arguments' if name in _TWO else 'one argument'}")
                return self._operation(name, _FUNCTIONS[name], [self.visit(one) for one in inputs])
        known = ", ".join(_FUNCTIONS)
        text = ast.unparse(part)
        raise DataError(f"'{text}' is not supported; use numbers, variables, + − * / ** and {known}")

    def _leaf(self, name: str, text: str, value: float) -> str:
        if not abs(value) <= LARGEST:
            name = "a number" if name.startswith("#") else f"variable {name}"
            raise DataError(
                f"{name} of '{self.expression}': expected a value from −{LARGEST:g} to {LARGEST:g}"
            )
        self._add(Node(name, text, (), value), torch.tensor(value, dtype=torch.float64, requires_grad=True))
        return name

    def _operation(self, sign: str, function: Callable[..., Tensor], inputs: list[str]) -> str:
        name = f"#{len(self.nodes) + 1}"
        result = function(*(self.tensors[one] for one in inputs))
        if not math.isfinite(float(result.detach())):
            values = ", ".join(short(float(self.tensors[one].detach())) for one in inputs)
            raise DataError(f"{sign} of {values} in '{self.expression}' is not a finite number")
        self.functions[name] = function
        self._add(Node(name, sign, tuple(inputs), float(result.detach())), result)
        return name

    def _add(self, node: Node, tensor: Tensor) -> None:
        if len(self.nodes) == MOST_NODES:
            raise DataError(f"the expression has over {MOST_NODES} nodes")
        self.nodes.append(node)
        self.tensors[node.name] = tensor

    def finished(self) -> tuple[Node, ...]:
        """The nodes with their gradients."""
        tensors = [self.tensors[node.name] for node in self.nodes]
        found = torch.autograd.grad(tensors[-1], tensors, allow_unused=True)
        gradients = [0.0 if grad is None else float(grad) for grad in found]
        nodes = tuple(
            replace(node, gradient=gradient, local=self._local(node))
            for node, gradient in zip(self.nodes, gradients, strict=True)
        )
        wrong = [node for node in nodes if not all(map(math.isfinite, node.local))]
        wrong += [node for node in nodes if not math.isfinite(node.gradient)]
        if wrong:
            raise DataError(f"the gradient of {_written(wrong[0])} in '{self.expression}' is not finite here")
        return nodes

    def _local(self, node: Node) -> tuple[float, ...]:
        """The derivatives of a node with respect to its inputs, each taken as a variable of its own."""
        if not node.inputs:
            return ()
        own = [self.tensors[one].detach().clone().requires_grad_() for one in node.inputs]
        return tuple(map(float, torch.autograd.grad(self.functions[node.name](*own), own)))
