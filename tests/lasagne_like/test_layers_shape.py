import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.layers import (
    DimshuffleLayer,
    FlattenLayer,
    InputLayer,
    PadLayer,
    ReshapeLayer,
    SliceLayer,
    get_output,
)


def run(layer, x):
    variable = T.tensor(x.dtype.name, shape=(None,) * x.ndim)
    return symc.function([variable], get_output(layer, variable))(x)


@pytest.fixture
def x(rng):
    return rng.randn(2, 3, 4, 5).astype("float32")


SHAPE = (None, 3, 4, 5)


@pytest.mark.parametrize(
    "outdim, inferred, shape", [(1, (None,), (120,)), (2, (None, 60), (2, 60)), (3, (None, 3, 20), (2, 3, 20))]
)
def test_flatten(outdim, inferred, shape, x):
    layer = FlattenLayer(InputLayer(SHAPE), outdim)
    assert layer.output_shape == inferred
    assert np.array_equal(run(layer, x), x.reshape(shape))
    with pytest.raises(ValueError, match="Dim must be >0, was 0"):
        FlattenLayer(SHAPE, 0)


@pytest.mark.parametrize(
    "spec, inferred, shape",
    [
        (([0], -1), (None, 60), (2, 60)),
        ((-1, 60), (None, 60), (2, 60)),
        (([0], 15, [2]), (None, 15, 4), (2, 15, 4)),
        (([0], [3], [2], [1]), (None, 5, 4, 3), (2, 5, 4, 3)),
        ((-1,), (None,), (120,)),
        (([0], 1, -1, 5, 1), (None, 1, 12, 5, 1), (2, 1, 12, 5, 1)),
    ],
)
def test_reshape(spec, inferred, shape, x):
    layer = ReshapeLayer(InputLayer(SHAPE), spec)
    assert layer.output_shape == inferred
    assert np.array_equal(run(layer, x), x.reshape(shape))


def test_reshape_to_a_symbolic_size(x):
    n = T.iscalar("n")
    layer = ReshapeLayer(InputLayer(SHAPE), (n, -1))
    assert layer.output_shape == (None, None)
    variable = T.tensor4()
    result = symc.function([variable, n], get_output(layer, variable))(x, 8)
    assert np.array_equal(result, x.reshape(8, 15))


@pytest.mark.parametrize(
    "spec, message",
    [
        ((-1, -1), "multiple -1"),
        (([0], 0), "positive or -1, got 0"),
        (([0], -2), "positive or -1, got -2"),
        (([0, 1], -1), "single-element lists"),
        (([4], -1), "refers to input axis"),
        ((T.vector(), -1), "must be a scalar"),
        ((2.5, -1), "tuple of int"),
        ((7, 7), "120"),
    ],
)
def test_reshape_errors(spec, message):
    with pytest.raises(ValueError, match=message):
        ReshapeLayer((2, 3, 4, 5), spec)


@pytest.mark.parametrize("spec", [([0], 7, -1), ([0], 3, 21), ([0], [2], [2], -1), (7, [0], -1), ([0], 59)])
def test_reshape_that_no_batch_fits(spec):
    """Known at construction, although the batch size is not."""
    with pytest.raises(ValueError, match="60 elements|15 elements"):
        ReshapeLayer((None, 3, 4, 5), spec)


@pytest.mark.parametrize("spec", [(-1, 7), ([0], [0], -1), ([1], [1], -1), (-1, [0])])
def test_reshape_that_some_batch_fits(spec):
    x = np.ones((7 if 7 in spec else 3 if spec[0] == [1] else 1, 3, 4, 5), "float32")
    layer = ReshapeLayer(InputLayer((None, 3, 4, 5)), spec)
    sizes = [x.shape[entry[0]] if isinstance(entry, list) else entry for entry in spec]
    assert run(layer, x).shape == np.reshape(x, sizes).shape


@pytest.mark.parametrize("pattern", [(3, 1, 0, 2), (0, "x", 1, 2, 3, "x")])
def test_dimshuffle(pattern, x):
    result = run(DimshuffleLayer(InputLayer(SHAPE), pattern), x)
    kept = [axis for axis in pattern if axis != "x"]
    expected = x.transpose(kept)
    for position, axis in enumerate(pattern):
        if axis == "x":
            expected = np.expand_dims(expected, position)
    assert np.array_equal(result, expected)


def test_dimshuffle_drops_axes_of_size_one():
    assert DimshuffleLayer((None, 1, 5), (2, 0)).output_shape == (5, None)


@pytest.mark.parametrize(
    "pattern, message",
    [
        ((0, 1, 2), "leaves out an axis"),
        ((0, 1, 2, 2, 3), "twice"),
        ((0, 1, 2, 4, 3), "contains 4"),
        ((0, 1, 2, "y", 3), "axis numbers and 'x'"),
    ],
)
def test_dimshuffle_errors(pattern, message):
    with pytest.raises(ValueError, match=message):
        DimshuffleLayer(SHAPE, pattern)


@pytest.mark.parametrize(
    "options, widths",
    [
        ({"width": 2}, [(0, 0), (0, 0), (2, 2), (2, 2)]),
        ({"width": ((1, 2), 0)}, [(0, 0), (0, 0), (1, 2), (0, 0)]),
        ({"width": (1, 2, 3), "batch_ndim": 1, "val": 7}, [(0, 0), (1, 1), (2, 2), (3, 3)]),
    ],
)
def test_pad(options, widths, x):
    layer = PadLayer(InputLayer(SHAPE), **options)
    expected = np.pad(x, widths, constant_values=options.get("val", 0))
    assert layer.output_shape == (None, *expected.shape[1:])
    assert np.array_equal(run(layer, x), expected)


@pytest.mark.parametrize("width", [(1, 2, 3), ((1, 2, 3), 1), (-1, 1)])
def test_pad_errors(width):
    with pytest.raises(ValueError, match="width must be"):
        PadLayer(SHAPE, width)


@pytest.mark.parametrize(
    "indices, axis", [(0, 1), (-1, 2), (slice(1, 3), 2), (slice(None, None, 2), -1), (slice(0, 1), 0)]
)
def test_slice(indices, axis, x):
    layer = SliceLayer(InputLayer(SHAPE), indices, axis)
    expected = x[(slice(None),) * (axis % 4) + (indices,)]
    result = run(layer, x)
    assert np.array_equal(result, expected)
    known = layer.output_shape
    assert len(known) == expected.ndim
    assert all(size in (None, actual) for size, actual in zip(known, expected.shape))
