"""Definitions of the layers as plain NumPy loops: slow, readable, and the reference in tests.

Signals are C×L and images C×H×W, without a batch dimension. Kernels are C_out×C_in/groups×K(×K). Sizes,
strides, paddings and dilations of images are (vertical, horizontal). Positions outside the input are zero.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[int, int]
Ends = tuple[Pair, Pair]
"""The padding before and behind, per side."""


def _places(size: int, kernel_size: int, stride: int, padding: int, dilation: int = 1) -> int:
    """floor((N + 2P − D(F − 1) − 1)/S) + 1."""
    return (size + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1


def correlate1d(
    x: Array, kernel: Array, *, stride: int = 1, padding: int = 0, dilation: int = 1, groups: int = 1
) -> Array:
    """y[o, i] = Σ_c Σ_k w[o, c, k] · x[c, i·S − P + k·D]: a 1-D convolution layer."""
    y = correlate2d(
        x[:, None, :],
        kernel[:, :, None, :],
        stride=(1, stride),
        padding=(0, padding),
        dilation=(1, dilation),
        groups=groups,
    )
    return y[:, 0]


def correlate2d(
    x: Array,
    kernel: Array,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """y[o, i, j] = Σ_c Σ_k Σ_l w[o, c, k, l] · x[c, i·S − P + k·D, j·S − P + l·D], dilated where D > 1.

    Convolution layers of all libraries compute this cross-correlation: the kernel is not flipped. With G
    groups, each output reads only the channels of its own group.
    """
    out_channels, group_channels, kh, kw = kernel.shape
    padded = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    height = _places(x.shape[1], kh, stride[0], padding[0], dilation[0])
    width = _places(x.shape[2], kw, stride[1], padding[1], dilation[1])
    y = np.zeros((out_channels, height, width))
    for o, i, j in np.ndindex(y.shape):
        first = o // (out_channels // groups) * group_channels
        for c, k, m in np.ndindex(group_channels, kh, kw):
            row, column = i * stride[0] + k * dilation[0], j * stride[1] + m * dilation[1]
            y[o, i, j] += kernel[o, c, k, m] * padded[first + c, row, column]
    return y


def convolve1d(x: Array, kernel: Array, *, padding: int = 0) -> Array:
    """y[i] = Σ_k w[K − 1 − k] · x[i − P + k] for one signal L and one kernel K, which is flipped."""
    y: Array = correlate1d(x[None], kernel[None, None, ::-1], padding=padding)[0]
    return y


def convolve2d(x: Array, kernel: Array, *, padding: Pair = (0, 0)) -> Array:
    """True convolution of one plane H×W with one kernel K×K, which is flipped in both directions."""
    y: Array = correlate2d(x[None], kernel[None, None, ::-1, ::-1], padding=padding)[0]
    return y


def transposed_correlate2d(
    x: Array,
    kernel: Array,
    *,
    stride: Pair = (1, 1),
    padding: Pair | Ends = (0, 0),
    output_padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """y[o, i·S − P + k·D, j·S − P + l·D] += w[c, o, k, l] · x[c, i, j], fractionally strided.

    Kernels are C_in×C_out/groups×K×K. It is the transpose of `correlate2d`, its gradient with respect to
    the input: size (N − 1)·S − P_before − P_behind + D(K − 1) + 1 + output padding.
    """
    in_channels, group_channels, kh, kw = kernel.shape
    sides = [
        (n - 1) * s + d * (k - 1) + 1 + extra
        for n, s, d, k, extra in zip(x.shape[1:], stride, dilation, (kh, kw), output_padding, strict=True)
    ]
    full = np.zeros((group_channels * groups, sides[0], sides[1]))
    for c, i, j in np.ndindex(x.shape):
        first = c // (in_channels // groups) * group_channels
        for o, k, m in np.ndindex(group_channels, kh, kw):
            row, column = i * stride[0] + k * dilation[0], j * stride[1] + m * dilation[1]
            full[first + o, row, column] += kernel[c, o, k, m] * x[c, i, j]
    added = [[max(0, -end) for end in ends] for ends in _ends(padding)]  # negative padding adds zeros
    (top, bottom), (left, right) = ([max(0, end) for end in ends] for ends in _ends(padding))
    return np.pad(full[:, top : sides[0] - bottom, left : sides[1] - right], [(0, 0), *added])


def same_ends(
    size: int, kernel_size: int, stride: int, dilation: int = 1, *, transposed: bool = False
) -> Pair:
    """The padding before and behind with which a layer has ⌈N/S⌉ places, or transposed N·S.

    It is negative behind a transposed layer whose kernel is smaller than its stride. An odd one goes behind,
    as ONNX's SAME_UPPER and TensorFlow have it.
    """
    span = dilation * (kernel_size - 1) + 1
    missing = span - stride if transposed else max(0, (-(-size // stride) - 1) * stride + span - size)
    before = max(0, missing) // 2
    return before, missing - before


def _ends(padding: Pair | Ends) -> Ends:
    """The padding before and behind, per side."""
    first, second = padding
    if isinstance(first, tuple) and isinstance(second, tuple):
        return first, second
    assert isinstance(first, int) and isinstance(second, int)
    return (first, first), (second, second)


def locally_connected2d(x: Array, kernels: Array, *, stride: Pair = (1, 1), padding: Pair = (0, 0)) -> Array:
    """y[o, i, j] = Σ_c Σ_k Σ_l w[i, j, o, c, k, l] · x[c, i·S − P + k, j·S − P + l].

    A convolution with a separate kernel at every position: H_out×W_out×C_out×C_in×K×K.
    """
    height, width, out_channels, _, kh, kw = kernels.shape
    padded = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    y = np.zeros((out_channels, height, width))
    for o, i, j in np.ndindex(y.shape):
        top, left = i * stride[0], j * stride[1]
        y[o, i, j] = np.sum(kernels[i, j, o] * padded[:, top : top + kh, left : left + kw])
    return y


def taps(
    size: int, kernel_size: int, stride: int, padding: int, dilation: int = 1, *, ceil_mode: bool = False
) -> list[list[int]]:
    """The places that each window along one side reads; those of the padding lie outside 0…size − 1.

    With `ceil_mode` the number of windows is rounded up, but the last must begin within the input or the
    padding before it. Beyond the padding, a window has no places.
    """
    room = size + 2 * padding - dilation * (kernel_size - 1) - 1
    count = room // stride + 1
    if ceil_mode and room % stride and count * stride < size + padding:
        count += 1
    starts = (i * stride - padding for i in range(count))
    return [[p for p in range(s, s + kernel_size * dilation, dilation) if p < size + padding] for s in starts]


def max_pool2d(
    x: Array,
    size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    *,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Array, NDArray[np.int64]]:
    """y[c, i, j] = max over the window, and its position row·W + column.

    Positions outside the image are never the maximum; a window wholly outside has −∞ and the position −1.
    """
    options = zip(x.shape[1:], size, stride, padding, dilation, strict=True)
    rows, columns = (taps(n, k, s, p, d, ceil_mode=ceil_mode) for n, k, s, p, d in options)
    shape = (x.shape[0], len(rows), len(columns))
    y, places = np.zeros(shape), np.zeros(shape, np.int64)
    for c, i, j in np.ndindex(shape):
        inside = _inside(x, rows[i], columns[j])
        if not inside:
            y[c, i, j], places[c, i, j] = -np.inf, -1
            continue
        row, column = max(inside, key=lambda place: x[c, place[0], place[1]])
        y[c, i, j], places[c, i, j] = x[c, row, column], row * x.shape[2] + column
    return y, places


def _inside(x: Array, rows: list[int], columns: list[int]) -> list[Pair]:
    """The positions of a window that lie in the image, in order."""
    _, height, width = x.shape
    return [(r, c) for r in rows for c in columns if 0 <= r < height and 0 <= c < width]


def max_pool2d_backward(
    gradient: Array, places: NDArray[np.int64], image_shape: tuple[int, int, int]
) -> Array:
    """dx[c, position] += dy[c, i, j]: the gradient goes only to the stored arg-max."""
    dx = np.zeros(image_shape)
    for c, i, j in np.ndindex(gradient.shape):
        if places[c, i, j] < 0:
            continue
        row, column = divmod(int(places[c, i, j]), image_shape[2])
        dx[c, row, column] += gradient[c, i, j]
    return dx


def mean_pool2d(
    x: Array,
    size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    *,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """y[c, i, j] = Σ window / its places; zeros of the padding count if `count_include_pad`."""
    options = zip(x.shape[1:], size, stride, padding, dilation, strict=True)
    rows, columns = (taps(n, k, s, p, d, ceil_mode=ceil_mode) for n, k, s, p, d in options)
    y = np.zeros((x.shape[0], len(rows), len(columns)))
    for c, i, j in np.ndindex(y.shape):
        inside = [x[c, row, column] for row, column in _inside(x, rows[i], columns[j])]
        y[c, i, j] = sum(inside) / (len(rows[i]) * len(columns[j]) if count_include_pad else len(inside))
    return y


def channel_max_pool(x: Array, size: int, stride: int) -> Array:
    """y[c, i, j] = max_k x[c·S + k, i, j]: pooling across channels."""
    channels = _places(x.shape[0], size, stride, 0)
    return np.stack([x[c * stride : c * stride + size].max(0) for c in range(channels)])


def batch_norm(x: Array, scale: Array, shift: Array, eps: float = 1e-5) -> Array:
    """γ_c (x − μ_c) / sqrt(σ²_c + ε) + β_c for a batch N×C×H×W (Ioffe and Szegedy 2015).

    μ and σ² are the mean and the biased variance of channel c over the batch and all positions.
    """
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        mean, variance = x[:, c].mean(), x[:, c].var()
        y[:, c] = scale[c] * (x[:, c] - mean) / np.sqrt(variance + eps) + shift[c]
    return y


def local_response_norm(
    x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
) -> Array:
    """y[c] = x[c] / (k + α Σ_j x[j]²)^β over the `size` channels j around c (Krizhevsky et al. 2012)."""
    y = np.empty_like(x)
    for c in range(x.shape[0]):
        first, last = max(0, c - size // 2), min(x.shape[0], c + (size - 1) // 2 + 1)
        y[c] = x[c] / (k + alpha * (x[first:last] ** 2).sum(0)) ** beta
    return y


def maxout(x: Array, pieces: int) -> Array:
    """y[c] = max_j x[j·C + c] over the k pieces of channel c (Goodfellow et al. 2013)."""
    channels = x.shape[0] // pieces
    y = np.full((channels, *x.shape[1:]), -np.inf)
    for c, j in itertools.product(range(channels), range(pieces)):
        y[c] = np.maximum(y[c], x[j * channels + c])
    return y
