"""Minimisation by SciPy: minima that are known, the state after failures, and what does not fit."""

import numpy as np
import pytest
from scipy.special import expit

import symc
import symc.tensor as T
from lasagne_like import layers as L
from lasagne_like.objectives import binary_crossentropy
from lasagne_like.optimize import minimize
from lasagne_like.regularization import l2


@pytest.mark.parametrize("method", ["L-BFGS-B", "CG", "BFGS", "Newton-CG", "trust-ncg"])
def test_rosenbrock(method, float64):
    a, b = symc.shared(-1.2), symc.shared(np.ones((1, 2)) * 1.5)
    loss = (1 - a) ** 2 + 100 * (b[0, 0] - a**2) ** 2 + (b[0, 1] - 3 * a) ** 2
    seen = []
    result = minimize(loss, [a, b], method=method, callback=seen.append, tol=1e-10)
    np.testing.assert_allclose(a.get_value(), 1, atol=1e-4)
    np.testing.assert_allclose(b.get_value(), [[1, 3]], atol=1e-3)
    assert len(seen) >= result.nit - 1 and seen[-1] <= seen[0]
    assert result.fun < 1e-8


def test_logistic_regression_has_a_gradient_of_zero_at_the_end(rng, float64):
    """Conjugate gradients on all data: at the minimum, the gradient in NumPy is zero."""
    x = rng.normal(size=(200, 5))
    y = (x @ [1.0, -2.0, 0.5, 0.0, 3.0] + rng.normal(size=200) > 0.3).astype(float)
    incoming, target = L.InputLayer((None, 5)), T.vector()
    out = L.DenseLayer(incoming, 1, nonlinearity=T.nnet.sigmoid)
    loss = binary_crossentropy(L.get_output(out)[:, 0], target).mean() + 0.01 * l2(out.W)
    minimize(loss, L.get_all_params(out), [incoming.input_var, target], [x, y], method="CG", tol=1e-8)
    w, b = out.W.get_value()[:, 0], out.b.get_value()
    error = expit(x @ w + b) - y
    np.testing.assert_allclose(x.T @ error / 200 + 0.02 * w, 0, atol=1e-6)
    np.testing.assert_allclose(error.mean(), 0, atol=1e-6)


def test_float32_parameters():
    w = symc.shared(np.array([3.0, -2.0], "float32"))
    minimize(((w - np.array([1, 2], "float32")) ** 2).sum(), [w])
    assert w.dtype == "float32"
    np.testing.assert_allclose(w.get_value(), [1, 2], atol=1e-4)


def test_the_best_values_stay_after_an_interruption(float64):
    w, seen = symc.shared(5.0), []

    def stop(loss):
        seen.append(loss)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimize(T.cosh(w) + (w - 1) ** 4, [w], method="CG", callback=stop)
    at = w.get_value()
    assert np.cosh(at) + (at - 1) ** 4 <= seen[-1] < np.cosh(5.0) + 4**4


def test_what_does_not_fit(float64):
    w, x = symc.shared(np.zeros(2)), T.vector()
    with pytest.raises(ValueError, match="params is empty"):
        minimize(x.sum(), [])
    with pytest.raises(ValueError, match="got 1 inputs and 0 values"):
        minimize((x * w).sum(), [w], [x])
    with pytest.raises(ValueError, match="shared variables only"):
        minimize((x * w).sum(), [w * 2], [x], [np.ones(2)])
