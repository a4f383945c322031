"""Running sums and products of lines that are apart in memory, several of which are gone through together."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
@pytest.mark.parametrize("declared", [True, False])
def test_any_number_of_lines(dtype, declared, rng):
    for shape in ((1, 50), (2, 9), (3, 100), (4, 33), (5, 1), (9, 7), (0, 3), (6, 0), (2, 3, 11), (3, 5, 2)):
        a = (rng.integers(0, 3, shape) if "float" not in dtype else 1 + rng.standard_normal(shape) / 9).astype(dtype)
        x = T.tensor(dtype, shape=shape if declared else (None,) * len(shape))
        axis = 1 if len(shape) == 3 and shape[2] == 2 else len(shape) - 1
        f = symc.function([x], [T.cumsum(x, axis), T.cumprod(x, axis), T.cumsum(x * 2, axis) + 1])
        wide = a.astype("float64" if "float" in dtype else "int64")
        for got, want in zip(f(a), (wide.cumsum(axis), wide.cumprod(axis), (wide * 2).cumsum(axis) + 1)):
            np.testing.assert_allclose(got, want, rtol=2e-6)


def test_in_the_memory_of_the_operand(rng):
    a = rng.standard_normal((7, 40)).astype("float32")
    s = symc.shared(a)
    symc.function([], updates={s: T.cumsum(s, 1)})()
    np.testing.assert_allclose(s.get_value(), a.cumsum(1, dtype="float64"), rtol=1e-5, atol=1e-6)


def test_lines_on_the_gpu(emulated_device, rng):
    a = rng.standard_normal((6, 20)).astype("float32")
    x = T.matrix("x")
    found = symc.function([x], T.cumsum(x, 1), device="cuda")(a)
    np.testing.assert_allclose(found, a.cumsum(1, dtype="float64"), rtol=1e-5, atol=1e-6)
