"""Positions of extremes over leading and middle axes, which are found in one pass beside the extremes."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint

DTYPES = ["float32", "float64", "float16", "bfloat16", "int8", "uint8", "int16", "int32", "int64", "uint64", "bool"]
SHAPES = [
    ((7, 5), 0),
    ((1, 33), 0),
    ((70, 130), 0),
    ((3, 20, 9), 1),
    ((2, 5, 4, 17), 2),
    ((300, 3), 0),
    ((20000, 10), 0),
]


def values(dtype, shape, kind, rng):
    """Values with many equal ones; at the ends of their range and undefined ones for some kinds."""
    if dtype == "bool":
        return rng.random(shape) < (0.5, 0.01, 0, 1)[kind]
    if "float" in dtype:
        a = rng.integers(-4, 5, shape).astype("float32")
        extreme = [a, np.where(rng.random(shape) < 0.1, np.nan, a), np.full(shape, -np.inf), np.full(shape, np.inf)][
            kind
        ]
        return extreme.astype("float32" if dtype == "bfloat16" else dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    small = rng.integers(max(low, -5), 6, shape).astype(dtype)
    return [small, np.where(rng.random(shape) < 0.3, high, low).astype(dtype), np.full_like(small, low), small * 0][
        kind
    ]


def check(x, dtype, shape, axis, rng, **options):
    """Values of all kinds."""
    f = symc.function([x], [T.argmax(x, axis), T.argmin(x, axis), *T.max_and_argmax(x, axis)], **options)
    for kind in range(4):
        a = values(dtype, shape, kind, rng)
        for found, want in zip(f(a), (a.argmax(axis), a.argmin(axis), a.max(axis), a.argmax(axis))):
            np.testing.assert_array_equal(np.asarray(found, want.dtype), want)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_width(isa, dtype, rng):
    with symc.config.change(isa=isa):
        for shape, axis in SHAPES[:: 1 if dtype in ("float32", "bool", "uint8") else 2]:
            for declared in (True, False):
                x = T.tensor(dtype, shape=shape if declared else (None,) * len(shape))
                check(x, dtype, shape, axis, rng)


@pytest.mark.parametrize("dtype", DTYPES)
def test_on_the_gpu(emulated_device, dtype, rng):
    for shape, axis in (((7, 5), 0), ((3, 20, 9), 1), ((400, 33), 0)):
        x = T.tensor(dtype, shape=(None,) * len(shape))
        check(x, dtype, shape, axis, rng, device="cuda")


def test_blocks_of_positions(monkeypatch, rng):
    """Positions have 32 bits within blocks; more terms than one block has are looked at block by block."""
    for module in ("reductions", "fusion_group"):
        monkeypatch.setattr(f"symc.compiler.lowering.{module}.POSITION_TERMS", 16)
    for shape, axis in (
        ((15, 40), 0),
        ((16, 40), 0),
        ((100, 40), 0),
        ((3, 100, 7), 1),
        ((3, 16, 130), 1),
        ((3, 1, 9), 1),
    ):
        for declared in (True, False):
            x = T.tensor("float32", shape=shape if declared else (None,) * len(shape))
            check(x, "float32", shape, axis, rng)


def test_beside_other_reductions(rng):
    """Sums over the same terms, whose blocks are shorter, and values that depend on position and extreme."""
    x = T.matrix("x")
    a = np.round(rng.standard_normal((5000, 37)).astype("float32"), 1)
    shifted = abs(x) - x.sum()
    f = symc.function(
        [x],
        [x.mean(0), T.argmax(x, 0), T.argmin(T.exp(x) * 2, 0), T.argmax(shifted, 0), T.argmax(T.nnet.softmax(x.T), 1)]
        + [T.eq(T.arange(x.shape[0])[:, None], T.argmax(x, 0)), x - x.max(0), x[T.argmax(x, 0), T.arange(x.shape[1])]],
    )
    mean, largest, least, far, soft, marked, below, picked = f(a)
    np.testing.assert_allclose(mean, a.mean(0, dtype="float64"), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(largest, a.argmax(0))
    np.testing.assert_array_equal(least, a.argmin(0))
    np.testing.assert_array_equal(far, (np.abs(a) - a.sum(dtype="float64").astype("float32")).argmax(0))
    np.testing.assert_array_equal(soft, a.argmax(0))
    np.testing.assert_array_equal(marked, np.arange(5000)[:, None] == a.argmax(0))
    np.testing.assert_array_equal(below, a - a.max(0))
    np.testing.assert_array_equal(picked, a.max(0))


def test_empty_columns_and_no_columns():
    x = T.matrix("x")
    f = symc.function([x], T.argmax(x, 0))
    assert f(np.zeros((3, 0), "float32")).shape == (0,)
    with pytest.raises(symc.errors.GuardError, match="no elements"):
        f(np.zeros((0, 3), "float32"))


@pytest.mark.parametrize("shape", [(None, None), (100, 200), (5, 60, 70)])
def test_memory_is_read_once(shape):
    x = T.tensor("float32", shape=shape)
    text = debugprint(symc.function([x], T.argmax(x, len(shape) - 2)), stage="loops", file="str")
    assert text.split("kernel K1")[0].count("= b0[") == 1, text


def test_other_conditions_take_a_second_pass(rng):
    """Only the first element that equals the extreme, or is NaN, is found beside it."""
    x = T.matrix("x")
    a = np.round(rng.standard_normal((90, 40)).astype("float32"), 1)
    a[rng.random(a.shape) < 0.02] = np.nan
    rows, none = T.arange(x.shape[0])[:, None], np.iinfo("int64").max
    largest, least = x.max(0), x.min(0)

    def first(condition):
        return T.min(T.switch(condition, rows, none), axis=0)

    conditions = [
        (T.eq(x, largest), a == a.max(0)),
        (T.eq(x, largest) | T.eq(x, least), (a == a.max(0)) | (a == a.min(0))),
        (T.eq(x, largest) & T.isnan(x), np.zeros(a.shape, bool)),
        (T.ge(x * 2, largest), a * 2 >= a.max(0)),
        (T.eq(-x, largest) | T.isnan(x), (-a == a.max(0)) | np.isnan(a)),
    ]
    found = symc.function([x], [first(condition) for condition, _ in conditions])(a)
    index = np.arange(90)[:, None]
    for got, (_, where) in zip(found, conditions):
        np.testing.assert_array_equal(got, np.where(where, index, none).min(0))
