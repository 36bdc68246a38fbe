"""A convolution as the matrix of a linear layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional as F

from convnet.concepts.concept import matrix_text, numbers
from convnet.errors import DataError
from convnet.layers import toeplitz_matrix

MOST_ENTRIES = 250_000
"""The largest matrix that is made: 500×500."""
LARGEST = 65_536
MOST_COLUMNS = 16
"""The widest matrix that is printed."""


@dataclass(frozen=True)
class ToeplitzMatrix:
    """The matrix T with `layer(x).flatten() == T @ x.flatten()` for one kernel.

    Attributes:
        kernel: K×L; a signal's has one row.
        input: Height and width of the input; a signal has one row.
        output: Height and width of the output.
        matrix: The matrix, with one row per output.
        difference: The largest difference between T @ x and the layer for a random input.
        options: Stride, padding and dilation, (vertical, horizontal).
    """

    kernel: NDArray[Any]
    input: tuple[int, int]
    output: tuple[int, int]
    matrix: NDArray[Any]
    difference: float
    options: dict[str, tuple[int, int]]

    @property
    def zeros(self) -> float:
        """The fraction of entries that are zero, whatever the kernel is."""
        ones = _matrix(torch.ones(self.kernel.shape, dtype=torch.float64), self.input, self.options)
        return float((ones == 0).double().mean())

    def to_dict(self) -> dict[str, Any]:
        """The matrix and its figures as plain values."""
        return {
            "kernel": self.kernel.tolist(),
            "input": list(self.input),
            "output": list(self.output),
            "shape": list(self.matrix.shape),
            "zeros": self.zeros,
            "weights": self.kernel.size,
            "dense_weights": self.matrix.size,
            "difference": self.difference,
            "matrix": self.matrix.tolist(),
        }

    def __str__(self) -> str:
        rows, columns = self.matrix.shape
        text = f"{matrix_text(self.matrix)}\n\n" if columns <= MOST_COLUMNS else ""
        return (
            f"{text}{rows}×{columns} matrix, {self.zeros:.1%} of its entries are zero\n"
            f"{self.kernel.size} weights instead of {self.matrix.size:,}\n"
            f"largest difference to the layer: {self.difference:.1e}"
        )


def toeplitz(
    kernel: ArrayLike,
    input: int | tuple[int, ...],
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> ToeplitzMatrix:
    """Write the convolution of a layer (cross-correlation) with one kernel as a matrix.

        >>> from convnet.concepts import toeplitz
        >>> toeplitz([1, 2, 3], 5).matrix.astype(int).tolist()
        [[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]]

    Args:
        kernel: K weights for a signal, or K×L for an image.
        input: The length of the signal; the side of the image, or its height and width.
        stride: The stride.
        padding: Zeros on either end of every side.
        dilation: The dilation.

    Returns:
        The matrix, and its difference to the layer.

    Raises:
        DataError: The kernel does not fit the input, or the matrix has more than 250,000 entries.
    """
    weights = numbers(kernel, "kernel", 1, 2)
    is_signal = weights.ndim == 1
    sizes = (input,) if isinstance(input, int) else tuple(input)
    if len(sizes) > weights.ndim or min(sizes) < 1:
        raise DataError(f"input: expected {weights.ndim} positive sizes for this kernel, got {list(sizes)}")
    height, width = (1, sizes[0]) if is_signal else (sizes[0], sizes[-1])
    shape = torch.tensor(weights if weights.ndim == 2 else weights[None])
    if not (1 <= stride <= LARGEST and 1 <= dilation <= LARGEST and 0 <= padding <= LARGEST):
        raise DataError(f"expected a stride and dilation from 1, and padding from 0, to {LARGEST:,}")
    down, across = (1, 0, 1) if is_signal else (stride, padding, dilation), (stride, padding, dilation)
    options = dict(zip(("stride", "padding", "dilation"), zip(down, across, strict=True), strict=True))
    spans = [d * (k - 1) + 1 for k, d in zip(shape.shape, options["dilation"], strict=True)]
    outputs = [
        (n + 2 * p - span) // s + 1
        for n, p, span, s in zip((height, width), options["padding"], spans, options["stride"], strict=True)
    ]
    if min(outputs) < 1:
        raise DataError(f"a kernel of {spans[0]}×{spans[1]} does not fit an input of {height}×{width}")
    if outputs[0] * outputs[1] * height * width > MOST_ENTRIES:
        raise DataError(f"the matrix would have more than {MOST_ENTRIES:,} entries; use a smaller input")
    made = _matrix(shape, (height, width), options)
    x = torch.randn(1, 1, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    padded = F.pad(x, (padding, padding, down[1], down[1]))
    layer = F.conv2d(padded, shape[None, None], None, options["stride"], 0, options["dilation"])
    difference = float((made @ x.flatten() - layer.flatten()).abs().max())
    return ToeplitzMatrix(
        shape.numpy(), (height, width), (outputs[0], outputs[1]), made.numpy(), difference, options
    )


def _matrix(kernel: torch.Tensor, size: tuple[int, int], options: dict[str, Any]) -> torch.Tensor:
    return toeplitz_matrix(kernel, (1, *size), **options).to_dense()
