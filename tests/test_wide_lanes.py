"""Loops over elements of 8 and 16 bits alone, which fill whole registers, compared with NumPy."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint

LENGTHS = (0, 1, 17, 31, 64, 129, 1023, 70_001)
RULES = {
    "add": (lambda x, y: x + y, lambda x, y: x + y),
    "product": (lambda x, y: x * y, lambda x, y: x * y),
    "constant": (lambda x, y: x - 3 * y, lambda x, y: x - x.dtype.type(3) * y),
    "extrema": (lambda x, y: T.maximum(x, y) - T.minimum(x, 7), lambda x, y: np.maximum(x, y) - np.minimum(x, 7)),
    "magnitude": (lambda x, y: abs(x), lambda x, y: np.abs(x)),
    "bits": (lambda x, y: (x & y) ^ ~x, lambda x, y: (x & y) ^ ~x),
    "comparison": (lambda x, y: x > y, lambda x, y: x > y),
    "condition": (lambda x, y: T.eq(x, y) | (x < 5), lambda x, y: (x == y) | (x < 5)),
    "choice": (lambda x, y: T.switch(x >= y, x, y), lambda x, y: np.where(x >= y, x, y)),
    "narrower": (lambda x, y: T.cast(x, "int8"), lambda x, y: x.astype("int8")),
    "wider": (lambda x, y: T.cast(x, "uint16") + 300, lambda x, y: x.astype("uint16") + np.uint16(300)),
    "sum": (lambda x, y: x.sum(), lambda x, y: x.sum()),
    "count": (lambda x, y: (x > y).sum(), lambda x, y: (x > y).sum()),
    "any": (lambda x, y: T.any(x > y), lambda x, y: (x > y).any()),
    "all": (lambda x, y: T.all(x > y), lambda x, y: (x > y).all()),
    "sum with result": (
        lambda x, y: T.cast(x.sum(), "int64") + 0 * T.cast(x, "int64"),
        lambda x, y: np.full(x.shape, x.sum(), "int64"),
    ),
}
EXTREMA = {
    "max": (lambda x, y: x.max(), lambda x, y: x.max()),
    "min": (lambda x, y: T.minimum(x, y).min(), lambda x, y: np.minimum(x, y).min()),
}


def _drawn(dtype, n, rng):
    if dtype == "bool":
        return rng.random(n) > 0.5
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max + 1, n).astype(dtype)
    x[: min(n, 2)] = [limits.min, limits.max][: min(n, 2)]
    return x


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_integers(dtype, isa):
    rng = np.random.default_rng(0)
    x, y = (T.tensor(dtype, shape=(None,)) for _ in range(2))
    all_rules = RULES | EXTREMA
    with symc.config.change(isa=isa):
        whole = symc.function([x, y], [make(x, y) for make, _ in all_rules.values()])
        empty = symc.function([x, y], [make(x, y) for make, _ in RULES.values()])
    for n in LENGTHS:
        a, b = _drawn(dtype, n, rng), _drawn(dtype, n, rng)[::-1].copy()
        for name, result in zip(all_rules, whole(a, b) if n else empty(a, b)):
            np.testing.assert_array_equal(result, all_rules[name][1](a, b), err_msg=f"{name}, {n} elements")


def test_bools(isa):
    rng = np.random.default_rng(0)
    x, y = (T.tensor("bool", shape=(None,)) for _ in range(2))
    made = [x & ~y, x | y, x ^ y, T.switch(x, y, ~y), T.any(x & y), T.all(x | ~y), x.sum(), (x & y).sum()]
    with symc.config.change(isa=isa):
        f = symc.function([x, y], made)
    for n in LENGTHS:
        a, b = _drawn("bool", n, rng), _drawn("bool", n, rng)
        expected = [a & ~b, a | b, a ^ b, np.where(a, b, ~b), (a & b).any(), (a | ~b).all(), a.sum(), (a & b).sum()]
        for one, other in zip(f(a, b), expected):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_sums_of_many_extreme_elements(dtype, isa):
    """Lanes of 32 bits are added to a total in time."""
    n = 3_000_001
    x = T.tensor(dtype, shape=(None,))
    with symc.config.change(isa=isa):
        f = symc.function([x], x.sum())
    for extreme in (np.iinfo(dtype).min, np.iinfo(dtype).max):
        assert f(np.full(n, extreme, dtype)) == n * int(extreme)


@pytest.mark.parametrize("dtype", ["int8", "uint16"])
def test_rows_and_columns(dtype, isa):
    rng = np.random.default_rng(0)
    x, row = T.tensor(dtype, shape=(None, None)), T.tensor(dtype, shape=(None,))
    made = [
        x.max(0),
        x.min(1),
        x.sum(0),
        x.sum(1),
        x + row,
        T.any(x > row, axis=0),
        x + x[:, 0][:, None],
        x[:, ::2] - 1,
    ]
    with symc.config.change(isa=isa):
        f = symc.function([x, row], made)
    for shape in ((1, 1), (3, 17), (40, 33), (9, 257), (100, 1000)):
        a = _drawn(dtype, shape[0] * shape[1], rng).reshape(shape)
        r = _drawn(dtype, shape[1], rng)
        one = a.dtype.type(1)
        expected = [a.max(0), a.min(1), a.sum(0), a.sum(1), a + r, (a > r).any(0), a + a[:, :1], a[:, ::2] - one]
        for found, other in zip(f(a, r), expected):
            np.testing.assert_array_equal(found, other)


def test_only_narrow_loops_have_more_lanes(monkeypatch):
    monkeypatch.setattr(symc.config, "isa", "avx2")

    def text(make, dtype):
        x = T.tensor(dtype, shape=(None,))
        return debugprint(symc.function([x], make(x)), stage="c", file="str")

    assert "vload_u8x4" in text(lambda x: x + 1, "uint8")
    assert "vload_i16x2" in text(lambda x: x + 1, "int16")
    assert "vload_i8x2" in text(lambda x: T.cast(x, "int16") * 2, "int8")
    assert "vsum_i8x4" in text(lambda x: x.sum(), "int8")
    assert "x4" not in text(lambda x: T.cast(x, "float32") * 2, "int8")
    assert "x2" not in text(lambda x: x + T.arange(x.shape[0], dtype="int16"), "int16")


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint64", "float32", "float64"])
def test_transposed_operands_of_any_type(dtype, isa):
    """Blocks are turned in registers: rows of two registers, of one, and of a part of one."""
    x, y = T.tensor(dtype, shape=(None, None)), T.tensor(dtype, shape=(None, None))
    with symc.config.change(isa=isa):
        f = symc.function([x, y], [x.T + y, x.T * 1])
    rng = np.random.default_rng(1)
    for m, n in ((0, 3), (1, 1), (3, 5), (16, 16), (17, 33), (31, 8), (40, 100), (128, 65)):
        a, b = rng.integers(0, 100, (m, n)).astype(dtype), rng.integers(0, 100, (n, m)).astype(dtype)
        total, turned = f(a, b)
        np.testing.assert_array_equal(total, a.T + b)
        np.testing.assert_array_equal(turned, a.T)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64"])
def test_conditions_as_numbers(dtype, isa):
    x, b = T.tensor(dtype, shape=(None,)), T.tensor("bool", shape=(None,))
    with symc.config.change(isa=isa):
        f = symc.function([x, b], [T.cast(x > 0, dtype) * 2 - T.cast(b, dtype), T.sgn(x), x * T.cast(b, dtype)])
    for n in LENGTHS:
        a, mask = (
            (np.random.default_rng(n).standard_normal(n) * 3).astype(dtype),
            _drawn("bool", n, np.random.default_rng(n)),
        )
        if dtype.startswith("float"):
            a[: min(n, 4)] = np.array([np.nan, -0.0, np.inf, -np.inf])[: min(n, 4)]
        with np.errstate(invalid="ignore"):
            wanted = (a > 0).astype(dtype) * 2 - mask.astype(dtype), np.sign(a), a * mask.astype(dtype)
        for got, want in zip(f(a, mask), wanted):
            np.testing.assert_array_equal(got, want.astype(dtype))
