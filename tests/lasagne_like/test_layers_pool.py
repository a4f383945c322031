import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.layers import (
    FeaturePoolLayer,
    GlobalPoolLayer,
    InputLayer,
    MaxPool1DLayer,
    MaxPool2DLayer,
    Pool1DLayer,
    Pool2DLayer,
    Upscale1DLayer,
    Upscale2DLayer,
    get_output,
    pool_output_length,
)


def run(layer, x):
    variable = T.tensor(x.dtype.name, shape=(None,) * x.ndim)
    result = symc.function([variable], get_output(layer, variable))(x)
    assert result.shape[1:] == layer.output_shape[1:]
    return result


def pool(x, size, stride, pad, ignore_border, mode):
    """The definition, window by window, over the last two axes."""
    sizes = x.shape[2:]
    starts = []
    for k in range(2):
        span = sizes[k] + 2 * pad[k]
        count = (span - size[k]) // stride[k] + 1 if ignore_border else -(-max(span - size[k], 0) // stride[k]) + 1
        if not ignore_border and stride[k] >= size[k]:
            count = -(-span // stride[k])
        starts.append([i * stride[k] - pad[k] for i in range(count)])
    out = np.zeros((*x.shape[:2], len(starts[0]), len(starts[1])))
    for i, top in enumerate(starts[0]):
        for j, left in enumerate(starts[1]):
            bottom, right = top + size[0], left + size[1]
            window = x[:, :, max(top, 0) : bottom, max(left, 0) : right].reshape(*x.shape[:2], -1)
            if mode == "max":
                out[:, :, i, j] = window.max(axis=2)
            else:
                inside = [min(bottom, sizes[0] + pad[0]) - top, min(right, sizes[1] + pad[1]) - left]
                count = {"sum": 1, "average_inc_pad": inside[0] * inside[1]}.get(mode, window.shape[2])
                out[:, :, i, j] = window.sum(axis=2) / count
    return out


SETTINGS = [
    {"pool_size": 2},
    {"pool_size": (2, 3)},
    {"pool_size": 3, "stride": 2},
    {"pool_size": 2, "stride": 3},
    {"pool_size": 3, "stride": (1, 2), "pad": (1, 0)},
    {"pool_size": 3, "pad": 2},
    {"pool_size": 3, "stride": 2, "ignore_border": False},
    {"pool_size": 2, "ignore_border": False},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("mode", ["max", "average_inc_pad", "average_exc_pad", "sum"])
def test_pool2d(settings, mode, rng, float64):
    x = rng.randn(2, 3, 7, 8)
    layer = Pool2DLayer(InputLayer((None, 3, 7, 8)), mode=mode, **settings)
    expected = pool(x, layer.pool_size, layer.stride, layer.pad, layer.ignore_border, mode)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-9, atol=1e-12)
    if mode == "max":
        assert np.array_equal(run(MaxPool2DLayer(InputLayer((None, 3, 7, 8)), **settings), x), expected)


@pytest.mark.parametrize(
    "settings", [{"pool_size": 2}, {"pool_size": 3, "stride": 2, "pad": 1}, {"pool_size": 2, "ignore_border": False}]
)
@pytest.mark.parametrize("mode", ["max", "average_inc_pad", "average_exc_pad"])
def test_pool1d(settings, mode, rng, float64):
    x = rng.randn(2, 3, 7)
    layer = Pool1DLayer(InputLayer((None, 3, 7)), mode=mode, **settings)
    size, stride, pad = (layer.pool_size[0], 1), (layer.stride[0], 1), (layer.pad[0], 0)
    expected = pool(x[..., None], size, stride, pad, layer.ignore_border, mode)[..., 0]
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-9, atol=1e-12)
    if mode == "max":
        assert np.array_equal(run(MaxPool1DLayer(InputLayer((None, 3, 7)), **settings), x), expected)


@pytest.mark.parametrize("length", [5, 6, 7, 12])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_pool_output_length(length, size, stride):
    complete = sum(start + size <= length for start in range(0, length, stride))
    assert pool_output_length(length, size, stride, 0, True) == complete
    x = np.zeros((1, 1, length, length))
    ragged = pool(x, (size, size), (stride, stride), (0, 0), False, "max").shape[2]
    assert pool_output_length(length, size, stride, 0, False) == ragged
    assert pool_output_length(None, size, stride, 0, True) is None


@pytest.mark.parametrize(
    "layer, shape, options, message",
    [
        (Pool2DLayer, (None, 3, 7), {"pool_size": 2}, "2D pooling layer with input shape"),
        (Pool1DLayer, (None, 3, 7, 8), {"pool_size": 2}, "1D pooling layer with input shape"),
        (Pool2DLayer, (None, 3, 7, 8), {"pool_size": 2, "mode": "mean"}, "mode must be one of"),
        (Pool2DLayer, (None, 3, 7, 8), {"pool_size": 2, "pad": 1, "ignore_border": False}, "pad must be 0"),
        (GlobalPoolLayer, (None, 3), {}, "at least 3 dimensions"),
        (FeaturePoolLayer, (None, 3), {"pool_size": 2}, "not a multiple"),
        (FeaturePoolLayer, (None, 3), {"pool_size": 2, "axis": 0}, "not a multiple"),
        (Upscale2DLayer, (None, 3, 7, 8), {"scale_factor": 0}, "must be >= 1"),
        (Upscale2DLayer, (None, 3, 7, 8), {"scale_factor": 2, "mode": "linear"}, "'repeat' or 'dilate'"),
    ],
)
def test_errors(layer, shape, options, message):
    with pytest.raises(ValueError, match=message):
        layer(shape, **options)


@pytest.mark.parametrize("function, expected", [(T.mean, np.mean), (T.max, np.max), (T.sum, np.sum)])
def test_global_pool(function, expected, rng, float64):
    x = rng.randn(2, 3, 4, 5)
    np.testing.assert_allclose(run(GlobalPoolLayer(InputLayer((None, 3, 4, 5)), function), x), expected(x, axis=(2, 3)))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_feature_pool(axis, rng, float64):
    x = rng.randn(3, 4, 6)
    layer = FeaturePoolLayer(InputLayer((None, 4, 6)), pool_size=2, axis=axis)
    even = tuple(slice(0, None, 2) if k == axis % 3 else slice(None) for k in range(3))
    odd = tuple(slice(1, None, 2) if k == axis % 3 else slice(None) for k in range(3))
    assert np.array_equal(run(layer, x), np.maximum(x[even], x[odd]))


@pytest.mark.parametrize("mode", ["repeat", "dilate"])
def test_upscale2d(mode, rng):
    x = rng.randn(2, 3, 4, 5).astype("float32")
    if mode == "repeat":
        expected = x.repeat(2, axis=2).repeat(3, axis=3)
    else:
        expected = np.zeros((2, 3, 8, 15), "float32")
        expected[:, :, ::2, ::3] = x
    assert np.array_equal(run(Upscale2DLayer(InputLayer((None, 3, 4, 5)), (2, 3), mode), x), expected)


@pytest.mark.parametrize("mode", ["repeat", "dilate"])
def test_upscale1d(mode, rng):
    x = rng.randn(2, 3, 4).astype("float32")
    result = run(Upscale1DLayer(InputLayer((None, 3, 4)), 3, mode), x)
    assert np.array_equal(result[:, :, ::3], x)
    assert np.array_equal(result[:, :, 1::3], x if mode == "repeat" else 0 * x)


def test_windows_without_entries_are_refused():
    for pool_size, stride in ((0, None), ((2, 0), None), (2, 0)):
        with pytest.raises(ValueError, match="must be made of integers from 1"):
            MaxPool2DLayer(InputLayer((None, 3, 8, 8)), pool_size, stride)
