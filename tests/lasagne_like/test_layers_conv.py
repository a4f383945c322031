import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.init import Constant
from lasagne_like.layers import Conv1DLayer, Conv2DLayer, DilatedConv2DLayer, InputLayer, get_output
from lasagne_like.layers.conv import BaseConvLayer, conv_input_length, conv_output_length
from lasagne_like.nonlinearities import tanh


def convolve(x, W, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1, flip=True):
    """The definition, position by position: x is (batch, channels, rows, columns), W (filters, channels, ...)."""
    if flip:
        W = W[:, :, ::-1, ::-1]
    x = np.pad(x, [(0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2])
    span = [(size - 1) * step + 1 for size, step in zip(W.shape[2:], dilation)]
    rows, columns = ((x.shape[2 + k] - span[k]) // stride[k] + 1 for k in range(2))
    out = np.zeros((len(x), len(W), rows, columns))
    filters, channels = len(W) // groups, x.shape[1] // groups
    for g in range(groups):
        here, w = x[:, g * channels : (g + 1) * channels], W[g * filters : (g + 1) * filters]
        for r in range(rows):
            for c in range(columns):
                top, left = r * stride[0], c * stride[1]
                window = here[:, :, top : top + span[0] : dilation[0], left : left + span[1] : dilation[1]]
                out[:, g * filters : (g + 1) * filters, r, c] = np.einsum("bcij,kcij->bk", window, w)
    return out


def run(layer, x):
    variable = T.tensor(x.dtype.name, shape=(None,) * x.ndim)
    return symc.function([variable], get_output(layer, variable))(x)


CASES = {
    "plain": ({"filter_size": (3, 2)}, {}),
    "stride": ({"filter_size": 3, "stride": (2, 1)}, {"stride": (2, 1)}),
    "pad": ({"filter_size": 3, "pad": (2, 1)}, {"pad": (2, 1)}),
    "valid": ({"filter_size": 3, "pad": "valid"}, {}),
    "same": ({"filter_size": (3, 5), "pad": "same"}, {"pad": (1, 2)}),
    "full": ({"filter_size": (3, 2), "pad": "full"}, {"pad": (2, 1)}),
    "same, stride": ({"filter_size": 3, "pad": "same", "stride": 2}, {"pad": (1, 1), "stride": (2, 2)}),
    "no flip": ({"filter_size": (2, 3), "flip_filters": False}, {"flip": False}),
    "groups": ({"filter_size": 3, "num_groups": 2}, {"groups": 2}),
    "one by one": ({"filter_size": 1}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_conv2d(case, rng, float64):
    options, meaning = CASES[case]
    layer = Conv2DLayer(InputLayer((None, 4, 7, 8)), num_filters=6, nonlinearity=tanh, **options)
    layer.W.set_value(rng.randn(*layer.get_W_shape()))
    layer.b.set_value(rng.randn(6))
    x = rng.randn(3, 4, 7, 8)
    expected = convolve(x, layer.W.get_value(), **meaning) + layer.b.get_value()[:, None, None]
    result = run(layer, x)
    assert result.shape[1:] == layer.output_shape[1:]
    np.testing.assert_allclose(result, np.tanh(expected), rtol=1e-8, atol=1e-10)


def test_conv2d_with_sizes_unknown_until_the_call(rng, float64):
    layer = Conv2DLayer(InputLayer((None, 2, None, None)), 3, 3, pad="same", nonlinearity=None)
    assert layer.output_shape == (None, 3, None, None)
    for shape in [(2, 2, 5, 6), (1, 2, 9, 4)]:
        x = rng.randn(*shape)
        np.testing.assert_allclose(run(layer, x), convolve(x, layer.W.get_value(), pad=(1, 1)), atol=1e-10)


def test_conv2d_untied_biases(rng, float64):
    b = rng.randn(3, 4, 5)
    layer = Conv2DLayer(InputLayer((None, 2, 6, 7)), 3, 3, untie_biases=True, b=b, nonlinearity=None)
    x = rng.randn(2, 2, 6, 7)
    np.testing.assert_allclose(run(layer, x), convolve(x, layer.W.get_value()) + b, atol=1e-10)
    with pytest.raises(ValueError, match="untie_biases=True needs known spatial sizes"):
        Conv2DLayer(InputLayer((None, 2, None, 7)), 3, 3, untie_biases=True)


@pytest.mark.parametrize("options, pad", [({}, 0), ({"pad": "same"}, 1), ({"pad": 2}, 2), ({"pad": "full"}, 2)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("flip", [True, False])
def test_conv1d(options, pad, stride, flip, rng, float64):
    layer = Conv1DLayer(InputLayer((None, 2, 9)), 3, 3, stride, flip_filters=flip, nonlinearity=None, **options)
    x = rng.randn(2, 2, 9)
    W = layer.W.get_value()
    assert W.shape == (3, 2, 3)
    expected = convolve(x[:, :, None], W[:, :, None], (1, stride), (0, pad), flip=flip)[:, :, 0]
    np.testing.assert_allclose(run(layer, x), expected, atol=1e-10)
    assert layer.output_shape == (None, 3, expected.shape[2])


@pytest.mark.parametrize("dilation", [1, 2, (1, 3)])
@pytest.mark.parametrize("pad", [0, (1, 2)])
@pytest.mark.parametrize("flip", [False, True])
def test_dilated(dilation, pad, flip, rng, float64):
    layer = DilatedConv2DLayer(
        InputLayer((None, 2, 9, 8)), 3, (3, 2), dilation, pad, flip_filters=flip, nonlinearity=None
    )
    W = layer.W.get_value()
    assert W.shape == (2, 3, 3, 2)
    x = rng.randn(2, 2, 9, 8)
    meaning = {"dilation": layer.dilation, "pad": layer.pad, "flip": flip}
    expected = convolve(x, W.transpose(1, 0, 2, 3), **meaning)
    np.testing.assert_allclose(run(layer, x), expected, atol=1e-10)
    assert layer.output_shape == (None, *expected.shape[1:])


def test_parameters():
    layer = Conv2DLayer((None, 4, 7, 8), 6, (3, 2), num_groups=2, name="c")
    assert [(p.name, p.static_shape) for p in layer.get_params()] == [("c.W", (6, 2, 3, 2)), ("c.b", (6,))]
    assert layer.get_params(regularizable=True) == [layer.W]
    assert Conv2DLayer((None, 4, 7, 8), 6, 3, b=None).b is None


def test_another_convolution_function():
    def convolution(input, filters, border_mode, subsample, filter_flip):
        assert (border_mode, subsample, filter_flip) == ("half", (2, 2), True)
        return T.nnet.conv2d(input, filters, border_mode="valid")

    layer = Conv2DLayer((None, 4, 7, 8), 6, 3, stride=2, pad="same", convolution=convolution)
    assert layer.output_shape == (None, 6, 5, 6)


@pytest.mark.parametrize(
    "shape, options, message",
    [
        ((None, 4, 7), {"filter_size": 3}, "2D convolution layer with input shape"),
        ((None, None, 7, 8), {"filter_size": 3}, "known number of input channels"),
        ((None, 4, 7, 8), {"filter_size": (3, 4), "pad": "same"}, "odd filter sizes"),
        ((None, 4, 7, 8), {"filter_size": 3, "pad": "some"}, "Invalid pad: 'some'"),
        ((None, 4, 7, 8), {"filter_size": 3, "num_groups": 3}, "must evenly divide"),
        ((None, 4, 7, 8), {"filter_size": 3, "num_groups": 0}, "must be positive"),
        ((None, 4, 7, 8), {"filter_size": (3, 3, 3)}, "length 2"),
    ],
)
def test_errors(shape, options, message):
    with pytest.raises(ValueError, match=message):
        Conv2DLayer(shape, 6, **options)


def test_the_base_class_needs_convolve():
    layer = BaseConvLayer((None, 4, 7, 8), 6, 3, b=Constant())
    with pytest.raises(NotImplementedError, match="convolve"):
        layer.output_shape  # noqa: B018


@pytest.mark.parametrize("length", [5, 10, 11])
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("pad", [0, 1, "valid", "same", "full"])
def test_lengths(length, size, stride, pad):
    zeros = {"valid": 0, "same": size // 2, "full": size - 1}.get(pad, pad)
    starts = range(-zeros, length + zeros - size + 1, stride)
    output = conv_output_length(length, size, stride, pad)
    assert output == len(starts)
    assert conv_output_length(conv_input_length(output, size, stride, pad), size, stride, pad) == output


def test_lengths_that_are_unknown():
    assert conv_output_length(None, 3, 1) is None
    assert conv_input_length(None, 3, 1) is None
    with pytest.raises(ValueError, match="Invalid pad"):
        conv_output_length(5, 3, 1, "half")
