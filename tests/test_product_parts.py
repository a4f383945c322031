"""Products of float32, which processors with AMX compute as sums of products of bfloat16 parts."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc_backends.c.library import runtime

pytestmark = pytest.mark.skipif(symc.config.device != "c", reason="the library of the C back end")


def _normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.fixture(scope="module")
def products():
    a, b = T.fmatrices("ab")
    c = T.fmatrix("c")
    return {
        (0, 0): symc.function([a, b], T.dot(a, b)),
        (1, 0): symc.function([a, b], T.dot(a.T, b)),
        (0, 1): symc.function([a, b], T.dot(a, b.T)),
        (1, 1): symc.function([a, b], T.dot(a.T, b.T)),
        "epilogue": symc.function([a, b, c], T.tanh(T.dot(a, b) + c)),
    }


def _error(got: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """The largest error relative to the sum of the absolute terms."""
    a, b = a.astype("float64"), b.astype("float64")
    return float(np.max(np.abs(got - a @ b) / (np.abs(a) @ np.abs(b))))


def _in_parts(f, *operands: np.ndarray) -> np.ndarray:
    """The result, which differs from that of float32 instructions where the processor has matrix registers."""
    got = f(*operands)
    if runtime().bfloat16_instructions() == 2:
        with symc.config.change(cpu_precision="ieee"):
            assert not np.array_equal(got, f(*operands), equal_nan=True)
    return got


# The first is multiplied by float32 instructions: parts do not pay.
SIZES = [(97, 161, 203), (333, 500, 402), (257, 1030, 320), (300, 170, 1000), (1100, 195, 330), (170, 2100, 700)]


@pytest.mark.parametrize("rows,k,cols", SIZES)
def test_as_exact_as_float32(products, rows, k, cols):
    a, b, c = _normal(0, rows, k), _normal(1, k, cols), _normal(2, rows, cols)
    expected = np.tanh(a.astype("float64") @ b + c)
    np.testing.assert_allclose(products["epilogue"](a, b, c), expected, rtol=0, atol=1e-4)
    a *= np.exp2(np.random.default_rng(3).integers(-12, 12, a.shape)).astype("float32")
    for (ta, tb), f in [(key, f) for key, f in products.items() if key != "epilogue"]:
        operands = a.T.copy() if ta else a, b.T.copy() if tb else b
        got = f(*operands) if rows < 100 else _in_parts(f, *operands)
        with symc.config.change(cpu_precision="ieee"):
            plain = f(*operands)
        assert _error(got, a, b) <= max(1.5 * _error(plain, a, b), 4e-7)


def test_integers_are_exact(products):
    """Numbers of 24 bits times powers of two: each part matters, and nothing is rounded."""
    rng = np.random.default_rng(5)
    a = rng.integers(-(2**24) + 1, 2**24, (330, 500)).astype("float32")
    b = np.zeros((500, 560), "float32")
    b[rng.permutation(500), rng.permutation(560)[:500]] = np.exp2(rng.integers(-20, 20, 500))
    expected = (a.astype("float64") @ b).astype("float32")
    np.testing.assert_array_equal(products[0, 0](a, b), expected)
    np.testing.assert_array_equal(products[1, 1](b, a), expected.T)


def test_values_that_parts_cannot_hold(products):
    f = products[0, 0]
    a, b = _normal(0, 400, 450), np.abs(_normal(1, 450, 470)) + 0.5
    a[3, 5], a[7, 0], a[70, 149], a[399, 10] = np.nan, np.inf, 3.4e38, -np.inf
    b[11, 33], b[12, 469] = np.inf, -np.inf
    with symc.config.change(cpu_precision="ieee"):
        expected = f(a, b)
    got = _in_parts(f, a, b)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    infinite = np.isinf(expected)
    assert infinite.any()
    np.testing.assert_array_equal(got[infinite], expected[infinite])
    np.testing.assert_allclose(got[np.isfinite(expected)], expected[np.isfinite(expected)], rtol=1e-4, atol=1e-4)


SCALES = [(2.0**-90, 1.0), (2.0**-60, 2.0**-60), (2.0**-140, 2.0**120), (2.0**58, 2.0**62)]


@pytest.mark.parametrize("scale_a,scale_b", SCALES)
def test_small_and_large_numbers(products, scale_a, scale_b):
    a = (_normal(0, 330, 440) * scale_a).astype("float32")
    b = (_normal(1, 440, 490) * scale_b).astype("float32")
    assert _error(products[0, 0](a, b), a, b) < 1e-6


def test_small_numbers_beside_others(products):
    """Rows and columns of one tile that differ by up to 2**118, and terms far below the others of the operands."""
    a, b = _normal(0, 330, 440), _normal(1, 440, 490)
    for i, power in enumerate((-40, -70, -90, -104, -112, -118)):
        a[3 * i] *= np.float32(2.0**power)
        b[:, 5 * i] *= np.float32(2.0 ** (-power / 4))
    assert _error(_in_parts(products[0, 0], a, b), a, b) < 1e-6
    a, b = _normal(2, 330, 440), np.zeros((440, 490), "float32")
    a[:, 7], b[7] = _normal(3, 330) * np.float32(2.0**-115), _normal(4, 490) * np.float32(2.0**110)
    a[5], b[50:70, ::3] = 2.0**-50, 2.0**-55
    assert _error(products[0, 0](a, b), a, b) < 1e-6


def test_a_stored_matrix_is_as_exact():
    x = T.fmatrix("x")
    w = symc.shared(_normal(0, 200, 500))
    f = symc.function([x], [T.dot(x, w)], updates=[(w, w * 2)])
    value = w.get_value()
    for rows in (64, 17, 200):
        data = _normal(rows, rows, 200)
        (got,) = f(data)
        assert _error(got, data, value) < 5e-7
        value = value * 2
    bad = _normal(9, 40, 200)
    bad[20, 3] = np.inf
    (got,) = f(bad)
    np.testing.assert_array_equal(got[20], np.sign(value[3]) * np.inf)
    assert np.isfinite(np.delete(got, 20, axis=0)).all()
