"""Cyclic shifts and slices in loops whose rows are several axes, and in loops that run from jump to jump."""

import numpy as np
import pytest

import symc
import symc.tensor as T

pytest.importorskip("cffi")


def shifted(x, roll):
    """Sums of shifts along one axis, along several, and of parts: what the loops may join differs."""
    n = x.ndim
    found = [roll(x, 1, k) - roll(x, -2, k) * 2 + x for k in range(n)]
    found += [sum(roll(x, s, k) for k in range(n) for s in (1, -1)) - x]
    found += [roll(roll(x, 1, 0), -1, n - 1) + x, roll(x, 7, 0) * roll(x, -7, n - 1)]
    found += [x[1:] * 2 - x[:-1], x[1:-1] + roll(x, 3, n - 1)[1:-1], x[::-1] - roll(x, 1, 0), x[::2] + x[::2]]
    if n > 1:
        found += [x[:, 1:] - x[:, :-1], roll(x[1:, :-1], 1, 1) + x[1:, 1:]]
    return found


SHAPES = [(1,), (50,), (3000,), (1, 1), (3, 50), (50, 3), (17, 130), (2, 1, 3), (9, 40, 3), (40, 9, 17), (5, 64, 2, 3)]


@pytest.mark.parametrize("dtype", ["float32", "int32", "float64", "uint8"])
def test_shifts_of_any_axes_and_lengths(isa, dtype):
    if isa and dtype != "uint8":
        pytest.skip("bytes suffice beside the widest vectors")
    rng = np.random.default_rng(0)
    functions = {}
    for shape in SHAPES if dtype == "float32" or isa else SHAPES[3::3]:
        a = rng.integers(0, 100, shape).astype(dtype)
        want = shifted(a, np.roll)
        declared = T.tensor(dtype, shape=shape)
        with symc.config.change(isa=isa):
            if len(shape) not in functions:
                x = T.TensorType(dtype, (False,) * len(shape))()
                functions[len(shape)] = symc.function([x], shifted(x, T.roll))
            ways = [functions[len(shape)]]
            if isa == "" and shape in SHAPES[4::3]:
                ways.append(symc.function([declared], shifted(declared, T.roll)))
        for f in ways:
            for got, expected in zip(f(a), want):
                np.testing.assert_array_equal(got, expected)


def test_shifts_of_empty_arrays():
    x = T.tensor3("x")
    f = symc.function([x], [T.roll(x, 1, k) + x for k in range(3)])
    for shape in ((0, 3, 4), (3, 0, 4), (3, 4, 0)):
        assert all(got.shape == shape for got in f(np.zeros(shape, "float32")))


def test_shifts_known_at_call_time(isa):
    x, k = T.tensor3("x"), T.lscalar("k")
    with symc.config.change(isa=isa):
        f = symc.function([x, k], [T.roll(x, k, axis) * 2 + T.roll(x, -k, axis) for axis in range(3)])
    a = np.random.default_rng(1).standard_normal((7, 60, 3)).astype("float32")
    for by in (0, 1, -1, 5, 59, 60, 61, -200):
        for axis, got in enumerate(f(a, by)):
            np.testing.assert_array_equal(got, np.roll(a, by, axis) * 2 + np.roll(a, -by, axis))


@pytest.mark.parametrize("shape", [(33, 50, 3), (64, 64), (130,), (4, 1, 17)])
def test_gradients_and_sums_of_shifts(shape):
    x = T.TensorType("float64", (False,) * len(shape))()
    cost = sum(T.sqr(T.roll(x, 1, k) - T.sin(x)).sum() for k in range(len(shape)))
    lines = T.maximum(T.roll(x, 3, -1), x).max(axis=-1) + T.roll(x, -1, 0).sum(axis=-1)
    f = symc.function([x], [symc.grad(cost, x), lines])
    a = np.random.default_rng(2).standard_normal(shape)
    want = 0
    for k in range(len(shape)):
        d = np.roll(a, 1, k) - np.sin(a)
        want = want + 2 * np.roll(d, -1, k) - 2 * d * np.cos(a)
    got = f(a)
    np.testing.assert_allclose(got[0], want, rtol=1e-12, atol=1e-12)
    best = np.maximum(np.roll(a, 3, -1), a).max(-1) + np.roll(a, -1, 0).sum(-1)
    np.testing.assert_allclose(got[1], best, rtol=1e-12, atol=1e-12)


def test_rows_of_a_gather_with_several_axes_behind():
    x, i = T.tensor4("x"), T.lvector("i")
    f = symc.function([x, i], [x[i] * 2, x[:, i] + 1, T.roll(x, 1, 1)[i]])
    rng = np.random.default_rng(3)
    for shape in ((6, 5, 7, 3), (3, 4, 1, 50), (2, 2, 17, 1)):
        a, places = rng.standard_normal(shape).astype("float32"), rng.integers(0, 2, 9)
        for got, want in zip(f(a, places), [a[places] * 2, a[:, places] + 1, np.roll(a, 1, 1)[places]]):
            np.testing.assert_array_equal(got, want)


def test_shifts_along_several_axes_are_one_step():
    """Neighbours on a torus: the shifts along the first axis are parts of those along both, and are not stored."""
    x = T.fmatrix("x")
    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    around = sum(T.roll(T.roll(x, i, 0), j, 1) * (k + 1) for k, (i, j) in enumerate(steps))
    f = symc.function([x], [around, T.grad((around * x).sum(), x), T.roll(x, (1, -2), (1, 0)) * 2])
    assert symc.printing.debugprint(f, stage="loops", file="str").count("\nkernel K") == 3
    for shape in ((5, 40), (17, 33), (1, 50), (40, 1), (3, 3), (0, 4), (300, 70)):
        a = np.random.default_rng(0).standard_normal(shape).astype("float32")
        want = sum(np.roll(a, step, (0, 1)) * (k + 1) for k, step in enumerate(steps))
        back = sum(np.roll(a, (-i, -j), (0, 1)) * (k + 1) for k, (i, j) in enumerate(steps))
        found = f(a)
        np.testing.assert_allclose(found[0], want, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found[1], want + back, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(found[2], np.roll(a, (-2, 1), (0, 1)) * 2)
