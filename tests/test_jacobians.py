"""Jacobians and Hessians are diagonal where functions are elementwise, and cost no sums over what is zero."""

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.printing import debugprint


def formulas(x, p, matrix):
    """Residuals of a vector x, parameters p (3) and a matrix (n, 3); each with what differentiates it."""
    fit = p[0] * T.exp(-p[1] * x) * T.cos(x + p[2]) - x
    linear = T.tanh(2 * T.dot(matrix, p)) - x
    return [
        (T.sin(x) * x**2, x),
        (T.switch(x > 0, x**3, T.exp(x)) / (1 + x**2), x),
        (fit, p),
        (linear, p),
        (T.dot(matrix, p) * x - T.sqrt(1 + x**2), x),
        (x[1:] * x[:-1], x),
        (T.dot(matrix, p) * fit, p),
    ]


def numeric(function, at, h=1e-6):
    columns = []
    for k in range(at.size):
        step = np.zeros_like(at)
        step[k] = h
        columns.append((function(at + step) - function(at - step)) / (2 * h))
    return np.stack(columns, axis=1) if columns else np.zeros((function(at).size, 0))


@pytest.mark.parametrize("device", ["interp", "cpu"])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 40])
def test_values(n, device):
    rng = np.random.default_rng(n)
    x, p, matrix = T.dvector("x"), T.dvector("p"), T.dmatrix("matrix")
    given = [rng.standard_normal(n), rng.standard_normal(3), rng.standard_normal((n, 3))]
    inputs = [x, p, matrix]
    for residual, wrt in formulas(x, p, matrix):
        jacobian = symc.function(inputs, T.jacobian(residual, wrt), device=device, on_unused_input="ignore")
        value = symc.function(inputs, residual, on_unused_input="ignore")
        k = inputs.index(wrt)
        want = numeric(lambda v, k=k, value=value: value(*given[:k], v, *given[k + 1 :]), given[k])
        np.testing.assert_allclose(jacobian(*given), want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("number", range(5))
def test_no_sum_over_rows_is_left(number):
    """Neither a sum nor a product of the compiled Jacobian has as many terms as there are rows."""
    x, p, matrix = T.TensorType("float64", (50,))("x"), T.TensorType("float64", (3,))("p"), T.dmatrix("matrix")
    residual, wrt = formulas(x, p, matrix)[number]
    f = symc.function([x, p, matrix], T.jacobian(residual, wrt), on_unused_input="ignore")
    text = debugprint(f, stage="rewritten", file="str")
    assert "sum{" not in text
    assert text.count("dot") <= 1  # of the function itself


def test_a_hessian():
    x = T.dvector("x")
    hessian = symc.function([x], T.hessian((T.exp(x) * x**2).sum(), x))
    v = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(hessian(v), np.diag(np.exp(v) * (v**2 + 4 * v + 2)), rtol=1e-12)


def test_a_comparison_of_counters_that_is_no_identity_stays():
    """Axes of other lengths, a counter with an offset, and a value that follows both axes otherwise."""
    x = T.dmatrix("x")
    i, j = T.arange(3).dimshuffle(0, "x"), T.arange(4).dimshuffle("x", 0)
    outputs = [
        (T.cast(T.eq(i, j), "float64") * x[0]).sum(axis=1),
        (T.cast(T.eq(i + 1, j), "float64") * x[0]).sum(axis=1),
        (T.cast(T.eq(i, j[:, :3]), "float64") * x[:3, :3]).sum(axis=1),
    ]
    a = np.random.default_rng(0).standard_normal((5, 4))
    want = [a[0, :3], a[0, 1:], np.diag(a[:3, :3])]
    for got, expected in zip(symc.function([x], outputs)(a), want, strict=True):
        np.testing.assert_allclose(got, expected)


def test_counters_that_begin_again_are_no_diagonal():
    x = T.dvector("x")
    i = T.cast(T.arange(300), "int8")
    f = symc.function([x], (T.cast(T.eq(i.dimshuffle(0, "x"), i), "float64") * x).sum(axis=1))
    a = np.random.default_rng(2).standard_normal(300)
    k = np.arange(300).astype("int8")
    np.testing.assert_allclose(f(a), ((k[:, None] == k) * a).sum(axis=1))
