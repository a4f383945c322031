"""Reductions over leading and middle axes, which combine several rows at once, of any number and length of rows."""

import numpy as np
import pytest

import symc
import symc.tensor as T

LENGTHS = [0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 95, 129, 300, 1030]
WIDTHS = [1, 3, 17, 31, 32, 33, 50, 64, 100, 130]


def check(f, op, x, axis):
    want = getattr(np, op)(x.astype("float64") if x.dtype.kind == "f" else x, axis)
    scale = np.abs(x).sum(axis) if op == "sum" and x.dtype.kind == "f" else 1
    np.testing.assert_allclose((f(x) - want) / np.maximum(scale, 1), 0, atol=4 * float(np.finfo("float32").eps))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("op", ["sum", "max", "min"])
def test_leading_axis(op, dtype, rng):
    x = T.matrix("x", dtype=dtype)
    f = symc.function([x], getattr(x, op)(0))
    for rows in LENGTHS[op != "sum" :]:
        for columns in WIDTHS:
            check(f, op, (100 * rng.standard_normal((rows, columns))).astype(dtype), 0)


@pytest.mark.parametrize("shape", [(300, 20), (303, 33), (1000, 130), (70000, 3), (9000, 40)])
@pytest.mark.parametrize("op", ["sum", "max"])
def test_leading_axis_of_known_length(op, shape, rng):
    x = T.tensor("float32", shape=shape)
    check(symc.function([x], getattr(x, op)(0)), op, rng.standard_normal(shape, dtype="float32"), 0)


@pytest.mark.parametrize("op", ["sum", "max"])
def test_middle_axis(op, rng):
    x = T.ftensor3("x")
    f = symc.function([x], getattr(x, op)(1))
    for shape in [(3, 300, 5), (2, 33, 130), (5, 8, 64), (1, 1000, 40), (4, 1, 3)]:
        check(f, op, rng.standard_normal(shape, dtype="float32"), 1)


def test_every_row_counts_once(rng):
    """Sums of powers of two tell which rows were added; and of terms that depend on the number of the row."""
    x, w = T.fmatrix("x"), T.fvector("w")
    f = symc.function([x, w], (x * w.dimshuffle(0, "x")).sum(0))
    for rows in LENGTHS[1:]:
        for columns in (20, 40):
            x, w = rng.integers(0, 2, (rows, columns)).astype("float32"), rng.integers(1, 1000, rows).astype("float32")
            np.testing.assert_array_equal(f(x, w), (x.astype("int64") * w.astype("int64")[:, None]).sum(0))


def test_a_nan_stays(rng):
    x = T.fmatrix("x")
    f = symc.function([x], [x.max(0), x.sum(0)])
    for rows, columns in [(300, 40), (95, 10), (33, 100)]:
        values = rng.standard_normal((rows, columns), dtype="float32")
        at = rng.integers(0, rows, columns)
        values[at[::2], np.arange(columns)[::2]] = np.nan
        for found in f(values):
            np.testing.assert_array_equal(np.isnan(found), np.arange(columns) % 2 == 0)


@pytest.mark.parametrize("op", ["sum", "max"])
def test_tall_matrices_of_unknown_width_have_parts(op, rng):
    """One part, which stores the results itself, and up to eight, whose results are combined."""
    x, y = T.fmatrix("x"), T.fvector("y")
    f = symc.function([x, y], getattr(x, op)(0) * 2 + y)
    for rows, columns in [(70000, 1), (70001, 3), (3000, 200), (129, 5000), (1040, 1030), (5, 70000), (0, 3), (9, 0)]:
        if rows or op == "sum":
            a, b = rng.standard_normal((rows, columns), dtype="float32"), rng.standard_normal(columns, dtype="float32")
            want = getattr(a.astype("float64"), op)(0) * 2 + b
            np.testing.assert_allclose(f(a, b), want, rtol=1e-4, atol=1e-3)


def test_several_results_of_unknown_width(rng):
    x, g = T.fmatrix("x"), T.fmatrix("g")
    f = symc.function([x, g], [g.sum(0), (g * x).sum(0), x.max(0), T.sqrt((x**2).mean(0))])
    for shape in [(30, 20), (9000, 70), (400, 3000)]:
        x, g = rng.standard_normal(shape, dtype="float32"), rng.standard_normal(shape, dtype="float32")
        a, b = x.astype("float64"), g.astype("float64")
        for found, want in zip(f(x, g), [b.sum(0), (b * a).sum(0), a.max(0), np.sqrt((a**2).mean(0))]):
            np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("rows", [1, 3, 90, 5000])
def test_leading_axis_of_few_columns_along_two_axes(rows, rng):
    x = T.tensor("float32", shape=(None, 5, 7))
    values = rng.standard_normal((rows, 5, 7), dtype="float32")
    for found, op in zip(symc.function([x], [x.sum(0), x.max(0), x.sum((0, 1))])(values), ("sum", "max", "")):
        want = getattr(values.astype("float64"), op)(0) if op else values.astype("float64").sum((0, 1))
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-3)


def test_columns_of_rows_with_phases(rng):
    """Sums of columns beside a reduction of each row, of which there may be one part, too."""
    x, g = T.fmatrix("x"), T.fmatrix("g")
    f = symc.function([x, g], [(g * x / x.sum(1, keepdims=True)).sum(1), (x * g.max(1, keepdims=True)).sum(0)])
    for shape in [(1, 1), (2, 3), (30, 20), (900, 70), (7, 3000)]:
        x, g = rng.uniform(1, 2, shape).astype("float32"), rng.standard_normal(shape, dtype="float32")
        a, b = x.astype("float64"), g.astype("float64")
        want = (b * a / a.sum(1, keepdims=True)).sum(1), (a * b.max(1, keepdims=True)).sum(0)
        for found, right in zip(f(x, g), want):
            np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-3)
