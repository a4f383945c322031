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
