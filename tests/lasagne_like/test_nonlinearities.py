import numpy as np
import pytest
from scipy import special

import symc
import symc.tensor as T
from lasagne_like import nonlinearities as nl


def _elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


CASES = {
    "sigmoid": (nl.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "tanh": (nl.tanh, np.tanh),
    "scaled_tanh": (nl.ScaledTanH(scale_in=0.5, scale_out=1.7), lambda x: 1.7 * np.tanh(0.5 * x)),
    "rectify": (nl.rectify, lambda x: np.maximum(x, 0)),
    "relu6": (lambda x: nl.relu6(4 * x), lambda x: np.clip(4 * x, 0, 6)),
    "leaky_rectify": (nl.leaky_rectify, lambda x: np.maximum(x, 0.01 * x)),
    "very_leaky_rectify": (nl.very_leaky_rectify, lambda x: np.maximum(x, x / 3)),
    "LeakyRectify(0.7)": (nl.LeakyRectify(0.7), lambda x: np.maximum(x, 0.7 * x)),
    "elu": (nl.elu, _elu),
    "SELU": (nl.SELU(1.2, 0.4), lambda x: 1.2 * np.where(x > 0, x, 0.4 * _elu(x))),
    "selu": (nl.selu, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * _elu(x))),
    "gelu": (nl.gelu, lambda x: x * special.ndtr(x)),
    "silu": (nl.silu, lambda x: x * special.expit(x)),
    "mish": (nl.mish, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "hard_sigmoid": (lambda x: nl.hard_sigmoid(2 * x), lambda x: np.clip(x / 3 + 0.5, 0, 1)),
    "hard_silu": (lambda x: nl.hard_silu(2 * x), lambda x: 2 * x * np.clip(x / 3 + 0.5, 0, 1)),
    "hard_tanh": (nl.hard_tanh, lambda x: np.minimum(np.maximum(x, -1), 1)),
    "softplus": (nl.softplus, lambda x: np.log1p(np.exp(-abs(x))) + np.maximum(x, 0)),
    "linear": (nl.linear, lambda x: x),
    "identity": (nl.identity, lambda x: x),
    "softmax": (nl.softmax, lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name, rng, float64):
    function, expected = CASES[name]
    x = T.matrix("x")
    at = rng.uniform(-3, 3, (4, 5))
    weights = rng.randn(4, 5)
    y = function(x)
    gradient = symc.grad((y * weights).sum(), x) if y is not x else x * 0 + weights
    value, slope = symc.function([x], [y, gradient])(at)
    np.testing.assert_allclose(value, expected(at), rtol=1e-9, atol=1e-12)
    step = rng.randn(4, 5) * 1e-6
    rise = ((expected(at + step) - expected(at - step)) * weights).sum() / 2
    np.testing.assert_allclose((slope * step).sum(), rise, rtol=1e-5)


def test_every_nonlinearity_is_tested():
    known = {"ScaledTanH", "ScaledTanh", "LeakyRectify", "SELU"} | set(CASES)
    assert set(nl.__all__) <= known


def test_selu_keeps_large_negative_gradients_finite(float64):
    x = T.vector("x")
    gradient = symc.grad(nl.selu(x).sum(), x).eval({x: np.array([-800.0, 800.0])})
    np.testing.assert_allclose(gradient, [0.0, 1.0507009873554805], atol=1e-12)


@pytest.mark.parametrize("function", [nl.gelu, nl.silu, nl.mish, nl.hard_silu])
def test_far_from_zero_they_are_the_rectifier(function):
    x = T.vector("x")
    y = function(x)
    at = np.array([-1000.0, -100.0, 100.0, 1000.0, 1e30], "float32")
    value, slope = symc.function([x], [y, symc.grad(y.sum(), x)])(at)
    np.testing.assert_allclose(value, np.maximum(at, 0), rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(slope, at > 0, rtol=1e-6, atol=1e-30)
