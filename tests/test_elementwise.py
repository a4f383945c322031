"""Calls of elementwise functions, and integer powers. The ops themselves are tested from their records."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import symc
import symc.tensor as T

WHOLE = ("bool", "int8", "uint8", "int32", "uint32", "int64")


@pytest.mark.parametrize(("function", "oracle"), [(T.add, np.add), (T.mul, np.multiply), (T.maximum, np.maximum)])
def test_more_operands_are_combined_from_left_to_right(function, oracle):
    a, b, c = T.vectors("a", "b", "c")
    x, y, z = np.array([1.0, 7.0]), np.array([4.0, 3.0]), np.array([-2.0, 5.0])
    made = symc.function([a, b, c], function(a, b, c, dtype="float64"))(x, y, z)
    assert made.dtype == "float64"
    np.testing.assert_array_equal(made, oracle(oracle(x, y), z))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: T.clip(x, 1), r"clip: takes 3 operands \(x, low, high\), got 2"),
        (lambda x: T.add(x), r"add: takes 2 operands \(x, y\) or more, got 1"),
        (lambda x: T.sub(x, x, x), r"sub: takes 2 operands \(x, y\), got 3"),
        (lambda x: T.exp(x, x), r"exp: takes 1 operands \(x\), got 2"),
    ],
)
def test_a_wrong_number_of_operands(call, message):
    with pytest.raises(TypeError, match=message):
        call(T.vector("x"))


@pytest.mark.parametrize(("of", "by"), list(product(WHOLE, WHOLE)))
def test_whole_numbers_to_whole_powers_stay_whole(of, by):
    x, y = T.tensor(of, (False,), "x"), T.tensor(by, (False,), "y")
    numbers, powers = (
        np.array(v).astype(d) for v, d in (([0, 1, 2, 3, 3, 2, 1, 0], of), ([0, 3, 5, 2, 3, 6, 0, 4], by))
    )
    want = np.power(numbers.astype("int8"), powers.astype("int8")) if of == by == "bool" else numbers**powers
    made = symc.function([x, y], x**y)(numbers, powers)
    assert made.dtype == want.dtype
    np.testing.assert_array_equal(made, want)


def test_large_whole_powers_are_exact():
    x, y = T.lvectors("x", "y")
    numbers = np.arange(2, 300)
    powers = (52 * np.log(2) / np.log(numbers)).astype("int64")
    np.testing.assert_array_equal(symc.function([x, y], x**y)(numbers, powers), numbers**powers)


@pytest.mark.parametrize("dtype", [d for d in WHOLE if d != "bool"])
def test_whole_powers_wrap_around(dtype):
    x, y = T.tensor(dtype, (False,), "x"), T.tensor(dtype, (False,), "y")
    rng, limits = np.random.default_rng(3), np.iinfo(dtype)
    numbers = np.r_[rng.integers(max(limits.min, -9), 9, 200), [limits.min, limits.max, 0, 1]].astype(dtype)
    powers = rng.integers(0, min(limits.max, 255), 204, dtype=dtype)
    np.testing.assert_array_equal(symc.function([x, y], x**y)(numbers, powers), numbers**powers)
    np.testing.assert_array_equal(symc.function([y], 3**y)(powers), np.array(3, dtype) ** powers)
    if limits.min < 0:
        found = symc.function([x, y], x**y)([1, -1, -1, 2, -3], [-5, -5, -4, -1, -2])
        np.testing.assert_array_equal(found, [1, -1, 1, 0, 0])


def test_a_known_negative_power_of_whole_numbers_is_a_float():
    x = T.ivector("x")
    np.testing.assert_allclose((x**-2).eval({x: [1, 2]}), [1, 0.25])


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 3.0])
def test_derivatives_of_a_power_at_zero(exponent):
    x = T.dvector("x")
    slope = x**exponent
    for order in range(int(exponent) + 1):
        slope = T.grad(slope.sum(), x)
        factor = np.prod(exponent - np.arange(order + 1.0))
        values = slope.eval({x: [0.0, -2.0]})
        np.testing.assert_allclose(values, factor * np.array([0.0, -2.0]) ** max(exponent - order - 1, 0))


def test_tensordot_refuses_axes_that_are_not_there():
    x, y = T.matrix("x"), T.vector("y")
    with pytest.raises(ValueError, match="out of range for 1 axes"):
        T.tensordot(x, y, [[1], [3]])
    with pytest.raises(ValueError, match="cannot sum over 2 axes"):
        T.tensordot(x, y, 2)
    with pytest.raises(ValueError, match="cannot sum over -1 axes"):
        T.tensordot(x, y, -1)
