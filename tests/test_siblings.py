"""Groups that read the same arrays are one, though neither reads what the other computes."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph.evaluate import evaluate
from symc.loops.ir import Step, walk

SHAPES = [(0, 5), (5, 0), (2, 2), (3, 2), (2, 70), (33, 65), (70, 128), (257, 100)]


def sigmoid(x):
    return T.nnet.sigmoid(x)


def losses(x, y):
    cost = T.nnet.binary_crossentropy(sigmoid(x), y).mean()
    return [cost, *T.grad(cost, [x, y])]


def statistics(x, y):
    return [x.mean(), x.std(), x.prod(), abs(x).sum(), T.isnan(y).any(), (x * y).sum()]


def columns(x, y):
    return [x.mean(0), x.var(0), T.sqr(x) + 1, (x * y).sum(0)]


def rows(x, y):
    return [x.mean(1), x.var(1), T.tanh(x), (x * y).sum(1)]


def maps(x, y):
    return [T.exp(x), x * y, T.tanh(y), T.sqr(x) + 1, y > x]


def in_two_orders(x, y):
    return [x + 1, T.exp(x).T, (x * y).sum(), (x * y).sum(0)]


def across(x, y):
    return [x.sum(0), x.sum(1), x.sum(), (x * y).sum(1), T.exp(y).sum(0)]


def updated(x, y):
    step = x - 0.1 * y
    return [step, 0.9 * x + 0.1 * step, abs(step).sum(), T.sqr(y).sum()]


def broadcast(x, y):
    return [x + y[0], (x * y).sum(), x * y[:, 0].dimshuffle(0, "x"), x.sum(1)]


PROGRAMS = [losses, statistics, columns, rows, maps, in_two_orders, across, updated, broadcast]


def arrays(shape, dtype="float64"):
    rng = np.random.default_rng(5)
    return [rng.uniform(0.1, 0.9, shape).astype(dtype) for _ in "xy"]


def kernels(f, combined=False):
    """The names of the kernels of a program, without those that combine parts of sums."""
    names = [node.name for node in walk(f.specialisation.program.body) if isinstance(node, Step)]
    return names if combined else [name for name in names if "(combine)" not in name]


def compare(f, inputs, outputs, given, rtol):
    with np.errstate(all="ignore"):
        wanted = evaluate(outputs, dict(zip(inputs, [a.astype("float64") for a in given])))
    for have, want in zip(f(*given), wanted):
        np.testing.assert_allclose(have, want, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("program", PROGRAMS)
def test_values(program):
    x, y = T.dmatrices("xy")
    outputs = program(x, y)
    f = symc.function([x, y], outputs, device="interp")
    for shape in SHAPES[:6]:
        if 0 not in shape or program not in (losses, broadcast):
            compare(f, [x, y], outputs, arrays(shape), 1e-9)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("known", [False, True])
def test_compiled(program, known):
    """Shapes as arguments and declared."""
    for shape in SHAPES if not known else SHAPES[4:7]:
        if 0 in shape and program in (losses, broadcast):
            continue
        x, y = (T.tensor(dtype="float32", shape=shape if known else (None, None), name=name) for name in "xy")
        with symc.config.change(floatX="float64"):
            a, b = (T.tensor(dtype="float64", shape=v.type.shape, name=v.name) for v in (x, y))
            outputs = program(a, b)
        compare(symc.function([x, y], program(x, y)), [a, b], outputs, arrays(shape, "float32"), 2e-5)


def test_special_values():
    """Infinities and NaN of one result do not reach another."""
    x, y = T.fmatrices("xy")
    a = np.ones((40, 70), "float32")
    b = a.copy()
    a[3, 5], a[7, 66], b[9, 9] = np.inf, np.nan, -np.inf
    outputs = [x.max(), x.min(), (x * 0).sum(), y.sum(), T.isnan(x).any(), x + y, T.isinf(x).sum(), abs(y).max()]
    with np.errstate(all="ignore"):
        for have, want in zip(symc.function([x, y], outputs)(a, b), evaluate(outputs, {x: a, y: b})):
            np.testing.assert_array_equal(have, want)


@pytest.mark.parametrize(
    "program, count", [(losses, 1), (statistics, 1), (columns, 1), (rows, 1), (maps, 1), (across, 1), (updated, 1)]
)
def test_one_walk(program, count):
    """What reads the same arrays in the same order is one kernel."""
    x, y = T.fmatrices("xy")
    f = symc.function([x, y], program(x, y), device="interp")
    assert len(kernels(f)) == count, kernels(f)


def test_what_stays_apart():
    """Loops over short rows or in another order, and what needs a total, would make a loop worse."""
    x, y = T.fmatrices("xy")
    narrow = T.tensor(dtype="float32", shape=(None, 10), name="narrow")
    for inputs, outputs in (
        ([x], [x + 1, T.exp(x).T + 1]),
        ([x], [x.sum(), x - 1 / x.sum()]),
        ([narrow], [T.exp(narrow), narrow.sum(0)]),
        ([narrow], [T.exp(narrow), narrow.sum(1)]),
    ):
        f = symc.function(inputs, outputs, device="interp")
        assert len(kernels(f)) == 2, kernels(f)


def test_epilogues_are_kept():
    """A map that a convolution computes at its end does not leave it for another one that reads the same residual."""
    x, r = T.tensor4s("xr")
    w, v = T.tensor4s("wv")
    sums = [T.nnet.relu(T.nnet.conv2d(x, k, border_mode="half") + r) for k in (w, v)]
    f = symc.function([x, r, w, v], sums, device="c")
    rng = np.random.default_rng(1)
    image, residual = (rng.normal(size=(2, 8, 12, 12)).astype("float32") for _ in "xr")
    filters = [rng.normal(size=(8, 8, 3, 3)).astype("float32") for _ in "wv"]
    for have, want in zip(
        f(image, residual, *filters), evaluate(sums, dict(zip([x, r, w, v], [image, residual, *filters])))
    ):
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-4)
    names = kernels(f)
    assert len([name for name in names if "relu" in name and "conv" in name]) == 2, names


def test_a_failing_op_does_not_keep_an_update_from_its_place():
    """What may raise an error is not merged with what cannot, such as the new value of a shared variable."""
    u = symc.shared(np.ones(100_000, "float32"), "u")
    k, table = T.lvector("k"), T.fvector("table")
    f = symc.function([k, table], (table[k] * u).sum(), updates=[(u, u * 0.5)], device="c")
    place = u.get_value(borrow=True).ctypes.data
    assert f(np.zeros(100_000, "int64"), np.ones(3, "float32")) == 100_000
    assert u.get_value(borrow=True).ctypes.data == place
    with pytest.raises(IndexError):
        f(np.full(100_000, 3), np.ones(3, "float32"))
    np.testing.assert_array_equal(u.get_value(), np.full(100_000, 0.5, "float32"))


def test_values_read_along_two_axes():
    """A value per row that the other group reads per column is not the one that the iteration has."""
    x, b = T.dmatrix("x"), T.dvector("b")
    v = T.exp(b)
    outputs = [x * v.dimshuffle(0, "x"), v, T.tanh(x) + v, T.sqr(x).sum(1) * v]
    given = [arrays((40, 40))[0], arrays((40,))[0]]
    compare(symc.function([x, b], outputs), [x, b], outputs, given, 1e-12)


def test_axes_of_length_one():
    """A group may have an axis of length 1 that the other does not have, and reduce it."""
    x, y = T.tensor(dtype="float64", shape=(1, None), name="x"), T.tensor(dtype="float64", shape=(1, None, 1), name="y")
    flat, row = x.dimshuffle(1), y.dimshuffle(0, 1)
    outputs = [T.exp(flat), x.sum(), x.sum(0), T.sqr(x), x.max((0, 1)), T.tanh(row), y.sum((0, 2)), y.min(), row.sum(1)]
    given = [arrays((1, 80))[0], arrays((1, 80, 1))[0]]
    for device in ("interp", "c"):
        compare(symc.function([x, y], outputs, device=device), [x, y], outputs, given, 1e-12)


@pytest.mark.parametrize("isa", ["avx2", "sse", "scalar"])
def test_widths(isa):
    x, y = T.fmatrices("xy")
    outputs = [*losses(x, y), *columns(x, y), *across(x, y)]
    given = arrays((130, 100), "float32")
    a, b = T.dmatrices("ab")
    with symc.config.change(floatX="float64"):
        wanted = [*losses(a, b), *columns(a, b), *across(a, b)]
    with symc.config.change(isa=isa):
        compare(symc.function([x, y], outputs), [a, b], wanted, given, 2e-5)
