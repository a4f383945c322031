"""Forms of generated loops: lanes, blocks, rows over any axes, and values computed again instead of stored."""

from __future__ import annotations

import math

import numpy as np
import pytest
from vecmath_library import CTYPES, TARGETS, build, needs_compiler, require

import symc
import symc.tensor as T
from symc.compiler.fusion.unit_order import UnitOrder
from symc.loops.expr import parts
from symc.loops.ir import Accumulate, For, If, Let, Step, walk

pytestmark = needs_compiler
SHAPES = [(1, 1), (0, 5), (5, 0), (7, 130), (33, 129), (513, 70), (9, 1100), (20_000, 65)]


def steps(f):
    return [n for n in walk(f.specialisation.program.body) if isinstance(n, Step)]


def close(got, want, rtol=2e-5):
    want = np.asarray(want)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * max(np.abs(want).max(initial=0), 1))


@pytest.fixture(scope="module")
def over_columns():
    x = T.fmatrix("x")
    sums = symc.function([x], [x.sum(0), x.mean(0), T.var(x, 0)])
    x = T.fmatrix("x")
    return sums, symc.function([x], [x.max(0), x.min(0), x.argmax(0), x.max(1), x.argmin(1), T.nnet.softmax(x.T).T])


@pytest.mark.parametrize("shape", SHAPES)
def test_reductions_over_the_leading_axis(over_columns, shape, rng):
    """Several rows at once, blocks of columns of any width, and tall matrices in parts."""
    sums, extrema = over_columns
    a = rng.standard_normal(shape).astype("float32") + 3
    wide = a.astype("float64")
    if not a.size:
        np.testing.assert_array_equal(sums(a)[0], wide.sum(0))
        return
    for got, want in zip(sums(a), (wide.sum(0), wide.mean(0), wide.var(0))):
        close(got, want)
    a.flat[3::29], a.flat[5::31], a.flat[7::397] = np.inf, -np.inf, np.nan
    found = extrema(a)
    for got, want in zip(found, (a.max(0), a.min(0), a.argmax(0), a.max(1), a.argmin(1))):
        np.testing.assert_array_equal(got, want)
    finite = np.isfinite(a).all(0)
    e = np.exp(wide[:, finite] - wide[:, finite].max(0, initial=-np.inf))
    close(found[-1][:, finite], e / e.sum(0))


def test_a_tall_matrix_is_reduced_in_parts(rng):
    x = T.tensor("float32", shape=(None, 8))
    f = symc.function([x], [x.sum(0), x.max(0)])
    for rows in (0, 1, 300, 50_000):
        a = rng.standard_normal((rows, 8)).astype("float32")
        if rows:
            got = f(a)
            close(got[0], a.sum(0, dtype="float64"))
            np.testing.assert_array_equal(got[1], a.max(0))
    assert len(steps(symc.function([x], x.sum(0)))) == 2, "the columns are not split over rows"


def test_blocks_of_columns_are_wide(monkeypatch, rng):
    """A pass over the terms needs no narrow blocks, and large matrices are split into rows of wide ones."""
    monkeypatch.setattr("symc.compiler.lowering.fusion_group.LARGE_PART", 1 << 12)
    x = T.tensor("float32", shape=(33, 4097))
    f = symc.function([x], [x.sum(0), x.max(0), x.argmin(0)])
    a = rng.standard_normal((33, 4097)).astype("float32")
    close(f(a)[0], a.sum(0, dtype="float64"))
    np.testing.assert_array_equal(f(a)[1:], [a.max(0), a.argmin(0)])
    assert len(steps(symc.function([x], x.sum(0)))) == 2, "the rows are not split"
    monkeypatch.undo()
    x = T.tensor("float32", shape=(60, 8192))
    (step,) = steps(symc.function([x], x.sum(0)))
    jobs = next(s.extent for s in step.kernel.body if isinstance(s, For))
    assert jobs.value == 8, "eight blocks of 1,024 columns are enough"


@pytest.mark.parametrize("dtype", ["float32", "int8", "float64"])
def test_transposed_operands_in_blocks(dtype, rng):
    x, y, z = T.matrix(dtype=dtype), T.tensor4(dtype=dtype), T.matrix(dtype=dtype)
    f = symc.function([x, y, z], [x.T * 2, y.transpose(0, 2, 3, 1) + 1, z + z.T, y.transpose(3, 1, 0, 2) * 3])
    pairs = [((1, 1), (1, 1, 1, 1)), ((16, 16), (2, 16, 4, 4)), ((33, 70), (2, 17, 5, 7)), ((300, 129), (1, 64, 17, 3))]
    for m, n in pairs:
        a, b, c = ((rng.standard_normal(s) * 9).astype(dtype) for s in (m, n, (m[0], m[0])))
        for got, want in zip(f(a, b, c), (a.T * 2, b.transpose(0, 2, 3, 1) + 1, c + c.T, b.transpose(3, 1, 0, 2) * 3)):
            np.testing.assert_array_equal(got, want.astype(dtype))


@pytest.mark.parametrize("length", [1, 3, 7])
def test_short_rows_are_lanes(length, rng):
    """Reductions over a few elements, and over many elements for each of a few, with gradients."""
    x, y = (T.tensor("float32", shape=(None, length)) for _ in "xy")
    squares = ((x.dimshuffle(0, "x", 1) - y.dimshuffle("x", 0, 1)) ** 2).sum(2)
    d = T.sqrt(squares + 1e-6)
    f = symc.function([x, y], [d, *symc.grad(d.sum(), [x, y])])
    g = symc.function([x], [T.nnet.softmax(x), x.argmax(1), T.var(x, 1), (x > 0).all(1), x.max(1, keepdims=True) - x])
    for n, m in ((1, 1), (0, 3), (17, 33), (70, 129)):
        a, b = (rng.standard_normal((k, length)).astype("float32") for k in (n, m))
        apart = a[:, None].astype("float64") - b[None]
        far = np.sqrt((apart**2).sum(2) + 1e-6)
        slopes = apart / far[:, :, None]
        for got, want in zip(f(a, b), (far, slopes.sum(1), -slopes.sum(0))):
            close(got, want)
        e = np.exp(b.astype("float64") - b.max(1, keepdims=True))
        want = (e / e.sum(1, keepdims=True), b.argmax(1), b.astype("float64").var(1), (b > 0).all(1))
        for got, one in zip(g(b), (*want, b.max(1, keepdims=True) - b)):
            close(got, one)


def test_rows_of_a_matrix_that_are_short_in_a_call(rng):
    """One kernel for rows of any length: blocks of rows are transposed up to 64 elements, and rows are read beyond."""
    x, g, b = T.tensor3("x"), T.vector("g"), T.vector("b")
    mean, variance = x.mean(2, keepdims=True), T.var(x, 2, keepdims=True)
    normal = (x - mean) / T.sqrt(variance + 1e-5) * g + b
    f = symc.function([x, g, b], [normal, T.nnet.softmax(x), x.max(2), x.argmin(2), (x * g).sum(2)])
    loops = symc.printing.debugprint(f, stage="loops", file="str")
    assert "rows" in loops and "pack" in loops
    for shape in ((2, 129, 5), (1, 32, 64), (3, 33, 65), (2, 31, 7), (1, 128, 1), (2, 0, 3), (1, 40, 25)):
        a = rng.standard_normal(shape, dtype="float32")
        scale, shift = (rng.standard_normal(shape[2], dtype="float32") for _ in "gb")
        if a.size > 50:
            a[0, 3, 0] = np.nan
        wide = a.astype("float64")
        e = np.exp(wide - wide.max(2, keepdims=True))
        centred = wide - wide.mean(2, keepdims=True)
        want = centred / np.sqrt(wide.var(2, keepdims=True) + 1e-5) * scale + shift
        sums = (wide * scale).sum(2)
        got = f(a, scale, shift)
        for one, wanted in zip(got, (want, e / e.sum(2, keepdims=True), a.max(2), a.argmin(2), sums)):
            np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=1e-5)


def test_columns_that_are_few_in_a_call(rng):
    """One kernel for columns of any number: lanes are columns, or for up to 12 the axis of contiguous operands."""
    x, w = T.matrices("x", "w")
    apart = x.dimshuffle("x", 0, 1) - x.dimshuffle(0, "x", 1)
    f = symc.function([x, w], [(w.dimshuffle(0, 1, "x") * apart).sum(1), (w.dimshuffle(0, 1, "x") * apart).max(0)])
    labels = [step.kernel.name for step in steps(f)]
    assert labels.count("turned operand") == 2, labels  # the points, with coordinates as rows
    for rows, columns in ((0, 3), (1, 1), (70, 0), (70, 1), (33, 4), (130, 12), (65, 13), (40, 130)):
        a, b = rng.standard_normal((rows, columns), dtype="float32"), rng.random((rows, rows), dtype="float32")
        terms = b[:, :, None] * (a[None] - a[:, None])
        if rows:
            for got, want in zip(f(a, b), (terms.sum(1, dtype="float64"), terms.max(0))):
                close(got, want)
        else:
            with pytest.raises(ValueError, match="no elements"):
                f(a, b)


def test_columns_of_which_another_axis_fills_vectors(rng):
    """Lanes are the columns, or another axis along which everything is contiguous, whichever leaves fewer vectors."""
    w, x = T.fmatrices("w", "x")
    y = T.tensor("float32", shape=(None, 8))
    f = symc.function([w, x, y], (w.dimshuffle(0, 1, "x") * (x.dimshuffle(0, "x", 1) - y)).sum(0))
    for rows, columns in ((70, 6), (70, 5), (1, 1), (40, 12), (33, 16), (65, 130), (0, 3), (9, 0)):
        a, b, c = (rng.standard_normal(s, dtype="float32") for s in ((rows, columns), (rows, 8), (columns, 8)))
        close(f(a, b, c), (a[:, :, None] * (b[:, None].astype("float64") - c)).sum(0))
    loops = symc.printing.debugprint(f, stage="loops", file="str")
    assert "<= 12" in loops or "12 <" in loops, loops
    for columns, turned in ((6, True), (40, False)):
        shapes = ((70, columns), (70, 8), (columns, 8))
        w, x, y = (T.tensor("float32", shape=s) for s in shapes)
        f = symc.function([w, x, y], (w.dimshuffle(0, 1, "x") * (x.dimshuffle(0, "x", 1) - y)).sum(0))
        loops = symc.printing.debugprint(f, stage="loops", file="str")
        assert ("simd for i < 8" in loops) == turned, loops
        a, b, c = (rng.standard_normal(s, dtype="float32") for s in shapes)
        close(f(a, b, c), (a[:, :, None] * (b[:, None].astype("float64") - c)).sum(0))


@pytest.mark.parametrize("known", [True, False])
def test_terms_are_lanes_where_columns_would_leave_vectors_empty(known, rng):
    """Columns of blocks, and of costly elements, of known and unknown numbers; several phases have to gain more."""
    shapes = [(5, 48, 3), (3, 12, 2), (4, 8, 3), (2, 33, 9), (0, 4, 3), (2, 70, 1), (2, 3, 20)]
    tensors = [T.tensor("float32", shape=s if known else (None,) * 3) for s in (shapes if known else shapes[:1])]
    outputs = [((T.nnet.sigmoid(x) * x).sum(1), (x * 2).max(1), T.nnet.logsumexp(x, axis=1)) for x in tensors]
    made = [symc.function([x], list(out)) for x, out in zip(tensors, outputs)]
    if known:
        lanes = [symc.printing.debugprint(f, stage="loops", file="str") for f in made[:2]]
        assert "simd for i < 3" not in lanes[0] and "simd for i < 2" not in lanes[1]
    for k, shape in enumerate(shapes):
        a = rng.standard_normal(shape, dtype="float32")
        wide = a.astype("float64")
        got = made[k if known else 0](a)
        close(got[0], (wide / (1 + np.exp(-wide))).sum(1))
        np.testing.assert_array_equal(got[1], (a * 2).max(1))
        close(got[2], np.log(np.exp(wide).sum(1)))


def test_sums_of_one_vector_take_one_pass(rng):
    """Maps and sums that need one pass together share it, also where rows are long, and sums of sums do not."""
    x, y, w = T.fvectors("x", "y", "w")
    z = x + y
    f = symc.function([x, y, w], [z * w.sum(), z, z.sum(), (z * w).sum(), z.max()])
    names = [step.kernel.name for step in steps(f)]
    assert len(names) == 4, names  # the sum of w and what reads it are apart
    g = symc.function([x], [T.nnet.softmax(x.dimshuffle("x", 0)), ((x - x.mean()) ** 2).sum()])
    for n in (1, 50, 1023, 200_001):
        a, b, c = (rng.standard_normal(n, dtype="float32") for _ in "xyw")
        sums = a.astype("float64") + b
        scale = c.sum(dtype="float64")
        want = sums * scale, sums, sums.sum(), (sums * c).sum(), (a + b).max()
        for got, one in zip(f(a, b, c), want):
            np.testing.assert_allclose(got, one, rtol=1e-4, atol=1e-4 * max(1, np.sqrt(n)))
        wide = a.astype("float64")
        shares = np.exp(wide - wide.max())
        for got, one in zip(g(a), ((shares / shares.sum())[None], ((wide - wide.mean()) ** 2).sum())):
            np.testing.assert_allclose(got, one, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_that_are_short_in_a_call_are_lanes(dtype, rng):
    """One kernel for rows of any length: lanes are rows up to 256 terms, and terms beyond."""
    x, y, w = (T.matrix(dtype=dtype) for _ in "xyw")
    apart = x.dimshuffle(0, "x", 1) - y.dimshuffle("x", 0, 1)
    far = T.sqrt((apart**2).sum(2) + 1e-6)
    f = symc.function([x, y, w], [far, *symc.grad((far * w).sum(), [x, y])])
    g = symc.function(
        [x, y], [apart.argmax(2), apart.max(2), apart / abs(apart).sum(2, keepdims=True), T.var(apart, 2)]
    )
    assert "if" in symc.printing.debugprint(f, stage="loops", file="str")
    for n, m, length in ((1, 1, 1), (3, 0, 2), (3, 4, 0), (70, 129, 3), (35, 300, 33), (9, 65, 256), (5, 33, 257)):
        a, b, c = (rng.standard_normal(s).astype(dtype) for s in ((n, length), (m, length), (n, m)))
        wide = a[:, None].astype("float64") - b[None]
        want = np.sqrt((wide**2).sum(2) + 1e-6)
        slopes = wide * (c / want)[:, :, None]
        rtol = 2e-5 if dtype == "float32" else 1e-12
        for got, one in zip(f(a, b, c), (want, slopes.sum(1), -slopes.sum(0))):
            close(got, one, rtol)
        if length:
            b[:1, -1:] = np.nan
            same = a[:, None] - b[None]
            index, largest, *others = g(a, b)
            np.testing.assert_array_equal(index, same.argmax(2))
            np.testing.assert_array_equal(largest, same.max(2))
            wide = same[:, 1:].astype("float64")
            for got, one in zip(others, (wide / abs(wide).sum(2, keepdims=True), wide.var(2))):
                close(got[:, 1:], one, rtol)


@pytest.mark.parametrize(
    ("shape", "lanes"),
    [((40, 16, 8), True), ((40, 9, 24), True), ((40, 24, 100), True), ((40, 3, 100), False), ((40, 8, 200), False)],
)
def test_declared_rows_are_lanes_if_that_fills_vectors(shape, lanes, rng):
    """Lanes are rows if these are short, or fill vectors as well as the terms would; they need not be many."""
    n, m, length = shape
    x, y = T.tensor("float32", shape=(n, length)), T.tensor("float32", shape=(m, length))
    apart = x.dimshuffle(0, "x", 1) - y.dimshuffle("x", 0, 1)
    f = symc.function([x, y], [(apart**2).sum(2), apart.argmax(2), T.nnet.relu(apart).max(2)])
    assert ("pack" in symc.printing.debugprint(f, stage="loops", file="str")) == lanes
    a, b = (rng.standard_normal((k, length), dtype="float32") for k in (n, m))
    same = a[:, None] - b[None]
    squares, index, largest = f(a, b)
    close(squares, (same.astype("float64") ** 2).sum(2))
    np.testing.assert_array_equal(index, same.argmax(2))
    np.testing.assert_array_equal(largest, np.maximum(same, 0).max(2))


def test_parts_of_a_reduction_fill_vectors(rng):
    """A reduction with few results is split only as far as pieces are worth it: never into single elements."""
    x, y = T.tensor("float32", shape=(32, 12, 60)), T.tensor("float32", shape=(32, 12))
    f = symc.function([x, y], ((x - y.dimshuffle(0, 1, "x")) ** 2).sum((1, 2)))
    assert [step.kernel.name for step in steps(f)] == ["sub+sqr+sum"]
    a, b = (rng.standard_normal(v.type.shape, dtype="float32") for v in (x, y))
    close(f(a, b), ((a - b[:, :, None]).astype("float64") ** 2).sum((1, 2)))
    x, y = T.tensor("float32", shape=(3, 700, 500)), T.tensor("float32", shape=(2, 9, 40_000))
    g = symc.function([x, y], [(x**2).sum((1, 2)), y.max((1, 2))])
    assert any("combine" in step.kernel.name for step in steps(g))
    a, b = (rng.standard_normal(v.type.shape, dtype="float32") for v in (x, y))
    squares, largest = g(a, b)
    close(squares, (a.astype("float64") ** 2).sum((1, 2)))
    np.testing.assert_array_equal(largest, b.max((1, 2)))


def test_sums_over_an_empty_axis_and_one_of_unknown_length():
    """Their number of terms is known, although the length of one axis is not."""
    x = T.tensor("float32", shape=(None, 9, None, 0))
    f = symc.function([x], [x.sum((0, 3)), T.exp(x).prod((0, 1, 3)), symc.grad((x.sum((2, 3)) ** 2).sum(), x)])
    sums, products, slope = f(np.zeros((4, 9, 5, 0), "float32"))
    assert sums.tolist() == np.zeros((9, 5)).tolist() and products.tolist() == [1] * 5 and slope.shape == (4, 9, 5, 0)


def test_tiny_rows_of_few_results_are_lanes(rng):
    """Rows of two elements, ten by ten: neither a loop over two elements nor lanes of it."""
    x, y = T.tensor("float32", shape=(50, 10, 2)), T.tensor("float32", shape=(50, 10))
    f = symc.function([x, y], [(x * T.exp(y).dimshuffle(0, 1, "x")), x.sum(2) / y, x.argmax(2)])
    a = rng.standard_normal((50, 10, 2), dtype="float32")
    b = rng.random((50, 10), dtype="float32") + 1
    for got, want in zip(f(a, b), (a * np.exp(b)[:, :, None], a.sum(2) / b, a.argmax(2))):
        close(got, want)


def _batch_norm(x, g, b):
    g, b = (v.dimshuffle("x", 0, "x", "x") for v in (g, b))
    mean, variance = x.mean((0, 2, 3), keepdims=True), T.var(x, (0, 2, 3), keepdims=True)
    return T.nnet.relu((x - mean) / T.sqrt(variance + 1e-5) * g + b)


def _batch_norm_oracle(x, g, b, w):
    """The result, and the gradient of its sum weighted by ``w``, by hand."""
    axes, n = (0, 2, 3), x[:, 0].size
    g = g[None, :, None, None]
    scale = 1 / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    h = (x - x.mean(axes, keepdims=True)) * scale
    y = np.maximum(h * g + b[None, :, None, None], 0)
    dy = np.where(y > 0, w, 0)
    dh = dy * g
    dx = scale * (dh - dh.sum(axes, keepdims=True) / n - h * (dh * h).sum(axes, keepdims=True) / n)
    return y, dx, (dy * h).sum(axes), dy.sum(axes)


def test_a_channel_is_a_row(rng):
    """Batch norm is one kernel, whose rows are channels; so are the statistics and slopes of its gradient."""
    x, g, b, w = T.ftensor4("x"), T.fvector("g"), T.fvector("b"), T.ftensor4("w")
    y = _batch_norm(x, g, b)
    forward = symc.function([x, g, b], y)
    assert len(steps(forward)) == 1
    gradient = symc.function([x, g, b, w], symc.grad((y * w).sum(), [x, g, b]))
    for shape in [(3, 8, 5, 7), (2, 17, 1, 1), (1, 3, 9, 33), (4, 16, 8, 8)]:
        arrays = [rng.standard_normal(s).astype("float32") for s in (shape, shape[1], shape[1], shape)]
        want = _batch_norm_oracle(*(a.astype("float64") for a in arrays))
        close(forward(*arrays[:3]), want[0], 2e-4)
        if np.prod(shape) > 34:  # with two pixels per channel, slopes are differences of nearly equal numbers
            for got, one in zip(gradient(*arrays), want[1:]):
                close(got, one, 1e-3)


def _loops_around(op, body, depth=0):
    """How many loops are around each use of the op ``op`` in statements."""
    for s in body:
        if isinstance(s, For):
            yield from _loops_around(op, s.body, depth + 1)
        elif isinstance(s, If):
            yield from _loops_around(op, s.body, depth)
        elif isinstance(s, Let):
            yield from (depth for e in parts(s.value) if e.op == op)


def test_statistics_of_a_column_are_computed_once(rng):
    """Normalisation over the leading axis and its gradient: rows load what is the same in all rows."""
    x, w = T.fmatrices("xw")
    y = (x - x.mean(0)) / T.sqrt(T.var(x, 0) + 1e-3)
    f, g = symc.function([x], y), symc.function([x, w], symc.grad((y * w).sum(), x))
    assert set(_loops_around("sqrt", steps(f)[0].kernel.body)) == {2}  # blocks of columns, and columns of a block
    for shape in [(40, 130), (1000, 65), (3, 1), (2, 3000)]:
        a, b = (rng.standard_normal(shape).astype("float32") for _ in "ab")
        wide = a.astype("float64")
        scale = 1 / np.sqrt(wide.var(0) + 1e-3)
        h = (wide - wide.mean(0)) * scale
        close(f(a), h, 1e-4)
        close(g(a, b), scale * (b - b.mean(0) - h * (b * h).mean(0)), 1e-3)


def test_slices_and_their_adjoints_are_rows(rng):
    """Bounds that are dims are sizes of the kernels, and the last axis is a loop of vectors."""
    x = T.ftensor3("x")
    y = abs(x[:, :, 1:] - x[:, :, :-1]).sum() + (x[:, 2:] * x[:, :-2]).sum()
    f = symc.function([x], symc.grad(y, x))
    assert not {"dim_value"} & {s.kernel.name for s in steps(f)}
    for loop in [s for step in steps(f) for s in step.kernel.body if isinstance(s, For)]:
        inner = [s for s in loop.body if isinstance(s, For)]
        rows = [s for s in inner if s.kind == "serial"]  # of a block
        innermost = [s for r in rows for s in r.body if isinstance(s, For)] if rows else inner
        ends = [s for s in innermost if any(isinstance(t, Accumulate) for t in s.body)]  # of what does not overlap
        assert {s.kind for s in innermost if s not in ends} == {"simd"}
    for shape in [(3, 5, 40), (1, 2, 1), (2, 1, 3), (4, 3, 0)]:
        a = rng.standard_normal(shape).astype("float32")
        want, sign = np.zeros(shape), np.sign(np.diff(a, axis=2).astype("float64"))
        want[:, :, 1:] += sign
        want[:, :, :-1] -= sign
        want[:, 2:] += a[:, :-2]
        want[:, :-2] += a[:, 2:]
        close(f(a), want)


def test_softmax_crossentropy_with_gradient_stores_nothing_between(rng):
    x, y = T.fmatrix("x"), T.lvector("y")
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(x), y).mean()
    f = symc.function([x, y], [loss, symc.grad(loss, x)])
    large = [b for b in f.specialisation.program.buffers if b.role == "temp" and len(b.shape) == 2 and b.shape[0] != 1]
    assert not [b for b in large if b.shape[-1] != 1]
    a, k = rng.standard_normal((70, 1000)).astype("float32"), rng.integers(0, 1000, 70)
    e = np.exp(a.astype("float64"))
    p = e / e.sum(1, keepdims=True)
    close(f(a, k)[0], -np.log(p[np.arange(70), k]).mean())
    p[np.arange(70), k] -= 1
    close(f(a, k)[1], p / 70)


def test_a_map_and_its_sum_are_computed_in_parts(rng):
    """A stored value beside a sum over all of it does not leave the sum to one thread."""
    x = T.fmatrix("x")
    f = symc.function([x], [T.exp(x), T.exp(x).sum()])
    assert len(steps(f)) == 2
    a = rng.standard_normal((300, 170)).astype("float32")
    got = f(a)
    close(got[0], np.exp(a))
    close(got[1], np.exp(a.astype("float64")).sum())


def test_costly_elements_are_interleaved(rng):
    s, k, t = (T.fvector(name) for name in "skt")
    d1 = (T.log(s / k) + 0.12 * t) / (0.2 * T.sqrt(t))
    price = s * T.erfc(-d1) - k * T.exp(-0.1 * t) * T.erfc(0.2 * T.sqrt(t) - d1)
    f = symc.function([s, k, t], price)
    erfc = np.vectorize(math.erfc, otypes=["float64"])
    for n in (0, 1, 15, 64, 65, 5000):
        a, b, c = ((low + 4 * rng.random(n)).astype("float32") for low in (10, 10, 1))
        e = (np.log(a.astype("float64") / b) + 0.12 * c) / (0.2 * np.sqrt(c.astype("float64")))
        close(f(a, b, c), a * erfc(-e) - b * np.exp(-0.1 * c.astype("float64")) * erfc(0.2 * np.sqrt(c) - e), 1e-4)


def test_units_stay_in_order_while_they_merge(rng):
    """Random merges that make no circle: afterwards each unit is behind all that it needs."""
    count = 80
    units = [object() for _ in range(count)]
    needs = {k: set(map(int, rng.integers(0, k, 2))) if k else set() for k in range(count)}
    order = UnitOrder(units)

    def behind(k):
        found, stack = set(), [k]
        while stack:
            for n in needs[stack.pop()] - found:
                found.add(n)
                stack.append(n)
        return found

    merged = 0
    for target in map(int, rng.integers(1, count, 2000)):
        source = min(needs.get(target) or {-1})
        if source < 0 or any(source in behind(n) for n in needs[target]):
            continue
        between = [units[n] for n in behind(target) if order[units[n]] > order[units[source]]]
        order.merged(units[source], units[target], between)
        needs[target] |= needs.pop(source)
        needs[target].discard(source)
        for found in needs.values():
            if source in found:
                found.remove(source)
                found.add(target)
        merged += 1
        for k, found in needs.items():
            assert all(order[units[n]] < order[units[k]] for n in found)
    assert merged > 20


@pytest.mark.parametrize("target", TARGETS)
def test_blocks_and_strides_in_registers(target, tmp_path):
    """Transposition and every second to fourth element, in vectors of each width."""
    require(target)
    text = '#include "turn.h"\nvoid lanes(int32_t *p) { *p = VM_LANES; }\n'
    for t in ("i32", "f32", "i8", "u8", "i16", "u16", "i64", "f64"):
        c = CTYPES[t]
        text += f"void turn_{t}(const {c} *p, {c} *q, int64_t n) {{ v_{t} b[VM_LANES]; vturn_{t}(b, p, n);"
        text += f" for (int k = 0; k < VM_LANES; k++) vstore_{t}(q + k * VM_LANES, b[k]); }}\n"
    for s in (2, 3, 4):
        text += f"void every{s}(const float *p, float *q, int64_t n) {{ vstore_n_f32(q, vevery{s}_n_f32(p, n), n); }}\n"
    library = build(text, target, tmp_path)
    count = np.zeros(1, "int32")
    library("lanes", count)
    n = int(count[0])
    for t, dtype in (
        ("i32", "int32"), ("f32", "float32"), ("i8", "int8"), ("u8", "uint8"), ("i16", "int16"), ("u16", "uint16"),
        ("i64", "int64"), ("f64", "float64"),
    ):  # fmt: skip
        a, out = np.random.default_rng(n).integers(0, 1 << 62, (n, 40)).astype(dtype), np.zeros((n, n), dtype)
        library(f"turn_{t}", a, out, 40)
        np.testing.assert_array_equal(out, a[:, :n].T)
    for s in (2, 3, 4):
        for count in range(1, n + 1):
            a = np.arange(s * (count - 1) + 1, dtype="float32")
            out = np.zeros(count, "float32")
            library(f"every{s}", a, out, count)
            np.testing.assert_array_equal(out, a[::s])


@pytest.mark.parametrize("target", TARGETS)
def test_elements_of_few_rows_in_turn(target, tmp_path):
    require(target)
    text = '#include "few.h"\nvoid lanes(int32_t *p) { *p = VM_LANES; }\n'
    for t in ("f32", "i32"):
        c = CTYPES[t]
        text += f"void cross_{t}(const {c} *p, {c} *q, int64_t at, int64_t length, int64_t apart, int64_t n) "
        text += f"{{ vstore_n_{t}(q, vcross_{t}(p, at, length, apart, n), n); }}\n"
    library = build(text, target, tmp_path)
    lanes = np.zeros(1, "int32")
    library("lanes", lanes)
    for t, dtype in (("f32", "float32"), ("i32", "int32")):
        for length in (2, 3, 5, 8, 12):
            rows = np.arange(length * 50).reshape(length, 50)[:, :40].astype(dtype)
            crossed = rows.T.ravel()
            for at in (0, 1, 7, 33, crossed.size - int(lanes[0])):
                for n in (1, int(lanes[0]) - 1, int(lanes[0])):
                    out = np.zeros(n, dtype)
                    library(f"cross_{t}", np.ascontiguousarray(rows), out, at, length, 40, n)
                    np.testing.assert_array_equal(out, crossed[at : at + n])


def test_steps_that_do_the_same_share_a_kernel():
    """Kernels of equal form are one object; -0.0 and 0.0, or other lengths, make other forms."""
    xs = [T.vector(f"x{k}") for k in range(5)]
    outs = [T.exp(x) + 1 for x in xs[:3]] + [T.exp(xs[3]) * np.float32(-0.0), T.exp(xs[4]) * np.float32(0.0)]
    f = symc.function(xs, outs, device="interp", mode="no_rewrite")
    kernels = [step.kernel for step in steps(f)]
    assert len(kernels) == 5 and len({id(k) for k in kernels}) == 3
    signs = [np.signbit(y[0]) for y in f(*[np.zeros(2, "float32")] * 5)]
    assert signs == [False, False, False, True, False]


def test_updates_of_rows_write_only_these_rows(rng):
    """A skip-gram step: gathered rows, their products, and both tables updated in place."""
    tables = [rng.standard_normal((40, 24)).astype("float32") for _ in range(2)]
    w, c = (symc.shared(t) for t in tables)
    i, j = T.lvector("i"), T.lmatrix("j")
    wi, cj = w[i], c[j]
    scores = (wi[:, None, :] * cj).sum(2)
    updates = [(w, T.inc_subtensor(wi, scores.max(1)[:, None] * wi)), (c, T.inc_subtensor(cj, scores[:, :, None] * cj))]
    f = symc.function([i, j], scores, updates=updates)
    a, b = rng.integers(-40, 40, 7), rng.integers(-40, 40, (7, 6))
    products = np.einsum("ik,ijk->ij", tables[0][a], tables[1][b])
    close(f(a, b), products)
    for table, rows, change in ((0, a, products.max(1)[:, None]), (1, b, products[:, :, None])):
        wanted = tables[table].astype("float64")
        np.add.at(wanted, rows, change * tables[table][rows])
        close((w, c)[table].get_value(), wanted)
    buffers = f.specialisation.program.buffers
    scatters = [s for s in steps(f) if "scatter" in s.name]
    assert len(scatters) == 2
    for step in scatters:  # the new values have the memory of the old ones, which are not copied
        (new,) = step.writes
        assert buffers[new].alias >= 0 and buffers[new].alias not in step.buffers
    *_, rows = next(s.kernel.body for s in steps(f) if "gather" in s.name and "sum" in s.name)
    assert {s.extent.value for s in rows.body if isinstance(s, For)} == {24}  # lanes are terms
