"""Positions of extremes over several axes at once."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.tensor.indices.positions import iota


@pytest.mark.parametrize("axes", [(0, 2), (2, 1), (0, 1, 2), [1], (-1, 0)])
@pytest.mark.parametrize(("function", "oracle"), [(T.argmax, np.argmax), (T.argmin, np.argmin)])
def test_several_axes_are_looked_at_as_one(function, oracle, axes):
    value = np.random.default_rng(0).integers(0, 9, (3, 4, 5)).astype("float32")  # with equals among them
    over = sorted(k % 3 for k in axes)
    rest = [k for k in range(3) if k not in over]
    want = oracle(value.transpose(rest + over).reshape(*[value.shape[k] for k in rest], -1), axis=-1)
    x = T.tensor3("x")
    found = symc.function([x], [function(x, axis=axes), function(x, axis=axes, keepdims=True)])(value)
    np.testing.assert_array_equal(found[0], want)
    np.testing.assert_array_equal(found[1], want.reshape([1 if k in over else n for k, n in enumerate(value.shape)]))


@pytest.mark.parametrize("axis", [0, 1])
def test_computed_values_equal_their_maximum(axis):
    """Products that other values need as well are rounded alike where the maximum and where its place is found."""
    x, z = T.fmatrices("xz")
    product = x * T.var(x, 1, keepdims=True)
    w = product + z
    f = symc.function([x, z], [product.min(1), w.argmax(axis), w.max(axis), symc.grad(w.max(axis).sum(), w)])
    for shape in ((200, 63), (70, 200)):
        values = [np.random.default_rng(k).standard_normal(shape).astype("float32") for k in (1, 2)]
        _, where, largest, slopes = f(*values)
        assert (where < shape[axis]).all() and (slopes.sum(axis) == 1).all() and len(largest) == shape[1 - axis]


def test_max_and_argmax_over_several_axes():
    x = T.tensor3("x")
    value = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("float32")
    largest, where = symc.function([x], T.max_and_argmax(x, axis=(1, 2)))(value)
    np.testing.assert_array_equal(value.reshape(2, -1)[[0, 1], where], largest)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
def test_rows_of_any_length_in_one_function(dtype):
    """Short rows keep positions in 32 bits; the same function takes long ones."""
    x = T.TensorType(dtype, (False, False))()
    f = symc.function([x], [T.argmax(x, axis=1), T.argmin(x, axis=1)])
    rng = np.random.default_rng(3)
    for shape in ((40, 1), (33, 3), (129, 17), (300, 50), (40, 64), (40, 65), (32, 300), (1, 5), (0, 7)):
        value = rng.integers(0, 9, shape).astype(dtype)
        if value.dtype.kind == "f":
            value[::3, shape[1] // 2] = np.nan
        for found, want in zip(f(value), (value.argmax(1), value.argmin(1))):
            np.testing.assert_array_equal(found, want)
            assert found.dtype == np.int64


LARGEST = np.iinfo("int64").max


def first_where(condition, axis, none=LARGEST, least=T.min):
    """The first index along ``axis`` where a condition holds, written as ``argmax`` is."""
    return least(T.switch(condition, iota(condition, axis), none), axis=1)


def test_conditions_that_never_hold():
    """What is stored in 32 bits must come back as the largest int64, and only minima of indices in a row may be."""
    x = T.TensorType("float32", (False, False))()
    far = np.iinfo("int32").max
    f = symc.function(
        [x],
        [
            first_where(x > 0, 1),
            first_where(x > 0, 1, far),
            first_where(x > 0, 1, -1, T.max),
            first_where(x > 0, 1, LARGEST, T.max),
            first_where(x > 0, 0),
            first_where(x > 0, 1, LARGEST - 1),
            first_where(x > x.sum(axis=1, keepdims=True), 1),
        ],
    )
    for shape in ((50, 6), (200, 33), (40, 200)):
        value = np.random.default_rng(5).standard_normal(shape).astype("float32")
        value[::4] = -1
        rows, columns = np.indices(shape)
        over = value > 0
        exceeding = value > value.sum(1, keepdims=True)
        want = [
            np.where(over, columns, LARGEST).min(1),
            np.where(over, columns, far).min(1),
            np.where(over, columns, -1).max(1),
            np.where(over, columns, LARGEST).max(1),
            np.where(over, rows, LARGEST).min(1),
            np.where(over, columns, LARGEST - 1).min(1),
            np.where(exceeding, columns, LARGEST).min(1),
        ]
        for k, (found, exact) in enumerate(zip(f(value), want)):
            np.testing.assert_array_equal(found, exact, str(k))


def test_positions_in_short_rows_are_searched_in_32_bits():
    x = T.TensorType("float32", (False, False))()
    text = symc.printing.debugprint(symc.function([x], T.argmax(x, axis=1)), stage="loops", file="str")
    assert "new int32[1]" in text and "new int64[1]" in text  # the latter in the form of long rows
