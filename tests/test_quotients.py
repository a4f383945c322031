"""Quotients by a divisor that a row shares have the bits of a division, although they are products."""

import numpy as np
import pytest

import symc
import symc.tensor as T

FLOATS = ("float32", "float64")
BITS = {"float32": "int32", "float64": "int64"}
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-38, -3e38, 1e-30, 1e30, 3.0, -7.0)


@pytest.fixture(scope="module", params=["", "avx2", "sse", "scalar"])
def quotients(request):
    """Functions of rows and their divisors, by dtype."""
    found = {}
    for dtype in FLOATS:
        x, d = T.TensorType(dtype, (False, False))("x"), T.TensorType(dtype, (False,))("d")
        with symc.config.change(isa=request.param):
            try:
                found[dtype] = symc.function([x, d], x / d.dimshuffle(0, "x"))
            except symc.errors.CompileError:
                pytest.skip(f"this processor has no {request.param}")
    return found


def assert_same_bits(function, x, d):
    with np.errstate(all="ignore"):
        expected = x / d[:, None]
    found = function(x, d)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    number = ~np.isnan(expected)
    bits = BITS[x.dtype.name]
    np.testing.assert_array_equal(found.view(bits)[number], expected.view(bits)[number])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("columns", [0, 1, 15, 1003])
def test_quotients_of_a_row_have_the_bits_of_a_division(quotients, dtype, columns):
    rng = np.random.default_rng(columns)
    x = rng.standard_normal((200, columns)) * 10.0 ** rng.uniform(-18, 18, (200, 1))
    d = rng.standard_normal(200) * 10.0 ** rng.uniform(-9, 9, 200)
    assert_same_bits(quotients[dtype], x.astype(dtype), d.astype(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_divisors_near_the_ends_of_the_range_and_special_values(quotients, dtype):
    rng = np.random.default_rng(3)
    limits = np.finfo(dtype)
    ends = (limits.max, limits.tiny, limits.smallest_subnormal, limits.max / 2, 2 * limits.tiny)
    d = np.array([*SPECIAL, *ends], dtype)
    # Of x that is hardly larger than a subnormal number, what a quotient leaves is subnormal: the last bit may differ.
    x = rng.choice(d[(d == 0) | ~(abs(d) < limits.tiny * 2.0 ** (limits.nmant + 1))], (len(d), 333))
    assert_same_bits(quotients[dtype], x, d)


def test_a_divisor_of_all_elements():
    x, d = T.fmatrix("x"), T.fscalar("d")
    function = symc.function([x, d], x / d)
    given = np.random.default_rng(4).standard_normal((37, 50)).astype("float32")
    for divisor in (3.0, -0.7, 1e-38, np.inf, 0.0):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(function(given, divisor), given / np.float32(divisor))
