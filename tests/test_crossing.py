"""Sums across rows, merged with the kernels that walk the rows: normalisations with gradients, losses, column sums."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph.evaluate import evaluate


def normalised(x, axes):
    centred = x - x.mean(axes, keepdims=True)
    return centred / T.sqrt(T.sqr(centred).mean(axes, keepdims=True) + 0.01)


def of_softmax(x, axes):
    e = T.exp(x - x.max(axes, keepdims=True))
    return e / e.sum(axes, keepdims=True)


def scaled(x, axes):
    y = x / (1 + abs(x).sum(axes, keepdims=True))
    return y * (y.sum(axes, keepdims=True) + 2)


FORMS = {"normalised": normalised, "softmax": of_softmax, "scaled": scaled}


def program(form, shape, axes):
    """Results that need sums over the rows' elements, for each column, of all, and after these are known."""
    x, w = (T.TensorType("float64", [None] * len(shape))(name) for name in "xw")
    gain = T.TensorType("float64", [None if k in axes else 1 for k in range(len(shape))])("gain")
    others = tuple(k for k in range(len(shape)) if k not in axes)
    y = FORMS[form](x, axes) * gain
    loss = (y * w).sum()
    dx, dg = T.grad(loss, [x, gain])
    results = [loss, dx, gain - 0.1 * dg, x.sum(others), 2 * T.sqr(y).sum(others) + 1, y / (1 + T.sqr(y).sum())]
    results += [y - y.mean(others, keepdims=True), y.sum(others, keepdims=True)]
    return [x, w, gain], results


def values(shape, axes):
    rng = np.random.default_rng(3)
    reduced = [n if k in axes else 1 for k, n in enumerate(shape)]
    return [rng.uniform(-1, 1, shape), rng.uniform(-1, 1, shape), rng.uniform(1, 2, reduced)]


CASES = [
    ((40, 9), (1,)), ((9, 9), (1,)), ((3, 4, 33), (2,)), ((6, 5, 7), (0, 2)), ((5, 1, 40), (2,)), ((1, 33), (1,)),
    ((2, 3, 4, 5), (0, 2, 3)), ((530, 3), (1,)),
]  # fmt: skip


@pytest.mark.parametrize("shape, axes", CASES)
@pytest.mark.parametrize("form", FORMS)
def test_values(form, shape, axes) -> None:
    inputs, results = program(form, shape, axes)
    given = values(shape, axes)
    found = symc.function(inputs, results, device="interp")(*given)
    for have, want in zip(found, evaluate(results, dict(zip(inputs, given)))):
        np.testing.assert_allclose(have, want, rtol=1e-9, atol=1e-12)


def test_compiled() -> None:
    """Rows enough for several parts, of more than one block each, in float32."""
    x, w = T.fmatrices("x", "w")
    gain = T.frow("gain")
    y = normalised(x, (1,)) * gain
    loss = (y * w).sum()
    results = [loss, *T.grad(loss, [x, gain]), w.sum(0)]
    f = symc.function([x, w, gain], results)
    for rows in (0, 1, 7, 1030):
        rng = np.random.default_rng(rows)
        given = [rng.uniform(-1, 1, s).astype("float32") for s in ((rows, 70), (rows, 70), (1, 70))]
        with np.errstate(all="ignore"):
            wanted = evaluate(results, dict(zip([x, w, gain], [g.astype("float64") for g in given])))
        for have, want in zip(f(*given), wanted):
            np.testing.assert_allclose(have, want, rtol=1e-4, atol=2e-4)


def test_one_walk() -> None:
    """One kernel goes through memory; the others combine its sums."""
    inputs, results = program("normalised", (40, 70), (1,))
    f = symc.function(inputs, results[:4], device="interp")
    f(*values((40, 70), (1,)))
    names = [step.name for step in f.specialisation.program.steps]
    assert len(names) == 3 and all("(combine)" in name for name in names[1:]), names


@pytest.mark.parametrize("axis", [1, 2])
def test_rows_that_write_to_a_part_of_a_joined_value(axis) -> None:
    """The kernels that combine the sums know nothing of the places of the rows' results."""
    x, w = T.dmatrices("xw")
    y = T.exp(x - x.max(1, keepdims=True)) * w
    columns = y.sum(0)
    results = [T.stack([y, y * w], axis), columns, y.sum(), y.sum(1)]
    rng = np.random.default_rng(4)
    given = [rng.uniform(-1, 1, (40, 9)) for _ in range(2)]
    for got, want in zip(symc.function([x, w], results)(*given), evaluate(results, dict(zip([x, w], given)))):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", [(None, None), (None, 40)])
def test_values_of_no_axis_are_stored_without_rows(shape) -> None:
    """A value that all elements share is a result, too, and there may be no rows whose loop could store it."""
    s, x = T.dscalar("s"), T.tensor(dtype="float64", shape=shape, name="x")
    y = T.exp(s)
    z = T.log(T.exp(x) + y)
    f = symc.function([s, x], [y, T.nnet.logsoftmax(x), z, z.sum()])
    for rows in (0, 3):
        got = f(0.3, np.ones((rows, 40)))
        np.testing.assert_allclose(got[0], np.exp(0.3), rtol=1e-12)
        np.testing.assert_allclose(got[3], rows * 40 * np.log(np.e + np.exp(0.3)), rtol=1e-12)


def _both_ways(form):
    """Sums of a square matrix over its rows and over its columns, added element by element."""
    m, s, p = T.matrix("m"), T.vector("s"), T.matrix("p")
    if form == "matrix":
        return [m], m.sum(0) - m.sum(1) + m.max(0) * m.min(1)
    if form == "ranking":
        hinge = T.maximum(0, 1 - (s[:, None] - s[None, :])) * m
        return [m, s], T.grad(hinge.sum(), s)
    if form == "laplacian":
        return [m, s], T.grad((T.sqr(s[:, None] - s[None, :]) * m).sum(), s)
    far = T.sqrt(T.sqr(p[:, None, :] - p[None, :, :]).sum(2) + 1)
    return [p], T.grad((1 / far).sum(), p)


@pytest.mark.parametrize("size", [0, 1, 2, 17, 40, 100, 301])
@pytest.mark.parametrize("form", ["matrix", "ranking", "laplacian", "points"])
def test_sums_in_two_orders_of_one_matrix(form, size, isa) -> None:
    """Each sum reads memory in its order: none of them steps through columns for the other's rows."""
    inputs, result = _both_ways(form)
    if form == "matrix" and size == 0:
        pytest.skip("no largest element")
    rng = np.random.default_rng(size)
    shapes = {"m": (size, size), "s": (size,), "p": (size, 3)}
    given = [rng.standard_normal(shapes[v.name]).astype("float32") for v in inputs]
    with symc.config.change(isa=isa):
        f = symc.function(inputs, result)
    wide = dict(zip(inputs, [v.astype("float64") for v in given]))
    (expected,) = evaluate([result], wide)
    np.testing.assert_allclose(f(*given), expected, rtol=1e-4, atol=1e-4)


def test_sums_in_two_orders_are_not_one_loop() -> None:
    m = T.matrix("m")
    f = symc.function([m], m.sum(0) - m.sum(1), device="c")
    text = symc.printing.debugprint(f, stage="loops", file="str")
    assert text.count("\nkernel ") >= 2
