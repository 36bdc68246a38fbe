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
    padding: Pair = (0, 0),
    output_padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """y[o, i·S − P + k·D, j·S − P + l·D] += w[c, o, k, l] · x[c, i, j], fractionally strided.

    Kernels are C_in×C_out/groups×K×K. It is the transpose of `correlate2d`, its gradient with respect to
    the input: size (N − 1)·S − 2P + D(K − 1) + 1 + output padding.
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
    return full[:, padding[0] : sides[0] - padding[0], padding[1] : sides[1] - padding[1]]


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


def max_pool2d(x: Array, size: Pair, stride: Pair, padding: Pair = (0, 0)) -> tuple[Array, NDArray[np.int64]]:
    """y[c, i, j] = max over the window, and its position row·W + column.

    Positions outside the image are never the maximum.
    """
    (kh, kw), (channels, _, columns) = size, x.shape
    padded = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=-np.inf)
    height = _places(x.shape[1], kh, stride[0], padding[0])
    width = _places(x.shape[2], kw, stride[1], padding[1])
    y, places = np.zeros((channels, height, width)), np.zeros((channels, height, width), np.int64)
    for c, i, j in np.ndindex(y.shape):
        top, left = i * stride[0], j * stride[1]
        window = padded[c, top : top + kh, left : left + kw]
        row, column = divmod(int(window.argmax()), kw)
        y[c, i, j] = window[row, column]
        places[c, i, j] = (top + row - padding[0]) * columns + left + column - padding[1]
    return y, places


def max_pool2d_backward(
    gradient: Array, places: NDArray[np.int64], image_shape: tuple[int, int, int]
) -> Array:
    """dx[c, position] += dy[c, i, j]: the gradient goes only to the stored arg-max."""
    dx = np.zeros(image_shape)
    for c, i, j in np.ndindex(gradient.shape):
        row, column = divmod(int(places[c, i, j]), image_shape[2])
        dx[c, row, column] += gradient[c, i, j]
    return dx


def mean_pool2d(x: Array, size: Pair, stride: Pair, padding: Pair = (0, 0)) -> Array:
    """y[c, i, j] = Σ window / (K_h·K_w); zeros of the padding count."""
    (kh, kw), channels = size, x.shape[0]
    padded = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    height = _places(x.shape[1], kh, stride[0], padding[0])
    width = _places(x.shape[2], kw, stride[1], padding[1])
    y = np.zeros((channels, height, width))
    for c, i, j in np.ndindex(y.shape):
        top, left = i * stride[0], j * stride[1]
        y[c, i, j] = padded[c, top : top + kh, left : left + kw].sum() / (kh * kw)
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
