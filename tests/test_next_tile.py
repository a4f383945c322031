"""Maps of transposed operands, whose next tile is fetched while one is stored."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint

pytest.importorskip("cffi")

SHAPES = [(1031, 1027), (2048, 1024), (1, 700_001), (700_001, 1), (17, 80_003), (80_003, 17), (256, 4096)]
"""Most of them more than 4 MB with the result, some with rows that fall into the same sets of a cache."""


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int16", "bool"])
@pytest.mark.parametrize("shape", SHAPES)
def test_transposes(isa, shape, dtype):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
    with symc.config.change(isa=isa):
        x = T.tensor(dtype, shape=(None, None))
        f = symc.function([x], x.T | True if dtype == "bool" else x.T + x.T)
    np.testing.assert_array_equal(f(a), a.T | True if dtype == "bool" else a.T + a.T)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (3, 3), (300, 300), (1030, 1030)])
def test_two_transposed_operands(isa, shape):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-50, 50, shape).astype("float32") for _ in range(2))
    a[:1, :1] = np.nan
    b[-1:, -1:] = np.inf
    with symc.config.change(isa=isa):
        x, y, z = T.fmatrix(), T.fmatrix(), T.fmatrix()
        f = symc.function([x, y, z], x.T * y.T - z)
    np.testing.assert_array_equal(f(a, b, a.T.copy()), a.T * b.T - a.T)


@pytest.mark.parametrize("axes", [(0, 2, 1, 3), (0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 3, 2), (0, 1, 3, 2)])
def test_permutations(isa, axes):
    a = np.random.default_rng(0).normal(size=(9, 31, 65, 47)).astype("float32")
    with symc.config.change(isa=isa):
        x = T.ftensor4()
        f = symc.function([x], x.transpose(axes) + 1)
    np.testing.assert_array_equal(f(a), a.transpose(axes) + 1)


def test_what_is_fetched():
    if symc.config.isa == "scalar":
        pytest.skip("vectors alone")
    x, y = T.fmatrix(), T.fmatrix()
    text = debugprint(symc.function([x, y], x.T * 2 + y), stage="c", file="str")
    assert text.count("vturn_fetch_f32(tile0_") == 1  # the next tile of x; y is read in order
    assert "vturn_fetch" not in debugprint(symc.function([x, y], x * 2 + y), stage="c", file="str")


@pytest.mark.parametrize("n", [0, 1, 16, 63, 64, 65, 128, 191, 192, 193, 384, 385, 700, 1153])
def test_square_matrices_in_both_orders(isa, n):
    a = np.random.default_rng(n).integers(-50, 50, (n, n)).astype("float32")
    b = np.random.default_rng(1).integers(-50, 50, (n, n)).astype("float32")
    a[:1, -1:] = np.nan
    with symc.config.change(isa=isa):
        x, y = T.fmatrix(), T.fmatrix()
        f = symc.function([x, y], [x - x.T, x * y.T + y * x.T, T.maximum(y, y.T), symc.grad((x * y * y.T).sum(), y)])
    found = f(a, b)
    np.testing.assert_array_equal(found[0], a - a.T)
    np.testing.assert_array_equal(found[1], a * b.T + b * a.T)
    np.testing.assert_array_equal(found[2], np.maximum(b, b.T))
    np.testing.assert_allclose(found[3], a * b.T + (a * b).T, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "int8", "int32", "float16", "complex64"])
@pytest.mark.parametrize("shape", [(3, 520, 520), (2, 640, 640), (5, 33, 33), (0, 600, 600)])
def test_stacks_of_square_matrices_in_both_orders(isa, shape, dtype):
    a = np.random.default_rng(0).integers(-50, 50, shape).astype(dtype)
    with symc.config.change(isa=isa):
        x, known = T.tensor(dtype, shape=(None,) * 3), T.tensor(dtype, shape=shape)
        for v in (x, known):
            f = symc.function([v], v + v.transpose(0, 2, 1))
            np.testing.assert_array_equal(f(a), a + a.transpose(0, 2, 1))


def test_updates_with_both_orders():
    a = np.random.default_rng(0).normal(size=(900, 900)).astype("float32")
    x = symc.shared(a.copy())
    step = symc.function([], updates=[(x, (x + x.T) / 2)])
    step()
    np.testing.assert_allclose(x.get_value(), (a + a.T) / 2, rtol=1e-6)


def test_what_is_visited_in_pairs():
    x, small = T.fmatrix(), T.tensor("float32", shape=(300, 300))
    for f, pairs in ((x + x.T, True), (small + small.T, False), (x.T * 2, False)):
        text = debugprint(symc.function([small if f.type.shape[0] == 300 else x], f), stage="loops", file="str")
        assert ("for m < 2" in text) == pairs
