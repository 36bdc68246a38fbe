"""The layers against their NumPy definitions, and the definitions against the lectures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from convnet.layers import (
    ChannelMaxPool,
    Conv1d,
    Conv2d,
    LocallyConnected2d,
    LocalResponseNorm,
    Maxout,
    UpConv2d,
    reference,
    toeplitz_matrix,
)

sizes, kernels, strides, dilations = (
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
)
paddings = st.integers(0, 3)
modes = st.sampled_from(["valid", "same", "full"])
pairs = st.tuples


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def fits(size: int, kernel: int, padding: int, dilation: int = 1) -> bool:
    return size + 2 * padding >= dilation * (kernel - 1) + 1


@settings(max_examples=60)
@given(
    pairs(sizes, sizes), pairs(kernels, kernels), pairs(strides, strides), pairs(paddings, paddings),
    pairs(dilations, dilations), st.sampled_from([1, 2, 4]),
)  # fmt: skip
def test_conv2d_is_its_definition(size, kernel, stride, padding, dilation, groups) -> None:
    assume(all(map(fits, size, kernel, padding, dilation)))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer = Conv2d(4, 8, kernel, **options, bias=False).double()
    x = numbers(4, *size)
    expected = reference.correlate2d(x.numpy(), layer.weight.detach().numpy(), **options)
    np.testing.assert_allclose(layer(x[None])[0].detach(), expected, atol=1e-12)
    matrix = toeplitz_matrix(layer.weight.detach(), (4, *size), **options)
    np.testing.assert_allclose(matrix @ x.flatten(), expected.ravel(), atol=1e-12)  # M29


@settings(max_examples=60)
@given(st.integers(1, 12), kernels, strides, paddings, dilations, st.sampled_from([1, 3]))
def test_conv1d_is_its_definition(size, kernel, stride, padding, dilation, groups) -> None:
    assume(fits(size, kernel, padding, dilation))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer = Conv1d(3, 6, kernel, **options, bias=False).double()
    x = numbers(3, size)
    expected = reference.correlate1d(x.numpy(), layer.weight.detach().numpy(), **options)
    np.testing.assert_allclose(layer(x[None])[0].detach(), expected, atol=1e-12)


@settings(max_examples=60)
@given(modes, pairs(sizes, sizes), kernels, strides, dilations)
def test_padding_by_purpose(mode, size, kernel, stride, dilation) -> None:
    reach = dilation * (kernel - 1)
    assume(mode != "valid" or min(size) > reach)
    layer = Conv2d(2, 3, kernel, stride=stride, dilation=dilation, padding=mode).double()
    x = numbers(2, *size)
    y = layer(x[None])
    before_after = []
    for side in size:
        if mode == "same":
            missing = max(0, (-(-side // stride) - 1) * stride + reach + 1 - side)
            before_after.append((missing // 2, missing - missing // 2))
        else:
            before_after.append((reach, reach) if mode == "full" else (0, 0))
    if mode == "same":
        assert y.shape[2:] == tuple(-(-side // stride) for side in size)
    padded = np.pad(x.numpy(), [(0, 0), *before_after])
    expected = reference.correlate2d(
        padded, layer.weight.detach().numpy(), stride=(stride,) * 2, dilation=(dilation,) * 2
    )
    np.testing.assert_allclose(
        y[0].detach(), expected + layer.bias.detach().numpy()[:, None, None], atol=1e-12
    )


@settings(max_examples=50)
@given(pairs(sizes, sizes), pairs(kernels, kernels), pairs(strides, strides), paddings, dilations, st.data())
def test_transposed_convolution_is_its_definition(size, kernel, stride, padding, dilation, data) -> None:
    groups = data.draw(st.sampled_from([1, 2]))
    extra = tuple(data.draw(st.integers(0, max(s, dilation) - 1)) for s in stride)
    options = {"stride": stride, "padding": (padding,) * 2, "dilation": (dilation,) * 2, "groups": groups}
    x, kernels = numbers(4, *size), numbers(4, 3, *kernel)
    sides = [
        (n - 1) * s - 2 * padding + dilation * (k - 1) + e + 1
        for n, s, k, e in zip(size, stride, kernel, extra, strict=True)
    ]
    assume(min(sides) >= 1)
    found = F.conv_transpose2d(x[None], kernels, output_padding=extra, **options)[0]
    expected = reference.transposed_correlate2d(x.numpy(), kernels.numpy(), output_padding=extra, **options)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(kernels, strides, sizes, sizes)
def test_up_convolution_multiplies_the_size(kernel, stride, height, width) -> None:
    if not 2 <= stride <= kernel:
        with pytest.raises(ValueError, match="stride must lie between 2 and the kernel size"):
            UpConv2d(2, 3, kernel, stride=stride)
        return
    assert UpConv2d(2, 3, kernel, stride=stride)(numbers(1, 2, height, width).float()).shape[2:] == (
        height * stride,
        width * stride,
    )


@settings(max_examples=40)
@given(pairs(sizes, sizes), kernels, strides, paddings)
def test_locally_connected_is_its_definition_and_with_equal_kernels_a_convolution(
    size, kernel, stride, padding
) -> None:
    """M28: the same connections as a convolution, without weight sharing."""
    assume(all(fits(side, kernel, padding) for side in size))
    layer = LocallyConnected2d(2, 3, size, kernel, stride=stride, padding=padding).double()
    x = numbers(2, *size)
    nn.init.zeros_(layer.bias)
    kernels = layer.weight.detach().unflatten(1, (2, kernel, kernel)).permute(4, 0, 1, 2, 3)
    expected = reference.locally_connected2d(
        x.numpy(),
        kernels.unflatten(0, layer.output_size).numpy(),
        stride=(stride, stride),
        padding=(padding, padding),
    )
    np.testing.assert_allclose(layer(x[None])[0].detach(), expected, atol=1e-12)
    shared = numbers(3, 2, kernel, kernel)
    with torch.no_grad():
        layer.weight.copy_(shared.flatten(1).unsqueeze(2).expand_as(layer.weight))
    torch.testing.assert_close(layer(x[None]), F.conv2d(x[None], shared, stride=stride, padding=padding))


@settings(max_examples=50)
@given(pairs(sizes, sizes), pairs(kernels, kernels), pairs(strides, strides), st.integers(0, 1))
def test_pooling_and_its_gradient(size, kernel, stride, padding) -> None:
    padding = min(padding, min(kernel) // 2)
    assume(all(fits(side, k, padding) for side, k in zip(size, kernel, strict=True)))
    x = numbers(2, *size).requires_grad_()
    found, places = F.max_pool2d(x[None], kernel, stride, padding, return_indices=True)
    expected, stored = reference.max_pool2d(x.detach().numpy(), kernel, stride, (padding, padding))
    np.testing.assert_allclose(found[0].detach(), expected)
    np.testing.assert_array_equal(places[0], stored)
    gradient = numbers(*expected.shape)
    found.backward(gradient[None])
    np.testing.assert_allclose(x.grad, reference.max_pool2d_backward(gradient.numpy(), stored, (2, *size)))
    mean = F.avg_pool2d(x.detach()[None], kernel, stride, padding)[0]
    np.testing.assert_allclose(
        mean, reference.mean_pool2d(x.detach().numpy(), kernel, stride, (padding, padding)), atol=1e-12
    )


@given(st.data())
def test_pools_that_round_up_leave_out_padding_or_are_dilated(data: st.DataObject) -> None:
    kernel, stride = (data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4))) for _ in range(2))
    padding = data.draw(st.integers(0, min(kernel) // 2))
    dilation = data.draw(st.integers(1, 2))
    spans = [dilation * (k - 1) + 1 for k in kernel]
    size = [data.draw(st.integers(span, 11)) for span in spans]
    ceil_mode, counted = data.draw(st.booleans()), data.draw(st.booleans())
    x = numbers(2, *size)
    found, places = F.max_pool2d(x[None], kernel, stride, padding, dilation, ceil_mode, True)
    expected, stored = reference.max_pool2d(
        x.numpy(), kernel, stride, (padding, padding), dilation=(dilation,) * 2, ceil_mode=ceil_mode
    )
    np.testing.assert_allclose(found[0], expected)
    np.testing.assert_array_equal(places[0], stored)
    mean = F.avg_pool2d(x[None], kernel, stride, padding, ceil_mode, counted)[0]
    defined = reference.mean_pool2d(
        x.numpy(), kernel, stride, (padding, padding), ceil_mode=ceil_mode, count_include_pad=counted
    )
    np.testing.assert_allclose(mean, defined, atol=1e-12)


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("kernel_size", [2, 3, 4, 5, 6])
def test_up_convolution_is_the_transpose_of_a_convolution_with_same_padding(
    kernel_size: int, stride: int
) -> None:
    """Also where kernel − stride is odd; the definition with ONNX's SAME_UPPER agrees."""
    if kernel_size < stride:
        return
    up = UpConv2d(2, 3, kernel_size, stride=stride, bias=False).double()
    down = Conv2d(3, 2, kernel_size, stride=stride, padding="same", bias=False).double()
    down.weight.data = up.weight.data
    x = numbers(1, 3, 5 * stride, 4 * stride).requires_grad_()
    y = numbers(1, 2, 5, 4)
    (gradient,) = torch.autograd.grad(down(x), x, y)
    torch.testing.assert_close(up(y).detach(), gradient)
    ends = reference.same_ends(5 * stride, kernel_size, stride, transposed=True)
    defined = reference.transposed_correlate2d(
        y[0].numpy(), up.weight.detach().numpy(), stride=(stride, stride), padding=(ends, ends)
    )
    np.testing.assert_allclose(up(y)[0].detach(), defined, atol=1e-12)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4))
def test_channel_pooling_maxout_and_response_norm(channels, size, stride) -> None:
    x = numbers(channels, 3, 4) * 40
    if channels >= size:
        found = ChannelMaxPool(size, stride)(x[None])[0]
        np.testing.assert_allclose(found, reference.channel_max_pool(x.numpy(), size, stride))
    wide = numbers(channels * size, 3, 4)
    np.testing.assert_allclose(Maxout(size)(wide[None])[0], reference.maxout(wide.numpy(), size))
    normed = LocalResponseNorm(size, alpha=0.01)(x[None])[0]
    np.testing.assert_allclose(normed, reference.local_response_norm(x.numpy(), size, alpha=0.01), atol=1e-12)
    torchs = F.local_response_norm(x[None], size, alpha=0.01 * size, beta=0.75, k=2.0)[0]
    torch.testing.assert_close(normed, torchs)


def test_batch_norm_is_its_definition() -> None:
    """M33."""
    x, layer = numbers(5, 3, 4, 4), nn.BatchNorm2d(3).double()
    nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    expected = reference.batch_norm(x.numpy(), layer.weight.detach().numpy(), layer.bias.detach().numpy())
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-12)


def test_one_dimensional_filtering_of_the_lectures() -> None:
    """M21; the slide prints 20 in the fifth place, where (10 + 20 + 40)/3 = 23.33 is right."""
    signal = np.array([10, 50, 60, 10, 20, 40, 30.0])
    expected = [20, 40, 40, 30, 70 / 3, 30, 70 / 3]
    np.testing.assert_allclose(reference.convolve1d(signal, np.full(3, 1 / 3), padding=1), expected)


def test_two_dimensional_filtering_of_the_lectures() -> None:
    """M22: the box filter over the 10×10 picture of 0 and 90; convolution flips, correlation does not."""
    picture = np.zeros((10, 10))
    picture[2:7, 3:8] = 90
    picture[5, 4] = 0
    picture[8, 2] = 90
    smooth = reference.convolve2d(picture, np.full((3, 3), 1 / 9))
    np.testing.assert_allclose(smooth[0], [0, 10, 20, 30, 30, 30, 20, 10])
    kernel = np.arange(9.0).reshape(3, 3)
    impulse = np.zeros((5, 5))
    impulse[2, 2] = 1
    np.testing.assert_allclose(reference.convolve2d(impulse, kernel), kernel)
    np.testing.assert_allclose(
        reference.correlate2d(impulse[None], kernel[None, None])[0], kernel[::-1, ::-1]
    )


def test_the_first_place_of_the_worked_convolution() -> None:
    """M23."""
    image = [[2, 4, 9, 1, 4], [2, 1, 4, 4, 6], [1, 1, 2, 9, 2], [7, 3, 5, 1, 3], [2, 3, 4, 8, 5]]
    kernel = [[1, 2, 3], [-4, 7, 4], [2, -5, 1]]
    layer = Conv2d(1, 1, 3, bias=False)
    layer.weight.data = torch.tensor(kernel, dtype=torch.float32)[None, None]
    y = layer(torch.tensor(image, dtype=torch.float32)[None, None])
    assert y[0, 0, 0, 0] == 51
    assert reference.correlate2d(np.array([image], float), np.array([[kernel]], float))[0, 0, 0] == 51


def test_max_pooling_of_the_lectures() -> None:
    """M32: values, arg-max and where the gradient goes; no parameters."""
    x = np.array([[[2, 2, 7, 3], [9, 4, 6, 1], [8, 5, 2, 4], [3, 1, 2, 6.0]]])
    pooled, places = reference.max_pool2d(x, (2, 2), (2, 2))
    assert pooled.tolist() == [[[9, 7], [8, 6]]]
    gradient = reference.max_pool2d_backward(np.ones((1, 2, 2)), places, (1, 4, 4))
    assert np.argwhere(gradient[0]).tolist() == [[0, 2], [1, 0], [2, 0], [3, 3]]
    layer = nn.MaxPool2d(2)
    assert layer(torch.tensor(x)).tolist() == pooled.tolist()
    assert not list(layer.parameters())


def test_one_by_one_convolution_is_a_dense_layer_at_each_place() -> None:
    """M26: 64 → 32 channels, each filter a 64-dimensional dot product."""
    layer, x = Conv2d(64, 32, 1), numbers(2, 64, 5, 6).float()
    dense = F.linear(x.permute(0, 2, 3, 1), layer.weight[:, :, 0, 0], layer.bias)
    torch.testing.assert_close(layer(x), dense.permute(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": -1}, "stride must be a number, or 2 numbers, of at least 1, got -1"),
        ({"padding": -1}, "padding must be .* of at least 0, got -1"),
        ({"padding": "sane"}, 'padding must be "valid", "same", "full", "causal" or numbers, got "sane"'),
        ({"groups": 3}, "groups must divide the channels: 3 groups, 4 channels in, 8 out"),
        ({"dilation": (1, 2, 3)}, "dilation must be"),
    ],
)
def test_impossible_convolutions_are_refused_in_words(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Conv2d(4, 8, 3, **options)  # type: ignore[arg-type]


def test_kernels_that_do_not_fit_a_toeplitz_matrix() -> None:
    with pytest.raises(ValueError, match="does not fit 3 channels"):
        toeplitz_matrix(torch.ones(2, 1, 3, 3), (3, 8, 8))
    with pytest.raises(ValueError, match="does not fit into 4×4"):
        LocallyConnected2d(1, 1, (4, 4), 5)


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_same_padding_of_transposed_convolutions(kernel_size: int, stride: int) -> None:
    """N·S places, also with kernels smaller than the stride, and those of torch where padding is equal."""
    x = np.arange(16.0).reshape(1, 4, 4)
    weights = np.random.default_rng(0).normal(size=(1, 1, kernel_size, kernel_size))
    ends = reference.same_ends(4, kernel_size, stride, transposed=True)
    found = reference.transposed_correlate2d(x, weights, stride=(stride, stride), padding=(ends, ends))
    assert found.shape == (1, 4 * stride, 4 * stride)
    given = torch.from_numpy(x)[None], torch.from_numpy(weights)
    full = F.conv_transpose2d(*given, stride=stride, output_padding=0)[0]
    size = 4 * stride
    padded = F.pad(full, (0, stride, 0, stride))[:, ends[0] : ends[0] + size, ends[0] : ends[0] + size]
    assert np.allclose(found, padded.numpy())


def test_a_window_that_lies_in_the_padding() -> None:
    image = np.random.default_rng(0).normal(size=(1, 2, 8))
    options = {"dilation": (3, 2), "ceil_mode": True}
    found, places = reference.max_pool2d(image, (2, 2), (4, 3), (1, 1), **options)  # type: ignore[arg-type]
    expected = F.max_pool2d(torch.from_numpy(image)[None], (2, 2), (4, 3), (1, 1), (3, 2), True)[0]
    assert np.array_equal(found, expected.numpy()) and (places[found == -np.inf] == -1).all()
    gradient = reference.max_pool2d_backward(np.ones_like(found), places, (1, 2, 8))
    assert gradient.sum() == np.isfinite(found).sum()
