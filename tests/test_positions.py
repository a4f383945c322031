"""Positions of extremes over several axes at once."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T


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
