"""Quotients rounded down, and remainders: every dtype against NumPy's scalars, at the ends of the types too."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float32", "float64")


def _compiled(dtype: str, isa: str = ""):
    x, y = T.TensorType(dtype, (False,))("x"), T.TensorType(dtype, (False,))("y")
    with symc.config.change(isa=isa):
        try:
            return symc.function([x, y], [x // y, x % y])
        except symc.errors.CompileError:
            pytest.skip(f"this processor has no {isa}")


def _check(compiled, x: np.ndarray, y: np.ndarray) -> None:
    found = compiled(x, y)
    with np.errstate(all="ignore"):
        expected = [np.floor_divide(x, y), np.remainder(x, y)]
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
        if x.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]))


def _integers(dtype: str) -> np.ndarray:
    """The ends of the type, zero, powers of two and their neighbours."""
    info = np.iinfo(dtype)
    found = {0, info.max, info.min, info.max // 3}
    for k in range(info.bits):
        found.update(sign * (1 << k) + d for sign in (1, -1) for d in (-1, 0, 1))
    return np.array(sorted(v for v in found if info.min <= v <= info.max), dtype)


@pytest.mark.parametrize("isa", ["", "avx2", "sse"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(dtype: str, isa: str) -> None:
    compiled, ends, rng = _compiled(dtype, isa), _integers(dtype), np.random.default_rng(1)
    x, y = (v.ravel() for v in np.meshgrid(ends, ends))
    _check(compiled, x, y)
    info = np.iinfo(dtype)
    # Dividends beside multiples of the divisor, where an error of the quotient shows; of any magnitude.
    y = rng.integers(info.min, info.max, 20_011, dtype, True) >> rng.integers(0, info.bits, 20_011).astype(dtype)
    x = rng.integers(info.min, info.max, 20_011, dtype, True) >> rng.integers(0, info.bits, 20_011).astype(dtype)
    with np.errstate(all="ignore"):
        x = (x - np.remainder(x, y)) + rng.integers(0, 3, len(x)).astype(dtype) - np.asarray(1, dtype)
    _check(compiled, x, y)
    _check(compiled, x[:0], y[:0])
    if info.bits == 64:  # below the limit of the fast path, beside it, and in vectors with others
        near = (rng.integers(0, 1 << 49, 4_003) - (1 << 48)).astype(dtype)
        small = rng.integers(1, 1 << 25, 4_003).astype(dtype)
        _check(compiled, near // small * small, small)
        _check(compiled, near // small * small - np.asarray(1, dtype), small)
        limit = np.asarray((1 << 49) - 8, dtype) + np.arange(16).astype(dtype)
        _check(compiled, limit, limit[::-1].copy())


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_every_pair_of_bytes(dtype: str) -> None:
    every = np.arange(256).astype(dtype)
    x, y = (v.ravel() for v in np.meshgrid(every, every))
    _check(_compiled(dtype), x, y)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "uint32"])
@pytest.mark.parametrize("divisor", [1, 7, 10, 2**15 - 1, -3])
def test_shared_divisors(dtype: str, divisor: int) -> None:
    if divisor < 0 and dtype[0] == "u":
        return
    x = T.TensorType(dtype, (False,))("x")
    d = np.asarray(divisor, dtype)
    compiled = symc.function([x], [x // d, x % d])
    values = np.concatenate([_integers(dtype), np.arange(1000).astype(dtype)])
    np.testing.assert_array_equal(compiled(values)[0], values // d)
    np.testing.assert_array_equal(compiled(values)[1], values % d)


@pytest.mark.parametrize("isa", ["", "avx2", "sse"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_floats(dtype: str, isa: str) -> None:
    compiled, info, rng = _compiled(dtype, isa), np.finfo(dtype), np.random.default_rng(2)
    ends = np.array([0, 1, 1.5, 3, 0.1, 7, 1e-3, 2.0**24, 2.0**53, 1e30, info.max, info.tiny, info.smallest_subnormal,
                     3 * info.smallest_subnormal, np.inf, np.nan], dtype)  # fmt: skip
    ends = np.concatenate([ends, -ends, np.nextafter(ends, np.asarray(0, dtype))])
    x, y = (v.ravel() for v in np.meshgrid(ends, ends))
    _check(compiled, x, y)
    x = (rng.standard_normal(20_011) * 10.0 ** rng.integers(-20, 20, 20_011)).astype(dtype)
    y = (rng.standard_normal(20_011) * 10.0 ** rng.integers(-20, 20, 20_011)).astype(dtype)
    _check(compiled, x, y)
    # Quotients up to and past those that the fast path holds, beside whole numbers.
    y = rng.standard_normal(20_011).astype(dtype)
    x = (y * np.floor(2.0 ** rng.uniform(0, info.nmant + 3, 20_011))).astype(dtype)
    for step in (-np.inf, np.inf):
        _check(compiled, x, y)
        x = np.nextafter(x, np.asarray(step, dtype))
